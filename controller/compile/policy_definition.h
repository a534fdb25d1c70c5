// A policy as it was written, in one form for both kinds, before selectors are resolved.
#ifndef ESPALIER_CONTROLLER_COMPILE_POLICY_DEFINITION_H_
#define ESPALIER_CONTROLLER_COMPILE_POLICY_DEFINITION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controller/source/objects.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::compile {

struct PolicyDefinition {
  std::string name;  // "EncryptionPolicy/NAMESPACE/NAME" or "ClusterEncryptionPolicy/NAME"
  std::string ns;    // empty: ClusterEncryptionPolicy
  int32_t generation = 0;
  int32_t priority = 0;
  v1alpha1::PolicySpec spec;

  bool cluster() const { return ns.empty(); }
};
using DefinitionPtr = std::shared_ptr<const PolicyDefinition>;

// All policies of a snapshot, by name. Definitions whose object did not change since `previous` are the same pointers.
std::vector<DefinitionPtr> DefinitionsOf(const source::ObjectStore& objects,
                                         const std::vector<DefinitionPtr>& previous = {});

// Do they ask for the same thing (all but the generation)?
bool SameEffect(const PolicyDefinition& a, const PolicyDefinition& b);
// Has it a rule (or the default rule) with one of these actions?
bool MayRequireOrDeny(const PolicyDefinition& definition);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_POLICY_DEFINITION_H_
