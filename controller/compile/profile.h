// The EncryptionProfile with its defaults filled in.
#ifndef ESPALIER_CONTROLLER_COMPILE_PROFILE_H_
#define ESPALIER_CONTROLLER_COMPILE_PROFILE_H_

#include "espalier/v1/view.pb.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::compile {

// The spec has passed validation. An empty one gives the defaults that docs/policy-guide.md lists.
v1::Profile CompileProfile(const v1alpha1::EncryptionProfileSpec& spec);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_PROFILE_H_
