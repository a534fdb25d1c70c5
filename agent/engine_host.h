// The IKEv2 engine's world in a running agent: SAs go to the datapath, certificates to the node's credentials.
#ifndef ESPALIER_AGENT_ENGINE_HOST_H_
#define ESPALIER_AGENT_ENGINE_HOST_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/datapath/datapath.h"
#include "agent/ike/host.h"
#include "agent/steering/steering.h"
#include "common/x509/node_credentials.h"

namespace espalier {

// Control thread only. What it points to outlives it.
class EngineHost : public ike::Host {
 public:
  using PeerEvent = std::function<void(ike::PeerId, absl::string_view what, absl::string_view detail)>;

  EngineHost(datapath::Datapath* datapath, steering::Steering* steering, const x509::NodeCredentials* credentials,
             PeerEvent on_peer_event)
      : datapath_(datapath), steering_(steering), credentials_(credentials), on_peer_event_(std::move(on_peer_event)) {}

  struct Node {
    ike::PeerId id = 0;
    std::string name;
  };
  // The nodes of the view by UID: only they can authenticate.
  void SetNodes(std::map<std::string, Node> nodes) { nodes_ = std::move(nodes); }

  void Send(const Endpoint& local, const Endpoint& remote, ByteSpan message) override;
  void Random(std::span<uint8_t> out) override;
  absl::Time WallNow() override;
  absl::Status InstallInbound(ike::EspSa sa) override;
  absl::Status InstallOutbound(ike::EspSa sa) override;
  void RemoveInbound(ike::PeerId peer, uint32_t spi) override;
  void RemoveOutbound(ike::PeerId peer, uint32_t spi) override;
  absl::StatusOr<ike::Proof> Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_key_id) override;
  std::vector<Bytes> LocalChain() override;
  Bytes LocalKeyId() override;
  absl::StatusOr<Bytes> Sign(ByteSpan data) override;
  Bytes TrustAnchorHashes() override;
  void OnPeerEvent(ike::PeerId peer, absl::string_view what, absl::string_view detail) override;

 private:
  datapath::Datapath* const datapath_;
  steering::Steering* const steering_;
  const x509::NodeCredentials* const credentials_;
  const PeerEvent on_peer_event_;
  std::map<std::string, Node> nodes_;
  std::map<ike::PeerId, uint32_t> outbound_;  // the SPI in use for each peer
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_ENGINE_HOST_H_
