// What is said of each policy: stage, how many nodes have it, conditions.
#ifndef ESPALIER_CONTROLLER_COMPILE_STATUS_H_
#define ESPALIER_CONTROLLER_COMPILE_STATUS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controller/compile/compiler.h"
#include "controller/compile/stages.h"
#include "controller/source/problem.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::compile {

struct PolicyReport {
  std::string name;               // "EncryptionPolicy/shop/web"
  v1alpha1::PolicyStatus status;  // conditions Accepted, Programmed, Conflicted
};

// One report for every policy that is desired, in force or refused, by name. `problems`: the source's. `acked`: the
// Stages revision that each node (UID) is in sync with, as given to Stages::OnAck; `nacks`: why a node refused its last
// view.
std::vector<PolicyReport> ReportPolicies(const Stages& stages, const CompiledMesh& mesh,
                                         const std::vector<source::Problem>& problems,
                                         const std::map<std::string, uint64_t>& acked,
                                         const std::map<std::string, std::string>& nacks);

// The reports as a table for people, and then all problems.
std::string StatusText(const std::vector<PolicyReport>& reports, const std::vector<source::Problem>& problems);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_STATUS_H_
