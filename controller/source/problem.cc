#include "controller/source/problem.h"

#include "absl/strings/str_cat.h"
#include "controller/source/findings.h"

namespace espalier::source {

std::string Problem::ToString() const {
  std::string where = file;
  if (line > 0) absl::StrAppend(&where, ":", line);
  if (document > 0) absl::StrAppend(&where, " (document ", document, ")");
  std::string out;
  for (const std::string& part : {where, object, field}) {
    if (!part.empty()) absl::StrAppend(&out, part, ": ");
  }
  if (!value.empty()) absl::StrAppend(&out, "\"", value, "\": ");
  absl::StrAppend(&out, message);
  if (!remedy.empty()) absl::StrAppend(&out, "; ", remedy);
  if (!in_force.empty()) absl::StrAppend(&out, " [", in_force, "]");
  return out;
}

std::string Shown(absl::string_view value) {
  constexpr size_t kLongest = 80;
  std::string out(value.substr(0, kLongest));
  // A multi-octet character is not cut in two.
  if (value.size() > kLongest) {
    while (!out.empty() && (static_cast<unsigned char>(value[out.size()]) & 0xc0) == 0x80) out.pop_back();
  }
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  if (value.size() > kLongest) out += "...";
  return out;
}

}  // namespace espalier::source
