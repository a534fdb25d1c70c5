// Carries packets in ESP tunnels. One interface for the kernel's XFRM and for the userspace datapath.
//
// Threads: every method is called on the control thread. Events are called on a datapath thread: the receiver posts.
#ifndef ESPALIER_AGENT_DATAPATH_DATAPATH_H_
#define ESPALIER_AGENT_DATAPATH_DATAPATH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/ike/host.h"
#include "agent/policy/snapshot.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::datapath {

using ike::EspSa;
using ike::PeerId;

// Every cause for which the datapath drops a packet: one list for counters, metrics and docs. Numbers are stable.
#define ESPALIER_DATAPATH_DROPS(X)                                                      \
  X(NoSa, 0, "no_sa", "ESP with an unknown SPI")                                        \
  X(Replay, 1, "replay", "sequence number seen before, or left of the window")          \
  X(Icv, 2, "icv", "integrity check failed")                                            \
  X(Malformed, 3, "malformed", "not a well-formed ESP or inner packet")                 \
  X(Source, 4, "inner_source", "inner source address does not belong to the SA's peer") \
  X(Policy, 5, "policy", "the verdict for the inner packet forbids it here")            \
  X(HoldFull, 6, "hold_full", "the hold queue was full")                                \
  X(HoldExpired, 7, "hold_expired", "no tunnel within the hold time")                   \
  X(TooBig, 8, "too_big", "larger than the tunnel's MTU; an ICMP too big was sent")     \
  X(Sequence, 9, "sequence", "the SA's sequence numbers are used up")                   \
  X(Send, 10, "send", "the kernel refused to send")                                     \
  X(Deliver, 11, "deliver", "the kernel refused to take the opened packet")             \
  X(Destination, 12, "destination", "no node is known for the destination")             \
  X(Ecn, 13, "ecn", "outer CE on an inner packet that cannot carry it (RFC 6040)")

enum class Drop : uint8_t {
#define X(name, number, text, help) k##name = number,
  ESPALIER_DATAPATH_DROPS(X)
#undef X
      kCount
};

struct SaCounters {
  PeerId peer = 0;
  uint32_t spi = 0;
  bool inbound = false;
  uint64_t packets = 0, bytes = 0;  // inner packets and octets
  uint64_t sequence = 0;            // highest sent or accepted
  absl::Time last_used = absl::InfinitePast();
  std::map<Drop, uint64_t> drops;
};

struct Events {
  std::function<void(PeerId)> acquire;                                      // held traffic waits for this peer
  std::function<void(uint32_t spi_in)> first_inbound;                       // first valid packet of an inbound SA
  std::function<void(Endpoint local, Endpoint remote, Bytes message)> ike;  // an IKE message (marker taken off)
  std::function<void(Endpoint local, Endpoint remote, uint32_t spi)> unknown_spi;  // at most 10 a second
};

struct Options {
  std::string device = "esp0";             // the TUN (user) or xfrm interface
  std::vector<IpAddress> local_addresses;  // where UDP 4500 is bound, one a family
  uint16_t port = 4500;
  int outer_mtu = 1500;
  absl::Duration hold_time = absl::Seconds(1);
  size_t hold_packets = 64, hold_bytes = 256 * 1024;  // for each peer
  size_t hold_total_bytes = 16 * 1024 * 1024;
};

class Datapath {
 public:
  virtual ~Datapath() = default;

  virtual absl::Status InstallInbound(EspSa sa) = 0;
  // The peer's outbound SA from here on; the previous one stays known until removed, but sends no more. Held packets
  // go out.
  virtual absl::Status InstallOutbound(EspSa sa) = 0;
  virtual void RemoveInbound(uint32_t spi) = 0;
  virtual void RemoveOutbound(PeerId peer, uint32_t spi) = 0;
  // The policy that decides for packets of the TUN and for opened ones. Atomic.
  virtual void SetSnapshot(std::shared_ptr<const policy::Snapshot> snapshot) = 0;
  virtual void SendIke(const Endpoint& local, const Endpoint& remote, ByteSpan message) = 0;

  virtual std::vector<SaCounters> Counters() = 0;
  virtual std::map<Drop, uint64_t> Drops() = 0;   // those of no SA too, since start
  virtual std::map<PeerId, uint64_t> Held() = 0;  // packets waiting now
  virtual int inner_mtu() const = 0;
  virtual std::string device() const = 0;
  virtual int device_index() const = 0;
};

// The userspace datapath: a TUN, UDP sockets, one worker thread. Errors name the operation, the object and errno.
absl::StatusOr<std::unique_ptr<Datapath>> CreateUserDatapath(Options options, Events events);

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_DATAPATH_H_
