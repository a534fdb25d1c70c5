// From UDP 4500 to the TUN. The stages, in order, all on the worker thread:
//   1. a train of datagrams: keepalive, IKE (to the control thread), or ESP by its SPI
//   2. open: replay, ICV, replay, padding (agent/esp/inbound_sa.h), right behind the pending super-packet
//   3. ECN of the outer header combined into the inner one (RFC 6040)
//   4. does it continue the pending super-packet? Then 5 to 7 have been done for its flow
//   5. parse; the source must be an address of the SA's peer, the destination one of this node, the verdict not Deny
//   6. TCP's MSS clamped
//   7. to the TUN, alone or as the first of the next super-packet
#ifndef ESPALIER_AGENT_DATAPATH_INBOUND_H_
#define ESPALIER_AGENT_DATAPATH_INBOUND_H_

#include <cstddef>
#include <cstdint>

#include "agent/datapath/coalescer.h"
#include "agent/datapath/flow_cache.h"
#include "agent/datapath/worker_state.h"

namespace espalier::datapath {

class Inbound {
 public:
  // All of them outlive this.
  Inbound(WorkerState* state, const Events* events, int tun_fd);

  // Takes one batch of a socket. How many packets came; 0: nothing was there.
  size_t Step(UdpSocket* socket);
  // Before an SA or the snapshot goes: nothing may refer to it.
  void Forget();
  // Octets of the last Step().
  size_t step_bytes() const { return step_bytes_; }

 private:
  void Handle(UdpSocket* socket, const Datagrams& datagrams);
  void HandleEsp(UdpSocket* socket, const Datagrams& datagrams, std::span<uint8_t> packet);
  void Check(InboundTunnel* tunnel, std::span<uint8_t> inner);
  InboundTunnel* Find(uint32_t spi);
  void Deliver(std::span<const uint8_t> frame, size_t packets);
  void Count(InboundTunnel* tunnel, size_t bytes);

  WorkerState* state_;
  const Events* events_;
  int tun_fd_;
  Coalescer coalescer_;
  FlowCache flows_;
  RateLimit unknown_spi_{10, 10};
  uint32_t last_spi_ = 0;
  InboundTunnel* last_tunnel_ = nullptr;
  size_t step_packets_ = 0, step_bytes_ = 0;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_INBOUND_H_
