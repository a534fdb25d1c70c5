// The numbers of identities: reserved ones (view.proto), label identities from the controller, and this node's own.
//
// A peer CIDR in a policy divides addresses that otherwise share an identity: those inside and those outside. Each such
// class of addresses that a policy can tell from its base identity gets a local identity, known to this node's snapshot
// alone:
//
//   0x01 | kind (4 bits) | index (20 bits)     kind: the reserved identity it is made from, or 0: a pod's
#ifndef ESPALIER_AGENT_POLICY_IDENTITY_H_
#define ESPALIER_AGENT_POLICY_IDENTITY_H_

#include <cstdint>

namespace espalier::policy {

inline constexpr uint32_t kHost = 1;
inline constexpr uint32_t kRemoteNode = 2;
inline constexpr uint32_t kController = 3;
inline constexpr uint32_t kUnknown = 4;
inline constexpr uint32_t kWorld = 5;
inline constexpr uint32_t kFirstLabelIdentity = 256;
inline constexpr uint32_t kFirstLocalIdentity = 1u << 24;
inline constexpr uint32_t kLocalIndexBits = 20;

constexpr uint32_t LocalIdentity(uint32_t kind, uint32_t index) {
  return kFirstLocalIdentity | (kind << kLocalIndexBits) | index;
}

// The reserved identity that this one is, or is made from. 0: a pod's.
constexpr uint32_t ReservedOf(uint32_t identity) {
  if (identity >= kFirstLocalIdentity) return (identity >> kLocalIndexBits) & 0xf;
  return identity < kFirstLabelIdentity ? identity : 0;
}

// A pod's address, or one that can only be a pod's (inside the mesh CIDRs).
constexpr bool InMesh(uint32_t identity) { return ReservedOf(identity) == 0 || ReservedOf(identity) == kUnknown; }

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_IDENTITY_H_
