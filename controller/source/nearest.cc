#include "controller/source/nearest.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier::source {
namespace {

// Optimal string alignment distance.
size_t Edits(const std::string& a, const std::string& b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string Nearest(absl::string_view name, const std::vector<std::string>& choices) {
  constexpr size_t kLongest = 64;
  if (name.empty() || name.size() > kLongest) return "";
  const std::string lower = absl::AsciiStrToLower(name);
  const size_t allowed = std::min<size_t>(3, name.size() / 3);
  std::string best;
  size_t fewest = allowed + 1;
  for (const std::string& choice : choices) {
    const size_t edits = Edits(lower, absl::AsciiStrToLower(choice));
    if (edits < fewest) {
      fewest = edits;
      best = choice;
    }
  }
  return best;
}

std::string WriteOneOf(absl::string_view name, const std::vector<std::string>& choices) {
  const std::string nearest = Nearest(name, choices);
  if (!nearest.empty()) return absl::StrCat("write \"", nearest, "\"");
  return absl::StrCat("write one of ", absl::StrJoin(choices, ", "));
}

}  // namespace espalier::source
