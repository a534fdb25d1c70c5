// What Espalier's own objects may say. Types and field names are checked before (directory/message.h, or the API server
// by the CRD's schema); here it is meanings. The rules are told to people in docs/policy-guide.md.
//
// All functions are pure and return every problem they find (empty: valid), with object, field, value, message and
// remedy filled in; file, document and in_force are the caller's.
#ifndef ESPALIER_CONTROLLER_SOURCE_VALIDATE_H_
#define ESPALIER_CONTROLLER_SOURCE_VALIDATE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ip.h"
#include "controller/source/problem.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::source {

// Limits that keep one object's compiled form bounded.
inline constexpr int kMaxRules = 64;
inline constexpr int kMaxPeersPerRule = 64;
inline constexpr int kMaxPortsPerRule = 64;
inline constexpr int kMaxSelectorTerms = 64;

std::vector<Problem> Validate(const v1alpha1::EncryptionPolicy& policy);
std::vector<Problem> Validate(const v1alpha1::ClusterEncryptionPolicy& policy);
std::vector<Problem> Validate(const v1alpha1::EncryptionProfile& profile);

// What depends on the mesh: a Require rule's CIDR has to be inside `mesh_cidrs` (all nodes' podCIDRs), since no tunnel
// leads elsewhere. Without any mesh CIDR nothing is checked.
std::vector<Problem> ValidateInMesh(const v1alpha1::PolicySpec& spec, absl::string_view object,
                                    const std::vector<IpPrefix>& mesh_cidrs);

// Name and namespace of any object. `ns` empty: cluster-wide.
std::vector<Problem> ValidateName(absl::string_view object, absl::string_view ns, absl::string_view name);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_VALIDATE_H_
