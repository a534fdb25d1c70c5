#include "agent/datapath/tun_device.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace espalier::datapath {
namespace {

// At the default of 500, bursts of small packets are dropped without a word.
constexpr uint32_t kTransmitQueue = 4000;
// Packets that pods send are built for their own device (64 KiB): with less here, the kernel would cut them up first.
constexpr uint32_t kGsoMaxSize = 65536;

constexpr uint8_t kHostAddress[4] = {169, 254, 69, 83};  // of scope host, never a source

absl::Status Error(absl::string_view operation, absl::string_view object) {
  const int e = errno;
  return absl::ErrnoToStatus(e, absl::StrCat(operation, " ", object));
}

// One request over rtnetlink, acknowledged.
absl::Status Request(nlmsghdr* h, absl::string_view operation, absl::string_view object) {
  h->nlmsg_flags = static_cast<uint16_t>(h->nlmsg_flags | NLM_F_REQUEST | NLM_F_ACK);
  h->nlmsg_seq = 1;
  mnl_socket* s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (s == nullptr) return Error("socket", "NETLINK_ROUTE");
  absl::Status status;
  char answer[4096];
  if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
    status = Error("bind", "NETLINK_ROUTE");
  } else if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0) {
    status = Error(operation, object);
  } else {
    const ssize_t n = mnl_socket_recvfrom(s, answer, sizeof(answer));
    if (n < 0 || mnl_cb_run(answer, static_cast<size_t>(n), 1, mnl_socket_get_portid(s), nullptr, nullptr) < 0) {
      status = Error(operation, object);
    }
  }
  mnl_socket_close(s);
  return status;
}

absl::Status SetLink(int index, const std::string& name, int mtu) {
  char buffer[1024];
  nlmsghdr* h = mnl_nlmsg_put_header(buffer);
  h->nlmsg_type = RTM_NEWLINK;
  auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifinfomsg)));
  link->ifi_family = AF_UNSPEC;
  link->ifi_index = index;
  link->ifi_change = IFF_UP;
  link->ifi_flags = IFF_UP;
  mnl_attr_put_u32(h, IFLA_MTU, static_cast<uint32_t>(mtu));
  mnl_attr_put_u32(h, IFLA_TXQLEN, kTransmitQueue);
  mnl_attr_put_u32(h, IFLA_GSO_MAX_SIZE, kGsoMaxSize);
  return Request(h, "RTM_NEWLINK", name);
}

// A loose reverse-path check drops everything on a device without any IPv4 address whose route doesn't lead back to it
// (net/ipv4/fib_frontend.c: no_addr). So it gets one that means nothing outside this host.
absl::Status AddHostAddress(int index, const std::string& name) {
  char buffer[1024];
  nlmsghdr* h = mnl_nlmsg_put_header(buffer);
  h->nlmsg_type = RTM_NEWADDR;
  h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
  auto* address = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifaddrmsg)));
  address->ifa_family = AF_INET;
  address->ifa_prefixlen = 32;
  address->ifa_scope = RT_SCOPE_HOST;
  address->ifa_index = static_cast<uint32_t>(index);
  mnl_attr_put(h, IFA_LOCAL, sizeof(kHostAddress), kHostAddress);
  mnl_attr_put(h, IFA_ADDRESS, sizeof(kHostAddress), kHostAddress);
  return Request(h, "RTM_NEWADDR", name);
}

// Writes net.FAMILY.conf.DEVICE.KEY of this thread's network namespace.
absl::Status SetSysctl(absl::string_view family, const std::string& device, absl::string_view key,
                       absl::string_view value) {
  const std::string path = absl::StrCat("/proc/sys/net/", family, "/conf/", device, "/", key);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Error("open", path);
  absl::Status status;
  if (write(fd, value.data(), value.size()) < 0) status = Error("write", path);
  close(fd);
  return status;
}

absl::Status SetOffloads(int fd, const std::string& name) {
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd, TUNSETOFFLOAD, kTcp | TUN_F_USO4 | TUN_F_USO6) == 0) return absl::OkStatus();
  if (errno == EINVAL && ioctl(fd, TUNSETOFFLOAD, kTcp) == 0) {  // before Linux 6.2
    LOG(INFO) << "no UDP segmentation offload on the TUN device=" << name;
    return absl::OkStatus();
  }
  return Error("TUNSETOFFLOAD", name);
}

}  // namespace

absl::StatusOr<TunDevice> TunDevice::Open(const std::string& name, int mtu) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return absl::InvalidArgumentError(absl::StrCat("device name '", name, "' is not 1 to 15 characters long"));
  }
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Error("open", "/dev/net/tun");
  TunDevice tun(fd, name);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(fd, TUNSETIFF, &request) != 0) return Error("TUNSETIFF", name);
  if (ioctl(fd, TUNSETPERSIST, 1) != 0) return Error("TUNSETPERSIST", name);
  if (absl::Status s = SetOffloads(fd, name); !s.ok()) return s;
  tun.index_ = static_cast<int>(if_nametoindex(name.c_str()));
  if (tun.index_ == 0) return Error("if_nametoindex", name);

  // The device says nothing of its own accord.
  if (access("/proc/sys/net/ipv6", F_OK) == 0) {
    if (absl::Status s = SetSysctl("ipv6", name, "disable_ipv6", "0"); !s.ok()) return s;
    if (absl::Status s = SetSysctl("ipv6", name, "addr_gen_mode", "1"); !s.ok()) return s;
    if (absl::Status s = SetSysctl("ipv6", name, "accept_ra", "0"); !s.ok()) return s;
  }
  // Pods behind the tunnel are routed by another device: loose. Our own ICMP errors have the node's address: accepted.
  if (absl::Status s = SetSysctl("ipv4", name, "rp_filter", "2"); !s.ok()) return s;
  if (absl::Status s = SetSysctl("ipv4", name, "accept_local", "1"); !s.ok()) return s;
  if (absl::Status s = AddHostAddress(tun.index_, name); !s.ok()) return s;
  if (absl::Status s = SetLink(tun.index_, name, mtu); !s.ok()) return s;
  return tun;
}

TunDevice::TunDevice(TunDevice&& o) noexcept
    : fd_(std::exchange(o.fd_, -1)), index_(o.index_), name_(std::move(o.name_)) {}

TunDevice::~TunDevice() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace espalier::datapath
