// From the TUN to UDP 4500. The stages, in order, all on the worker thread:
//   1. read a frame (a packet, or a super-packet of many)
//   2. parse; policy by the flow cache; the destination's node and its outbound SA
//   3. no SA: hold (64 packets, 1 s), ask for one; it comes back here when the SA does
//   4. checksum completed, TCP's MSS clamped, what is too large answered with ICMP or fragmented
//   5. segments sealed one by one into the batch
//   6. one sendmmsg for the batch
#ifndef ESPALIER_AGENT_DATAPATH_OUTBOUND_H_
#define ESPALIER_AGENT_DATAPATH_OUTBOUND_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "agent/datapath/flow_cache.h"
#include "agent/datapath/frame.h"
#include "agent/datapath/hold_queue.h"
#include "agent/datapath/segmenter.h"
#include "agent/datapath/send_batch.h"
#include "agent/datapath/worker_state.h"
#include "agent/esp/path_mtu.h"

namespace espalier::datapath {

class Outbound {
 public:
  // All of them outlive this.
  Outbound(WorkerState* state, const Events* events, const Options* options, int tun_fd);

  // Reads up to a batch of frames and sends them. How many ESP packets; 0 and !*read: nothing was there.
  size_t Step(bool* read);
  // Their octets.
  size_t step_bytes() const { return step_bytes_; }

  // The peer has an outbound SA now: what waits for it goes.
  void Release(PeerId peer);
  // Another snapshot: what waits for an unknown destination is looked at again.
  void SnapshotChanged();
  // A router says that a tunnel's packets are too large for the path.
  void PathTooBig(const esp::OuterTooBig& said);
  // Drops what has waited too long; forgets old path MTUs.
  void Expire();
  int64_t NextDeadline() const { return next_deadline_; }  // steady ns; INT64_MAX: nothing waits
  std::map<PeerId, uint64_t> Held() const;

 private:
  // `frame` is a virtio header and `size` - 10 octets of packet, with FrameBuffer::kTail octets of room behind.
  // `deadline_ns`: of a frame that waited; else 0.
  void Process(uint8_t* frame, size_t size, int64_t deadline_ns);
  void Again(std::vector<HeldFrame> held);
  void Hold(PeerId peer, const IpAddress& destination, ByteSpan frame, int64_t deadline_ns);
  void Send(OutboundTunnel* tunnel, const VirtioHeader& header, std::span<uint8_t> packet,
            const esp::InnerPacket& inner);
  void SendOversize(OutboundTunnel* tunnel, std::span<uint8_t> packet, const esp::InnerPacket& inner);
  void Seal(OutboundTunnel* tunnel, std::span<uint8_t> packet, const esp::InnerPacket& inner);
  const IpAddress* LocalAddress(bool v6) const;

  WorkerState* state_;
  const Events* events_;
  const Options* options_;
  int tun_fd_;
  FrameBuffer buffer_, again_;
  Segmenter segmenter_;
  FlowCache flows_;
  SendBatch batch_;
  HoldBudget budget_;
  HoldQueue<PeerId> held_;
  HoldQueue<IpAddress> unplaced_;  // inside the mesh, of no known node
  int64_t next_deadline_ = INT64_MAX;
  int64_t next_path_check_ns_ = INT64_MAX;
  size_t step_bytes_ = 0;
  RateLimit too_big_{1000, 100};
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_OUTBOUND_H_
