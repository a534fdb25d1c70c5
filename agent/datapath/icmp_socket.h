// Hears the ICMP errors that say that outer packets are too large for the path. A raw socket, beside the UDP sockets,
// so that no error is ever reported to (and none delays) the sending of packets.
#ifndef ESPALIER_AGENT_DATAPATH_ICMP_SOCKET_H_
#define ESPALIER_AGENT_DATAPATH_ICMP_SOCKET_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/esp/path_mtu.h"

namespace espalier::datapath {

// One family. One thread.
class IcmpSocket {
 public:
  // In the network namespace of the calling thread.
  static absl::StatusOr<std::unique_ptr<IcmpSocket>> Open(bool v6);
  ~IcmpSocket();
  IcmpSocket(const IcmpSocket&) = delete;
  IcmpSocket& operator=(const IcmpSocket&) = delete;

  // Takes what has come, a bounded number a call; `handle` gets those about packets from our `port`.
  void Receive(uint16_t port, const std::function<void(const esp::OuterTooBig&)>& handle);

 private:
  IcmpSocket(int fd, bool v6) : fd_(fd), v6_(v6) {}

  int fd_;
  bool v6_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_ICMP_SOCKET_H_
