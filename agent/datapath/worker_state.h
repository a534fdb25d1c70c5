// What the worker thread owns: SAs, the snapshot, counters. Nobody else touches it while the worker runs; the control
// thread has its commands run by the worker (worker.h).
#ifndef ESPALIER_AGENT_DATAPATH_WORKER_STATE_H_
#define ESPALIER_AGENT_DATAPATH_WORKER_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "agent/datapath/datapath.h"
#include "agent/datapath/send_batch.h"
#include "agent/datapath/udp_socket.h"
#include "agent/esp/inbound_sa.h"
#include "agent/esp/outbound_sa.h"

namespace espalier::datapath {

inline constexpr size_t kDropCount = static_cast<size_t>(Drop::kCount);
using DropCounts = std::array<uint64_t, kDropCount>;

struct SaCounts {
  uint64_t packets = 0, bytes = 0;
  int64_t last_used_ns = 0;  // wall clock, since the epoch; 0: never
  DropCounts drops{};
};

struct OutboundTunnel {
  PeerId peer = 0;
  std::unique_ptr<esp::OutboundSa> sa;
  Route route;
  IpAddress remote;
  size_t inner_mtu = 0;       // of the path as it is believed now
  int64_t path_until_ns = 0;  // steady clock: when a smaller path MTU is forgotten; 0: there is none
  SaCounts counts;
};

struct InboundTunnel {
  PeerId peer = 0;
  std::unique_ptr<esp::InboundSa> sa;
  size_t inner_mtu = 0;  // of the way back, for TCP's MSS
  bool seen = false;     // a valid packet has come
  SaCounts counts;
};

struct Peer {
  std::unique_ptr<OutboundTunnel> current;
  std::vector<std::unique_ptr<OutboundTunnel>> previous;  // until removed; send nothing
  int64_t acquired_ns = INT64_MIN;                        // when the last acquire event went out
};

struct WorkerState {
  std::unordered_map<uint32_t, std::unique_ptr<InboundTunnel>> inbound;  // by SPI
  std::unordered_map<PeerId, Peer> peers;
  std::shared_ptr<const policy::Snapshot> snapshot;
  uint64_t generation = 0;  // counts snapshots; 0: none yet
  DropCounts drops{};
  int64_t now_ns = 0;   // steady clock, read once a pass
  int64_t wall_ns = 0;  // wall clock likewise

  void Count(Drop drop, SaCounts* sa = nullptr, uint64_t packets = 1) {
    drops[static_cast<size_t>(drop)] += packets;
    if (sa != nullptr) sa->drops[static_cast<size_t>(drop)] += packets;
  }
};

// Lets `rate` a second pass, in bursts of up to `burst`. Time goes in.
class RateLimit {
 public:
  RateLimit(int64_t rate, int64_t burst) : interval_ns_(1'000'000'000 / rate), burst_(burst) {}
  bool Take(int64_t now_ns) {
    const int64_t earliest = now_ns - burst_ * interval_ns_;
    if (next_ns_ < earliest) next_ns_ = earliest;
    if (next_ns_ > now_ns - interval_ns_) return false;
    next_ns_ += interval_ns_;
    return true;
  }

 private:
  int64_t interval_ns_, burst_;
  int64_t next_ns_ = INT64_MIN / 2;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_WORKER_STATE_H_
