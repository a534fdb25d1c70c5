// A policy with its selectors resolved to identities.
#ifndef ESPALIER_CONTROLLER_COMPILE_RESOLVE_H_
#define ESPALIER_CONTROLLER_COMPILE_RESOLVE_H_

#include <cstdint>
#include <map>

#include "controller/compile/policy_definition.h"
#include "controller/identity/label_identity.h"
#include "espalier/v1/view.pb.h"

namespace espalier::compile {

using Identities = std::map<identity::Description, uint32_t>;

// Subjects and rules; name, generation, stage and priority are the caller's. `eases` as in stages.h: what a rule says
// of pods becomes Require, what it says of CIDRs stays as written.
v1::Policy Resolve(const PolicyDefinition& definition, const Identities& identities, bool eases);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_RESOLVE_H_
