// "Did you mean": the name that somebody probably wanted to write.
#ifndef ESPALIER_CONTROLLER_SOURCE_NEAREST_H_
#define ESPALIER_CONTROLLER_SOURCE_NEAREST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace espalier::source {

// The choice with the fewest edits (insert, remove, replace, swap of neighbours; letter case is free) from `name`; of
// equals the first. Empty if even that is more than a third of the name away, or more than 3.
std::string Nearest(absl::string_view name, const std::vector<std::string>& choices);

// A remedy: `write "NEAREST"`, or, if nothing is near, `write one of A, B, C`.
std::string WriteOneOf(absl::string_view name, const std::vector<std::string>& choices);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_NEAREST_H_
