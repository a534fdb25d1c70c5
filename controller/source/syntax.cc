#include "controller/source/syntax.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace espalier::source {
namespace {

bool IsLowerOrDigit(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

// Letters, digits and "-", with a letter or digit at both ends; of any length above 0.
bool IsDnsPart(absl::string_view text) {
  return !text.empty() && IsLowerOrDigit(text.front()) && IsLowerOrDigit(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

bool IsLabelName(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && absl::ascii_isalnum(text.front()) && absl::ascii_isalnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

bool IsDnsLabel(absl::string_view text) { return text.size() <= 63 && IsDnsPart(text); }

bool IsDnsSubdomain(absl::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  return std::all_of(parts.begin(), parts.end(), IsDnsPart);
}

bool IsLabelKey(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return IsLabelName(text);
  return IsDnsSubdomain(text.substr(0, slash)) && IsLabelName(text.substr(slash + 1));
}

bool IsLabelValue(absl::string_view text) { return text.empty() || IsLabelName(text); }

std::optional<int64_t> ParseSeconds(absl::string_view text) {
  constexpr int64_t kLongest = int64_t{10} * 365 * 24 * 3600;
  int64_t total = 0;
  int64_t unit_before = kLongest;  // units grow smaller: "30m1h" is a slip
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && absl::ascii_isdigit(text[digits])) ++digits;
    int64_t number = 0;
    if (digits == 0 || digits > 9 || digits == text.size() || !absl::SimpleAtoi(text.substr(0, digits), &number)) {
      return std::nullopt;
    }
    const char letter = text[digits];
    const int64_t unit = letter == 'h' ? 3600 : letter == 'm' ? 60 : letter == 's' ? 1 : 0;
    if (unit == 0 || unit >= unit_before) return std::nullopt;
    unit_before = unit;
    total += number * unit;
    text.remove_prefix(digits + 1);
  }
  if (total <= 0 || total > kLongest) return std::nullopt;
  return total;
}

std::optional<int64_t> ParseDecimal(absl::string_view text) {
  int64_t number = 0;
  if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      (text.size() > 1 && text.front() == '0') || !absl::SimpleAtoi(text, &number)) {
    return std::nullopt;
  }
  return number;
}

}  // namespace espalier::source
