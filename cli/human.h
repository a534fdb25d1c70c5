// Numbers and times as a person reads them.
#ifndef ESPALIER_CLI_HUMAN_H_
#define ESPALIER_CLI_HUMAN_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace espalier::cli {

// "0s", "59s", "3m 5s", "2h 10m", "4d 3h". Negative durations as zero.
std::string Age(absl::Duration d);

// Of Unix seconds: "5m 2s ago", "in 3h 1m"; "-" for 0.
std::string Since(int64_t unix_seconds, absl::Time now);
std::string Until(int64_t unix_seconds, absl::Time now);  // past: "expired 3m 1s ago"

// "0 B", "999 B", "1.5 KiB", "12 MiB".
std::string HumanBytes(uint64_t bytes);

// "1234567" -> "1,234,567".
std::string HumanCount(uint64_t n);

// "TCP", "ICMPv6", "47".
std::string ProtocolName(uint32_t protocol);
// The other way, any case, or a number; false: neither.
bool ParseProtocol(const std::string& text, uint32_t* protocol);

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_HUMAN_H_
