// Identities: pods that no policy can tell apart have one number.
//
// What a policy can select by is a pod's namespace, that namespace's labels, the pod's own labels and its service
// account. These, written down in one canonical way, are hashed (SHA-256) and folded to [256, 2^24).
//
// Why replicas and restarts agree: the number is a function of the *set* of descriptions that exist, of nothing else.
// Two descriptions may fold to one number (likely beyond some 5,000 of them). So descriptions are taken in the order of
// their full hash, and each takes the first free of its candidates 0, 1, 2, ... (candidate n is the hash of the
// description's hash with n appended). Neither order of arrival nor history plays a part. A description that comes
// later may thereby move another to its next candidate; that is harmless, since no number crosses the wire between
// nodes and a node's view changes as a whole.
#ifndef ESPALIER_CONTROLLER_IDENTITY_LABEL_IDENTITY_H_
#define ESPALIER_CONTROLLER_IDENTITY_LABEL_IDENTITY_H_

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "controller/identity/stable_hash.h"
#include "controller/source/objects.h"

namespace espalier::identity {

inline constexpr uint32_t kFirstIdentity = 256;
inline constexpr uint32_t kEndIdentity = 1u << 24;

// What pods of one identity have in common. `labels` are without the per-pod ones of
// source/labels.h.
struct Description {
  std::string ns;
  source::Labels namespace_labels;
  source::Labels labels;
  std::string service_account;

  // Length-prefixed fields: two descriptions are equal exactly if this text is.
  std::string Canonical() const;
  friend auto operator<=>(const Description&, const Description&) = default;
};

// The pod's description. `ns` may be null: a namespace without an object has only the label that Kubernetes always
// adds (kubernetes.io/metadata.name).
Description Describe(const source::Pod& pod, const source::Namespace* ns);

// Numbers for all descriptions, as above. Any order of `descriptions`, and repetitions, give the same result.
std::map<Description, uint32_t> AssignIdentities(const std::set<Description>& descriptions);

// With the folding given, for tests of collisions: it maps (hash of the canonical text, candidate) to a number.
using Fold = uint32_t (*)(const StableHash& hash, uint32_t candidate);
std::map<Description, uint32_t> AssignIdentities(const std::set<Description>& descriptions, Fold fold);

}  // namespace espalier::identity

#endif  // ESPALIER_CONTROLLER_IDENTITY_LABEL_IDENTITY_H_
