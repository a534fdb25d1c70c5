// Label selectors as Kubernetes defines them, and whom a policy speaks of.
#ifndef ESPALIER_CONTROLLER_COMPILE_SELECTOR_H_
#define ESPALIER_CONTROLLER_COMPILE_SELECTOR_H_

#include "controller/compile/policy_definition.h"
#include "controller/identity/label_identity.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::compile {

// All terms have to hold. NotIn holds where the key is absent. An unknown operator matches nothing.
bool Matches(const v1alpha1::LabelSelector& selector, const source::Labels& labels);

// Is a pod of this identity a subject of the policy?
bool IsSubject(const PolicyDefinition& policy, const identity::Description& pod);

// Is it the peer (one with selectors)? Without a namespaceSelector a namespaced policy means pods of its own namespace,
// a cluster policy those of every namespace.
bool IsPeer(const PolicyDefinition& policy, const v1alpha1::Peer& peer, const identity::Description& pod);

// Does the peer select every pod there can be?
bool IsEveryPod(const PolicyDefinition& policy, const v1alpha1::Peer& peer);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_SELECTOR_H_
