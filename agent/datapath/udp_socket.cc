#include "agent/datapath/udp_socket.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace espalier::datapath {
namespace {

constexpr int kSocketBuffer = 4 << 20;

absl::Status Error(absl::string_view operation, const Endpoint& object) {
  const int e = errno;
  return absl::ErrnoToStatus(e, absl::StrCat(operation, " ", object.ToString()));
}

bool Set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof(value)) == 0; }

}  // namespace

SocketAddress SocketAddress::Of(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.is_v6()) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(&in.sin6_addr, endpoint.address.octets().data(), 16);
    std::memcpy(&out.storage, &in, sizeof(in));
    out.size = sizeof(in);
  } else {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.octets().data(), 4);
    std::memcpy(&out.storage, &in, sizeof(in));
    out.size = sizeof(in);
  }
  return out;
}

Endpoint EndpointOf(const sockaddr_storage& address) {
  Endpoint out;
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &address, sizeof(in));
    uint8_t octets[16];
    std::memcpy(octets, &in.sin6_addr, 16);
    out.address = IpAddress::V6(octets);
    out.port = ntohs(in.sin6_port);
  } else {
    sockaddr_in in;
    std::memcpy(&in, &address, sizeof(in));
    uint8_t octets[4];
    std::memcpy(octets, &in.sin_addr, 4);
    out.address = IpAddress::V4(octets);
    out.port = ntohs(in.sin_port);
  }
  return out;
}

UdpSocket::UdpSocket(int fd, const Endpoint& local)
    : fd_(fd), local_(local), memory_(new uint8_t[kMessages * kMessageSize]) {
  for (size_t i = 0; i < kMessages; ++i) {
    vectors_[i] = {memory_.get() + i * kMessageSize, kMessageSize};
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_name = &sources_[i];
    messages_[i].msg_hdr.msg_control = controls_[i].octets;
  }
}

UdpSocket::~UdpSocket() { close(fd_); }

absl::StatusOr<std::unique_ptr<UdpSocket>> UdpSocket::Open(const Endpoint& local) {
  const int family = local.address.is_v6() ? AF_INET6 : AF_INET;
  const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Error("socket", local);
  std::unique_ptr<UdpSocket> out(new UdpSocket(fd, local));
  if (absl::Status s = out->Configure(); !s.ok()) return s;
  const SocketAddress address = SocketAddress::Of(local);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) return Error("bind", local);
  return out;
}

absl::Status UdpSocket::Configure() {
  const bool v6 = local_.address.is_v6();
  // DF on ESP (RFC 4301 section 8.1, ours: set), whatever path MTU the kernel believes in.
  const bool done =
      (v6 ? Set(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 1) && Set(fd_, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) &&
                Set(fd_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
                Set(fd_, IPPROTO_IPV6, IPV6_FREEBIND, 1)
          : Set(fd_, IPPROTO_IP, IP_RECVTOS, 1) && Set(fd_, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) &&
                Set(fd_, IPPROTO_IP, IP_FREEBIND, 1));
  if (!done) return Error("setsockopt", local_);
  if (!Set(fd_, SOL_UDP, UDP_GRO, 1)) LOG(WARNING) << "no UDP_GRO socket=" << local_.ToString();
  if (!Set(fd_, SOL_SOCKET, SO_RCVBUFFORCE, kSocketBuffer)) Set(fd_, SOL_SOCKET, SO_RCVBUF, kSocketBuffer);
  if (!Set(fd_, SOL_SOCKET, SO_SNDBUFFORCE, kSocketBuffer)) Set(fd_, SOL_SOCKET, SO_SNDBUF, kSocketBuffer);
  return absl::OkStatus();
}

bool UdpSocket::Receive(const std::function<void(const Datagrams&)>& handle) {
  for (size_t i = 0; i < kMessages; ++i) {
    messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    messages_[i].msg_hdr.msg_controllen = sizeof(Control);
    messages_[i].msg_hdr.msg_flags = 0;
  }
  const int n = recvmmsg(fd_, messages_.data(), kMessages, MSG_DONTWAIT, nullptr);
  if (n <= 0) {
    if (n < 0 && errno != EAGAIN && errno != EINTR) DrainErrors();
    return false;
  }
  for (int i = 0; i < n; ++i) {
    msghdr& header = messages_[i].msg_hdr;
    if ((header.msg_flags & MSG_TRUNC) != 0) continue;
    Datagrams d;
    d.data = {static_cast<uint8_t*>(vectors_[i].iov_base), messages_[i].msg_len};
    d.segment_size = messages_[i].msg_len;
    d.from = &sources_[i];
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
        int size = 0;
        std::memcpy(&size, CMSG_DATA(c), sizeof(size));
        if (size > 0) d.segment_size = static_cast<size_t>(size);
      } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        d.traffic_class = *CMSG_DATA(c);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        int value = 0;
        std::memcpy(&value, CMSG_DATA(c), sizeof(value));
        d.traffic_class = static_cast<uint8_t>(value);
      }
    }
    handle(d);
  }
  return true;
}

size_t UdpSocket::Send(mmsghdr* messages, size_t count, int* error) {
  *error = 0;
  const int n = sendmmsg(fd_, messages, static_cast<unsigned>(count), MSG_DONTWAIT);
  if (n > 0) return static_cast<size_t>(n);
  *error = n < 0 ? errno : EAGAIN;
  return 0;
}

absl::Status UdpSocket::SendOne(const Endpoint& remote, ByteSpan head, ByteSpan body) {
  SocketAddress to = SocketAddress::Of(remote);
  iovec parts[2] = {{const_cast<uint8_t*>(head.data()), head.size()}, {const_cast<uint8_t*>(body.data()), body.size()}};
  msghdr message{};
  message.msg_name = &to.storage;
  message.msg_namelen = to.size;
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (sendmsg(fd_, &message, MSG_DONTWAIT) >= 0) return absl::OkStatus();
  if (errno != EMSGSIZE) return Error("sendmsg to", remote);
  // An IKE message with a long certificate chain: let IP fragment it (RFC 7383 section 1 says why that is second best).
  // ESP that leaves at the same moment only lacks its DF.
  const bool v6 = local_.address.is_v6();
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
  Set(fd_, level, option, v6 ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT);
  const ssize_t n = sendmsg(fd_, &message, MSG_DONTWAIT);
  const int saved = errno;
  Set(fd_, level, option, v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE);
  errno = saved;
  return n >= 0 ? absl::OkStatus() : Error("sendmsg to", remote);
}

void UdpSocket::DrainErrors() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
}

}  // namespace espalier::datapath
