// The syntax of Kubernetes names, labels and our texts.
#ifndef ESPALIER_CONTROLLER_SOURCE_SYNTAX_H_
#define ESPALIER_CONTROLLER_SOURCE_SYNTAX_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace espalier::source {

// DNS-1123 label (a namespace's name): 1 to 63 of [a-z0-9-], letter or digit at both ends.
bool IsDnsLabel(absl::string_view text);
// DNS-1123 subdomain (other names): DNS labels without their length limit joined by dots, at most 253 in all.
bool IsDnsSubdomain(absl::string_view text);
// [PREFIX/]NAME: the prefix a DNS-1123 subdomain, the name 1 to 63 of [A-Za-z0-9_.-], letter or digit at both ends.
bool IsLabelKey(absl::string_view text);
// Empty, or as a label key's name.
bool IsLabelValue(absl::string_view text);

// "3600s", "90m", "1h30m": a whole positive number of seconds, at most ten years. Nothing else: no sign, no spaces.
std::optional<int64_t> ParseSeconds(absl::string_view text);
// Decimal digits only, without leading zeros; nothing above 2^63-1.
std::optional<int64_t> ParseDecimal(absl::string_view text);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_SYNTAX_H_
