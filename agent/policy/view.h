// The agent's copy of its view: resources by key, with the version they belong to.
#ifndef ESPALIER_AGENT_POLICY_VIEW_H_
#define ESPALIER_AGENT_POLICY_VIEW_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ip.h"
#include "espalier/v1/control.pb.h"
#include "espalier/v1/view.pb.h"

namespace espalier::policy {

// The key of a resource, as view.proto says ("node/7", "address/10.244.1.2"). Empty for an empty resource.
std::string ResourceKey(const v1::Resource& resource);

// The address of one of Mesh.controller_addresses: "192.0.2.1:7443", "[2001:db8::1]:7443", or an address alone.
absl::StatusOr<IpAddress> ControllerAddress(absl::string_view text);

// A value. Maps are keyed by what follows the key's slash.
struct View {
  std::string epoch;
  uint64_t version = 0;
  v1::Mesh mesh;
  std::map<uint32_t, v1::Node> nodes;
  std::map<uint32_t, v1::Identity> identities;
  std::map<std::string, v1::Address> addresses;  // by IP in canonical text
  std::map<std::string, v1::Policy> policies;
  std::map<std::string, v1::Exemption> exemptions;
  std::map<std::string, v1::Profile> profiles;

  // A copy with the delta applied. InvalidArgument names key and field (an address that doesn't parse, an empty
  // resource, a removal of what isn't there is ignored); then nothing of it is applied.
  absl::StatusOr<View> Apply(const v1::WatchResponse& delta) const;

  const v1::Node* self() const;  // null: not in the view yet
};

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_VIEW_H_
