#include "agent/datapath/inbound.h"

#include <unistd.h>

#include "agent/esp/mss_clamp.h"
#include "agent/esp/octets.h"
#include "agent/esp/tunnel_rules.h"

namespace espalier::datapath {
namespace {

constexpr size_t kMarkerSize = 4;  // the non-ESP marker (RFC 3948 section 2.2)

bool FromPeer(const policy::Decision& decision, PeerId peer) {
  const policy::Whois& who = decision.source;
  if (who.node_id == 0 || who.node_id != peer) return false;
  switch (who.identity) {
    case v1::IDENTITY_NONE:
    case v1::IDENTITY_WORLD:
      return false;
    case v1::IDENTITY_UNKNOWN:
      // An address of the peer's own pod CIDR, of a pod that our view doesn't have yet: only where policy wants such
      // traffic encrypted, so that it never gets more than plaintext would.
      return decision.verdict == policy::Verdict::kRequire || decision.verdict == policy::Verdict::kSend ||
             decision.verdict == policy::Verdict::kPrefer;
    default:
      return true;
  }
}

}  // namespace

Inbound::Inbound(WorkerState* state, const Events* events, int tun_fd)
    : state_(state),
      events_(events),
      tun_fd_(tun_fd),
      coalescer_([this](std::span<const uint8_t> frame, size_t packets) { Deliver(frame, packets); }) {}

size_t Inbound::Step(UdpSocket* socket) {
  step_packets_ = step_bytes_ = 0;
  socket->Receive([this, socket](const Datagrams& d) { Handle(socket, d); });
  coalescer_.Flush();
  return step_packets_;
}

void Inbound::Forget() {
  coalescer_.Flush();
  last_spi_ = 0;
  last_tunnel_ = nullptr;
}

void Inbound::Handle(UdpSocket* socket, const Datagrams& datagrams) {
  std::span<uint8_t> left = datagrams.data;
  if (left.empty() || datagrams.segment_size == 0) return;
  step_bytes_ += left.size();
  while (!left.empty()) {
    const std::span<uint8_t> packet = left.first(std::min(left.size(), datagrams.segment_size));
    left = left.subspan(packet.size());
    ++step_packets_;
    if (packet.size() == 1 && packet[0] == 0xff) continue;  // a NAT keepalive (RFC 3948 section 2.3)
    if (packet.size() <= kMarkerSize) {
      state_->Count(Drop::kMalformed);
    } else if (esp::Load32(packet.data()) == 0) {
      events_->ike(socket->local(), EndpointOf(*datagrams.from), Bytes(packet.begin() + kMarkerSize, packet.end()));
    } else {
      HandleEsp(socket, datagrams, packet);
    }
  }
}

InboundTunnel* Inbound::Find(uint32_t spi) {
  if (spi == last_spi_) return last_tunnel_;
  auto it = state_->inbound.find(spi);
  if (it == state_->inbound.end()) return nullptr;
  last_spi_ = spi;
  last_tunnel_ = it->second.get();
  return last_tunnel_;
}

void Inbound::HandleEsp(UdpSocket* socket, const Datagrams& datagrams, std::span<uint8_t> packet) {
  const uint32_t spi = esp::Load32(packet.data());
  InboundTunnel* tunnel = Find(spi);
  if (tunnel == nullptr) {
    state_->Count(Drop::kNoSa);
    if (unknown_spi_.Take(state_->now_ns)) {
      events_->unknown_spi(socket->local(), EndpointOf(*datagrams.from), spi);
    }
    return;
  }
  uint8_t* at = coalescer_.Place(packet.size());
  esp::Opened opened;
  switch (tunnel->sa->Open(packet, at, &opened)) {
    case esp::OpenResult::kOk:
      break;
    case esp::OpenResult::kDummy:
      coalescer_.Abandon();
      tunnel->counts.last_used_ns = state_->wall_ns;
      return;
    case esp::OpenResult::kReplay:
      coalescer_.Abandon();
      return state_->Count(Drop::kReplay, &tunnel->counts);
    case esp::OpenResult::kIcv:
      coalescer_.Abandon();
      return state_->Count(Drop::kIcv, &tunnel->counts);
    case esp::OpenResult::kMalformed:
      coalescer_.Abandon();
      return state_->Count(Drop::kMalformed, &tunnel->counts);
  }
  const bool v6 = opened.next_header == esp::kNextIpv6;
  if (opened.size < (v6 ? 40u : 20u) || (at[0] >> 4) != (v6 ? 6 : 4)) {
    coalescer_.Abandon();
    return state_->Count(Drop::kMalformed, &tunnel->counts);
  }
  if ((datagrams.traffic_class & esp::kEcnMask) != 0 && !esp::CombineEcnInPlace(at, datagrams.traffic_class)) {
    coalescer_.Abandon();
    return state_->Count(Drop::kEcn, &tunnel->counts);
  }
  // A flow that is pending has been checked under the same snapshot: Forget() comes before another one.
  if (coalescer_.TryAppend(opened.size, tunnel)) return Count(tunnel, opened.size);
  Check(tunnel, coalescer_.Isolate(opened.size));
}

void Inbound::Check(InboundTunnel* tunnel, std::span<uint8_t> packet) {
  esp::InnerPacket inner;
  if (!esp::ParseInner(packet, &inner)) return state_->Count(Drop::kMalformed, &tunnel->counts);
  if (state_->snapshot == nullptr) return state_->Count(Drop::kPolicy, &tunnel->counts);
  const policy::Decision& decision = flows_.Decide(*state_->snapshot, state_->generation, inner);
  if (!FromPeer(decision, tunnel->peer)) return state_->Count(Drop::kSource, &tunnel->counts);
  // Of this node: its pods, its own addresses, and what else its pod CIDR holds (an overlay device's address, or a pod
  // that the view does not have yet).
  const uint32_t self = state_->snapshot->self();
  const bool ours = decision.destination.local || decision.destination.identity == v1::IDENTITY_HOST ||
                    (self != 0 && decision.destination.node_id == self);
  if (!ours || decision.verdict == policy::Verdict::kDeny) return state_->Count(Drop::kPolicy, &tunnel->counts);
  if (inner.protocol == esp::kProtocolTcp) esp::ClampMss(packet, inner, tunnel->inner_mtu);
  Count(tunnel, inner.total_size);
  coalescer_.Begin(inner, tunnel);
}

void Inbound::Count(InboundTunnel* tunnel, size_t bytes) {
  ++tunnel->counts.packets;
  tunnel->counts.bytes += bytes;
  tunnel->counts.last_used_ns = state_->wall_ns;
  if (!tunnel->seen) {
    tunnel->seen = true;
    events_->first_inbound(tunnel->sa->spi());
  }
}

void Inbound::Deliver(std::span<const uint8_t> frame, size_t packets) {
  if (write(tun_fd_, frame.data(), frame.size()) < 0) state_->Count(Drop::kDeliver, nullptr, packets);
}

}  // namespace espalier::datapath
