#include "agent/datapath/icmp_socket.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"

namespace espalier::datapath {
namespace {

constexpr int kMessagesACall = 32;
constexpr size_t kMaxMessage = 1500;

}  // namespace

absl::StatusOr<std::unique_ptr<IcmpSocket>> IcmpSocket::Open(bool v6) {
  const int fd =
      socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  if (fd < 0) return absl::ErrnoToStatus(errno, v6 ? "socket ICMPv6" : "socket ICMP");
  std::unique_ptr<IcmpSocket> out(new IcmpSocket(fd, v6));
  int done = 0;
  if (v6) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
    done = setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
  } else {
    icmp_filter filter{};
    filter.data = ~(1u << ICMP_DEST_UNREACH);
    done = setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter));
  }
  if (done != 0) return absl::ErrnoToStatus(errno, v6 ? "setsockopt ICMP6_FILTER" : "setsockopt ICMP_FILTER");
  return out;
}

IcmpSocket::~IcmpSocket() { close(fd_); }

void IcmpSocket::Receive(uint16_t port, const std::function<void(const esp::OuterTooBig&)>& handle) {
  uint8_t message[kMaxMessage];
  for (int i = 0; i < kMessagesACall; ++i) {
    const ssize_t n = recv(fd_, message, sizeof(message), 0);
    if (n <= 0) return;
    esp::OuterTooBig found;
    if (esp::ParseOuterTooBig({message, static_cast<size_t>(n)}, v6_, port, &found)) handle(found);
  }
}

}  // namespace espalier::datapath
