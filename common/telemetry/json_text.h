// Text as a JSON string.
#ifndef ESPALIER_COMMON_TELEMETRY_JSON_TEXT_H_
#define ESPALIER_COMMON_TELEMETRY_JSON_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace espalier::telemetry {

// Appends `text` with quotes, escaped as RFC 8259 section 7 says. Octets that are no UTF-8 become U+FFFD, so that the
// result is JSON whatever comes in (a peer's text may be in a log line).
void AppendJsonString(absl::string_view text, std::string* out);

}  // namespace espalier::telemetry

#endif  // ESPALIER_COMMON_TELEMETRY_JSON_TEXT_H_
