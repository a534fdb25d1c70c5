#include "cli/human.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace espalier::cli {
namespace {

struct Protocol {
  uint32_t number;
  const char* name;
};
constexpr Protocol kProtocols[] = {{1, "ICMP"}, {6, "TCP"}, {17, "UDP"}, {50, "ESP"}, {58, "ICMPv6"}, {132, "SCTP"}};

}  // namespace

std::string Age(absl::Duration d) {
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(d));
  if (s < 60) return absl::StrCat(s, "s");
  if (s < 3600) return absl::StrCat(s / 60, "m ", s % 60, "s");
  if (s < 86400) return absl::StrCat(s / 3600, "h ", s / 60 % 60, "m");
  return absl::StrCat(s / 86400, "d ", s / 3600 % 24, "h");
}

std::string Since(int64_t unix_seconds, absl::Time now) {
  if (unix_seconds == 0) return "-";
  return absl::StrCat(Age(now - absl::FromUnixSeconds(unix_seconds)), " ago");
}

std::string Until(int64_t unix_seconds, absl::Time now) {
  if (unix_seconds == 0) return "-";
  const absl::Time then = absl::FromUnixSeconds(unix_seconds);
  if (then < now) return absl::StrCat("expired ", Age(now - then), " ago");
  return absl::StrCat("in ", Age(then - now));
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
    if (value < 1023.95) break;  // what would be printed as 1024
    value /= 1024;
    unit = next;
  }
  return value < 9.95 ? absl::StrFormat("%.1f %s", value, unit) : absl::StrFormat("%.0f %s", value, unit);
}

std::string HumanCount(uint64_t n) {
  std::string digits = absl::StrCat(n);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string ProtocolName(uint32_t protocol) {
  for (const Protocol& p : kProtocols) {
    if (p.number == protocol) return p.name;
  }
  return absl::StrCat(protocol);
}

bool ParseProtocol(const std::string& text, uint32_t* protocol) {
  for (const Protocol& p : kProtocols) {
    if (absl::AsciiStrToLower(text) == absl::AsciiStrToLower(p.name)) {
      *protocol = p.number;
      return true;
    }
  }
  return absl::SimpleAtoi(text, protocol) && *protocol > 0 && *protocol < 256;
}

}  // namespace espalier::cli
