// Policies of one priority that answer differently for the same flow. Nothing is undefined then (the strictest counts),
// but somebody may have meant otherwise, so both policies say so.
#ifndef ESPALIER_CONTROLLER_COMPILE_CONFLICTS_H_
#define ESPALIER_CONTROLLER_COMPILE_CONFLICTS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "espalier/v1/view.pb.h"

namespace espalier::compile {

// For each policy's name those it conflicts with. Rules are compared by subjects, peers and ports; a rule that an
// earlier one of its policy hides is compared all the same. Flows from policy A's subject to policy B's subject count
// in either order. At most `limit` pairs of policies are looked at.
std::map<std::string, std::set<std::string>> FindConflicts(const std::vector<const v1::Policy*>& policies,
                                                           size_t limit = 20'000);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_CONFLICTS_H_
