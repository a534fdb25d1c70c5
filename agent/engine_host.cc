#include "agent/engine_host.h"

#include <openssl/rand.h>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace espalier {

void EngineHost::Send(const Endpoint& local, const Endpoint& remote, ByteSpan message) {
  datapath_->SendIke(local, remote, message);
}

void EngineHost::Random(std::span<uint8_t> out) {
  CHECK_EQ(RAND_bytes(out.data(), static_cast<int>(out.size())), 1) << "no randomness: nothing can be secret";
}

absl::Time EngineHost::WallNow() { return absl::Now(); }

absl::Status EngineHost::InstallInbound(ike::EspSa sa) { return datapath_->InstallInbound(std::move(sa)); }

absl::Status EngineHost::InstallOutbound(ike::EspSa sa) {
  const auto peer = sa.peer;
  const auto spi = sa.spi;
  if (absl::Status s = datapath_->InstallOutbound(std::move(sa)); !s.ok()) return s;
  outbound_[peer] = spi;
  if (absl::Status s = steering_->SetTunnelReady(peer, true); !s.ok()) {
    LOG(WARNING) << "tunnel not marked ready peer=" << peer << " error=\"" << s.message() << "\"";
  }
  return absl::OkStatus();
}

void EngineHost::RemoveInbound(ike::PeerId, uint32_t spi) { datapath_->RemoveInbound(spi); }

void EngineHost::RemoveOutbound(ike::PeerId peer, uint32_t spi) {
  datapath_->RemoveOutbound(peer, spi);
  auto it = outbound_.find(peer);
  if (it == outbound_.end() || it->second != spi) return;
  outbound_.erase(it);
  if (absl::Status s = steering_->SetTunnelReady(peer, false); !s.ok()) {
    LOG(WARNING) << "tunnel not marked down peer=" << peer << " error=\"" << s.message() << "\"";
  }
}

absl::StatusOr<ike::Proof> EngineHost::Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_key_id) {
  auto proof = credentials_->Authenticate(chain_der, claimed_key_id, absl::Now());
  if (!proof.ok()) return proof.status();
  auto it = nodes_.find(proof->uid);
  if (it == nodes_.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the certificate is valid, but ", proof->spiffe_id, " is no node of the current view"));
  }
  return ike::Proof{.peer = it->second.id,
                    .name = it->second.name,
                    .serial = proof->serial,
                    .not_after = proof->not_after,
                    .public_key_spki_der = proof->public_key_spki_der};
}

std::vector<Bytes> EngineHost::LocalChain() { return credentials_->chain_der(); }

Bytes EngineHost::LocalKeyId() {
  const std::string id = credentials_->spiffe_id();
  return Bytes(id.begin(), id.end());
}

absl::StatusOr<Bytes> EngineHost::Sign(ByteSpan data) { return credentials_->Sign(data); }

Bytes EngineHost::TrustAnchorHashes() { return credentials_->TrustAnchorHashes(); }

void EngineHost::OnPeerEvent(ike::PeerId peer, absl::string_view what, absl::string_view detail) {
  on_peer_event_(peer, what, detail);
}

}  // namespace espalier
