// From a node's view to what the IKEv2 engine is told: its configuration and the peers it may talk to. Pure.
#ifndef ESPALIER_AGENT_MESH_CONFIG_H_
#define ESPALIER_AGENT_MESH_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/ike/engine.h"
#include "agent/policy/view.h"
#include "common/ip.h"

namespace espalier {

// "AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305". InvalidArgument names the text and the choice.
absl::StatusOr<ike::EspSuite> ParseSuite(absl::string_view name);
absl::string_view SuiteName(ike::EspSuite suite);

// The profile "default" over the engine's own defaults; absent fields keep those. InvalidArgument names the field.
absl::StatusOr<ike::Config> EngineConfig(const policy::View& view);

// Every other node with an address of a family that `local` has too, IPv4 before IPv6.
std::vector<ike::Peer> EnginePeers(const policy::View& view, const std::vector<IpAddress>& local, uint16_t port);

// The node's SPIFFE id.
std::string SpiffeId(absl::string_view trust_domain, absl::string_view node_uid);

// The MTU of the device that holds one of these addresses: the smallest of them. NotFound names the address that no
// device has.
absl::StatusOr<int> OuterMtu(const std::vector<IpAddress>& local);

}  // namespace espalier

#endif  // ESPALIER_AGENT_MESH_CONFIG_H_
