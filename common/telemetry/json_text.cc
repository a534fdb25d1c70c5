#include "common/telemetry/json_text.h"

#include <cstdint>
#include <cstdio>

namespace espalier::telemetry {
namespace {

// Octets of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7); 0: none.
size_t Utf8Length(absl::string_view text) {
  const auto at = [&](size_t i) -> uint8_t { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const auto tail = [&](size_t i) { return (at(i) & 0xc0) == 0x80; };
  const uint8_t a = at(0), b = at(1);
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return tail(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    const bool second = tail(1) && !(a == 0xe0 && b < 0xa0) && !(a == 0xed && b > 0x9f);
    return second && tail(2) ? 3 : 0;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    const bool second = tail(1) && !(a == 0xf0 && b < 0x90) && !(a == 0xf4 && b > 0x8f);
    return second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

void AppendJsonString(absl::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t n = Utf8Length(text);
    const char c = text.front();
    if (n == 0) {
      out->append("\\ufffd");
    } else if (n > 1) {
      out->append(text.data(), n);
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      out->append(escaped);
    } else {
      out->push_back(c);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  out->push_back('"');
}

}  // namespace espalier::telemetry
