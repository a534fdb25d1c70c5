#include "agent/datapath/outbound.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/esp/fragment.h"
#include "agent/esp/icmp_too_big.h"
#include "agent/esp/mss_clamp.h"
#include "agent/esp/tunnel_rules.h"

namespace espalier::datapath {
namespace {

constexpr int kFramesAStep = 64;
constexpr size_t kFlushAt = 16;                  // segments of one frame: enough for a system call of their own
constexpr size_t kYieldMin = 2, kYieldMax = 31;  // small packets for which it pays to let the sender go on
constexpr size_t kUnplacedDestinations = 256;
constexpr int64_t kAcquireInterval = 100'000'000;
constexpr int64_t kPathMtuLife = 600'000'000'000;  // RFC 8201 section 4: ten minutes
constexpr int64_t kPathCheckInterval = 5'000'000'000;

HoldLimits Limits(const Options& o, size_t keys) {
  return {o.hold_packets, o.hold_bytes, keys, absl::ToInt64Nanoseconds(o.hold_time)};
}

}  // namespace

Outbound::Outbound(WorkerState* state, const Events* events, const Options* options, int tun_fd)
    : state_(state),
      events_(events),
      options_(options),
      tun_fd_(tun_fd),
      batch_([this](void* owner, size_t packets, int) {
        state_->Count(Drop::kSend, &static_cast<OutboundTunnel*>(owner)->counts, packets);
      }),
      budget_{options->hold_total_bytes, 0},
      held_(Limits(*options, SIZE_MAX), &budget_),
      unplaced_(Limits(*options, kUnplacedDestinations), &budget_) {}

size_t Outbound::Step(bool* read_any) {
  size_t sent = 0;
  step_bytes_ = 0;
  bool yielded = false;
  *read_any = false;
  for (int i = 0; i < kFramesAStep; ++i) {
    const ssize_t n = read(tun_fd_, buffer_.frame(), kVirtioHeaderSize + kMaxPacket);
    if (n < 0) {
      if (errno == EINTR) continue;
      // A few small packets: their sender may have more in hand than this thread left it time for.
      if (!yielded && batch_.packets() >= kYieldMin && batch_.packets() <= kYieldMax) {
        yielded = true;
        sched_yield();
        continue;
      }
      break;
    }
    *read_any = true;
    const size_t before = batch_.packets();
    Process(buffer_.frame(), static_cast<size_t>(n), 0);
    const size_t added = batch_.packets() > before ? batch_.packets() - before : 0;
    sent += added;
    if (added >= kFlushAt) batch_.Flush();
  }
  batch_.Flush();
  return sent;
}

void Outbound::Process(uint8_t* frame, size_t size, int64_t deadline_ns) {
  VirtioHeader header;
  esp::InnerPacket inner;
  if (size <= kVirtioHeaderSize) return state_->Count(Drop::kMalformed);
  std::memcpy(&header, frame, kVirtioHeaderSize);
  std::span<uint8_t> packet(frame + kVirtioHeaderSize, size - kVirtioHeaderSize);
  if (!esp::ParseInner(packet, &inner)) return state_->Count(Drop::kMalformed);
  packet = packet.first(inner.total_size);
  if (state_->snapshot == nullptr) {
    return Hold(0, inner.destination, {frame, size}, deadline_ns);
  }
  const policy::Decision& decision = flows_.Decide(*state_->snapshot, state_->generation, inner);
  switch (decision.verdict) {
    case policy::Verdict::kSend:
    case policy::Verdict::kRequire:
    case policy::Verdict::kPrefer:
      break;
    case policy::Verdict::kPass:
      // Steering and we change policy one after the other, so for a moment it may still send what need not be encrypted
      // any more. ESP is always accepted: it goes on that way rather than being lost.
      if (decision.destination.node_id == 0) return state_->Count(Drop::kPolicy);
      break;
    case policy::Verdict::kDeny:
      return state_->Count(Drop::kPolicy);
  }
  if (decision.destination.local) return state_->Count(Drop::kPolicy);
  const PeerId peer = decision.destination.node_id;
  if (peer == 0 && decision.destination.identity != v1::IDENTITY_UNKNOWN) return state_->Count(Drop::kDestination);
  OutboundTunnel* tunnel = nullptr;
  if (peer != 0) {
    auto it = state_->peers.find(peer);
    if (it != state_->peers.end()) tunnel = it->second.current.get();
  }
  if (tunnel == nullptr) return Hold(peer, inner.destination, {frame, size}, deadline_ns);
  Send(tunnel, header, packet, inner);
}

void Outbound::Hold(PeerId peer, const IpAddress& destination, ByteSpan frame, int64_t deadline_ns) {
  const bool kept = peer != 0 ? held_.Add(peer, frame, state_->now_ns, deadline_ns)
                              : unplaced_.Add(destination, frame, state_->now_ns, deadline_ns);
  if (kept) {
    const int64_t deadline =
        deadline_ns != 0 ? deadline_ns : state_->now_ns + absl::ToInt64Nanoseconds(options_->hold_time);
    next_deadline_ = std::min(next_deadline_, deadline);
  } else {
    state_->Count(Drop::kHoldFull);
  }
  if (peer == 0) return;
  Peer& p = state_->peers[peer];
  if (p.acquired_ns != INT64_MIN && state_->now_ns - p.acquired_ns < kAcquireInterval) return;
  p.acquired_ns = state_->now_ns;
  events_->acquire(peer);
}

void Outbound::Send(OutboundTunnel* tunnel, const VirtioHeader& header, std::span<uint8_t> packet,
                    const esp::InnerPacket& inner) {
  if (IsSuperPacket(header)) {
    if (!segmenter_.Start(header, packet, inner, tunnel->inner_mtu)) return state_->Count(Drop::kMalformed);
    std::span<uint8_t> segment;
    if (segmenter_.segment_size() > tunnel->inner_mtu) {  // UDP: datagrams keep their size
      while (segmenter_.Next(&segment)) {
        esp::InnerPacket one;
        if (!esp::ParseInner(segment, &one)) continue;
        if (one.total_size > tunnel->inner_mtu) {
          SendOversize(tunnel, segment, one);
        } else {
          Seal(tunnel, segment, one);
        }
      }
      return;
    }
    while (segmenter_.Next(&segment)) Seal(tunnel, segment, inner);
    return;
  }
  if (!CompleteChecksum(header, packet)) return state_->Count(Drop::kMalformed);
  if (packet.size() > tunnel->inner_mtu) return SendOversize(tunnel, packet, inner);
  if (inner.protocol == esp::kProtocolTcp) esp::ClampMss(packet, inner, tunnel->inner_mtu);
  Seal(tunnel, packet, inner);
}

const IpAddress* Outbound::LocalAddress(bool v6) const {
  for (const IpAddress& a : options_->local_addresses) {
    if (a.is_v6() == v6) return &a;
  }
  return nullptr;
}

void Outbound::SendOversize(OutboundTunnel* tunnel, std::span<uint8_t> packet, const esp::InnerPacket& inner) {
  if (!inner.dont_fragment) {
    for (Bytes& f : esp::FragmentIpv4(packet, inner, tunnel->inner_mtu, FrameBuffer::kTail)) {
      Seal(tunnel, std::span<uint8_t>(f).first(f.size() - FrameBuffer::kTail), inner);
    }
    return;
  }
  state_->Count(Drop::kTooBig, &tunnel->counts);
  const IpAddress* source = LocalAddress(inner.v6);
  // A node without an address of the inner family speaks in the name of the packet's destination.
  if (source == nullptr) source = &inner.destination;
  if (!too_big_.Take(state_->now_ns)) return;
  const Bytes answer = esp::BuildTooBig(packet, inner, *source, tunnel->inner_mtu);
  if (answer.empty()) return;
  Bytes frame(kVirtioHeaderSize + answer.size());
  std::copy(answer.begin(), answer.end(), frame.begin() + kVirtioHeaderSize);
  if (write(tun_fd_, frame.data(), frame.size()) < 0) state_->Count(Drop::kDeliver);
}

void Outbound::Seal(OutboundTunnel* tunnel, std::span<uint8_t> packet, const esp::InnerPacket& inner) {
  uint8_t* out = batch_.Reserve(esp::SealedSize(packet.size()));
  const size_t size = tunnel->sa->Seal(packet.data(), packet.size(), inner.v6 ? esp::kNextIpv6 : esp::kNextIpv4, out);
  if (size == 0) return state_->Count(Drop::kSequence, &tunnel->counts);
  batch_.Commit(&tunnel->route, size, inner.traffic_class);
  step_bytes_ += size;
  ++tunnel->counts.packets;
  tunnel->counts.bytes += packet.size();
  tunnel->counts.last_used_ns = state_->wall_ns;
}

void Outbound::Again(std::vector<HeldFrame> held) {
  for (HeldFrame& h : held) {
    if (h.deadline_ns <= state_->now_ns) {
      state_->Count(Drop::kHoldExpired);
      continue;
    }
    std::memcpy(again_.frame(), h.frame.data(), h.frame.size());
    Process(again_.frame(), h.frame.size(), h.deadline_ns);
  }
  batch_.Flush();
}

void Outbound::Release(PeerId peer) { Again(held_.Take(peer)); }

void Outbound::SnapshotChanged() { Again(unplaced_.TakeAll()); }

void Outbound::PathTooBig(const esp::OuterTooBig& said) {
  for (auto& [id, peer] : state_->peers) {
    OutboundTunnel* t = peer.current.get();
    if (t == nullptr || t->sa->spi() != said.spi || t->remote != said.destination) continue;
    const bool v6 = t->remote.is_v6();
    const size_t path = std::max(said.mtu, v6 ? esp::kMinPathMtuV6 : esp::kMinPathMtuV4);
    const size_t inner = esp::InnerMtu(path, v6);
    if (inner >= t->inner_mtu) continue;
    LOG(INFO) << absl::StrCat("path MTU peer=", id, " mtu=", path);
    t->inner_mtu = inner;
    t->path_until_ns = state_->now_ns + kPathMtuLife;
    next_path_check_ns_ = std::min(next_path_check_ns_, state_->now_ns + kPathCheckInterval);
  }
}

void Outbound::Expire() {
  if (state_->now_ns >= next_path_check_ns_) {
    next_path_check_ns_ = INT64_MAX;
    for (auto& [id, peer] : state_->peers) {
      OutboundTunnel* t = peer.current.get();
      if (t == nullptr || t->path_until_ns == 0) continue;
      if (t->path_until_ns > state_->now_ns) {
        next_path_check_ns_ = state_->now_ns + kPathCheckInterval;
        continue;
      }
      t->inner_mtu = esp::InnerMtu(static_cast<size_t>(options_->outer_mtu), t->remote.is_v6());
      t->path_until_ns = 0;
    }
  }
  if (state_->now_ns < next_deadline_) return;
  const size_t dropped = held_.Expire(state_->now_ns) + unplaced_.Expire(state_->now_ns);
  if (dropped > 0) state_->Count(Drop::kHoldExpired, nullptr, dropped);
  next_deadline_ = std::min(held_.NextDeadline(), unplaced_.NextDeadline());
}

std::map<PeerId, uint64_t> Outbound::Held() const {
  std::map<PeerId, uint64_t> out;
  held_.ForEach([&out](PeerId peer, size_t packets) { out[peer] += packets; });
  // Peer 0 is nobody: destinations without a node.
  unplaced_.ForEach([&out](const IpAddress&, size_t packets) { out[0] += packets; });
  return out;
}

}  // namespace espalier::datapath
