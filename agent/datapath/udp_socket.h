// The UDP socket of one local address at port 4500: ESP and IKE in both directions (RFC 3948), in trains of equal
// packets where the kernel can (UDP_SEGMENT, UDP_GRO).
#ifndef ESPALIER_AGENT_DATAPATH_UDP_SOCKET_H_
#define ESPALIER_AGENT_DATAPATH_UDP_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::datapath {

// A sockaddr of either family.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  static SocketAddress Of(const Endpoint& endpoint);
};
Endpoint EndpointOf(const sockaddr_storage& address);

// What one datagram of a train looks like.
struct Datagrams {
  std::span<uint8_t> data;    // one after the other
  size_t segment_size = 0;    // of each but perhaps the last
  uint8_t traffic_class = 0;  // of the outer headers (a train has one)
  const sockaddr_storage* from = nullptr;
};

// Receive() and Send() from one thread at a time; SendOne() from any other.
class UdpSocket {
 public:
  // Binds in the network namespace of the calling thread. Errors name the operation, the endpoint, errno.
  static absl::StatusOr<std::unique_ptr<UdpSocket>> Open(const Endpoint& local);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  // Takes what has come, up to one batch; `handle` may write over the octets. False: nothing was there.
  bool Receive(const std::function<void(const Datagrams&)>& handle);

  // Sends up to `count` messages that the caller prepared; how many were taken (at least 1 unless *error is set to an
  // errno, which is then that of the first).
  size_t Send(mmsghdr* messages, size_t count, int* error);

  // One datagram from any thread; larger than the path: fragmented by IP.
  absl::Status SendOne(const Endpoint& remote, ByteSpan head, ByteSpan body);

  // Throws away what ICMP errors have left, so that they don't wake poll() for ever.
  void DrainErrors();

  int fd() const { return fd_; }
  const Endpoint& local() const { return local_; }

 private:
  static constexpr size_t kMessages = 4;
  static constexpr size_t kMessageSize = 65536;

  UdpSocket(int fd, const Endpoint& local);
  absl::Status Configure();

  int fd_;
  Endpoint local_;
  std::unique_ptr<uint8_t[]> memory_;
  std::array<mmsghdr, kMessages> messages_{};
  std::array<iovec, kMessages> vectors_{};
  std::array<sockaddr_storage, kMessages> sources_{};
  struct Control {
    alignas(cmsghdr) char octets[CMSG_SPACE(sizeof(int)) * 2];
  };
  std::array<Control, kMessages> controls_{};
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_UDP_SOCKET_H_
