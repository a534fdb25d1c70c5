#include "agent/steering/inventory.h"

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace espalier::steering {
namespace {

// What libmnl finds in a message, by attribute type; later ones of a type win.
template <size_t kMax>
struct Attributes {
  const nlattr* at[kMax + 1] = {};

  static int Keep(const nlattr* attribute, void* data) {
    auto* self = static_cast<Attributes*>(data);
    if (mnl_attr_get_type(attribute) <= kMax) self->at[mnl_attr_get_type(attribute)] = attribute;
    return MNL_CB_OK;
  }
  void Parse(const nlmsghdr* message, size_t header) { mnl_attr_parse(message, header, Keep, this); }
  void ParseNested(const nlattr* nest) { mnl_attr_parse_nested(nest, Keep, this); }

  int Index(int type) const {
    return at[type] != nullptr && mnl_attr_get_payload_len(at[type]) == 4 ? static_cast<int>(mnl_attr_get_u32(at[type]))
                                                                          : 0;
  }
  std::string Text(int type) const {
    if (at[type] == nullptr) return "";
    const char* text = static_cast<const char*>(mnl_attr_get_payload(at[type]));
    return std::string(text, strnlen(text, mnl_attr_get_payload_len(at[type])));
  }
};

// An address of the family, padded with zeros when the attribute is absent (a default route's).
bool ReadAddress(uint8_t family, const nlattr* attribute, IpAddress* out) {
  uint8_t octets[16] = {};
  const size_t size = family == AF_INET ? 4 : 16;
  if (family != AF_INET && family != AF_INET6) return false;
  if (attribute != nullptr) {
    if (mnl_attr_get_payload_len(attribute) != size) return false;
    std::memcpy(octets, mnl_attr_get_payload(attribute), size);
  }
  *out = family == AF_INET ? IpAddress::V4(std::span<const uint8_t, 4>(octets, 4))
                           : IpAddress::V6(std::span<const uint8_t, 16>(octets, 16));
  return true;
}

int OnLink(const nlmsghdr* message, void* data) {
  if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return MNL_CB_OK;
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  Attributes<IFLA_LINKINFO> attributes;
  attributes.Parse(message, sizeof(*info));
  Link link = {.index = info->ifi_index,
               .name = attributes.Text(IFLA_IFNAME),
               .kind = "",
               .ethernet = info->ifi_type == ARPHRD_ETHER,
               .up = (info->ifi_flags & IFF_UP) != 0,
               .loopback = (info->ifi_flags & IFF_LOOPBACK) != 0};
  if (attributes.at[IFLA_LINKINFO] != nullptr) {
    Attributes<IFLA_INFO_KIND> kind;
    kind.ParseNested(attributes.at[IFLA_LINKINFO]);
    link.kind = kind.Text(IFLA_INFO_KIND);
  }
  static_cast<Inventory*>(data)->links.push_back(std::move(link));
  return MNL_CB_OK;
}

int OnAddress(const nlmsghdr* message, void* data) {
  if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return MNL_CB_OK;
  const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
  Attributes<IFA_LOCAL> attributes;
  attributes.Parse(message, sizeof(*info));
  // IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL then is ours.
  const nlattr* own = attributes.at[IFA_LOCAL] != nullptr ? attributes.at[IFA_LOCAL] : attributes.at[IFA_ADDRESS];
  LinkAddress address = {.link = static_cast<int>(info->ifa_index), .address = {}};
  if (own != nullptr && ReadAddress(info->ifa_family, own, &address.address)) {
    static_cast<Inventory*>(data)->addresses.push_back(address);
  }
  return MNL_CB_OK;
}

int OnRoute(const nlmsghdr* message, void* data) {
  if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return MNL_CB_OK;
  const auto* info = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  if (info->rtm_type != RTN_UNICAST || info->rtm_table == RT_TABLE_LOCAL || (info->rtm_flags & RTM_F_CLONED) != 0) {
    return MNL_CB_OK;
  }
  Attributes<RTA_VIA> attributes;
  attributes.Parse(message, sizeof(*info));
  IpAddress destination;
  if (!ReadAddress(info->rtm_family, attributes.at[RTA_DST], &destination)) return MNL_CB_OK;
  auto* routes = &static_cast<Inventory*>(data)->routes;
  Route route = {.destination = IpPrefix(destination, info->rtm_dst_len),
                 .link = attributes.Index(RTA_OIF),
                 .gateway = attributes.at[RTA_GATEWAY] != nullptr || attributes.at[RTA_VIA] != nullptr};
  if (route.link != 0) routes->push_back(route);
  if (const nlattr* multipath = attributes.at[RTA_MULTIPATH]; multipath != nullptr) {
    const auto* hop = static_cast<const rtnexthop*>(mnl_attr_get_payload(multipath));
    int left = mnl_attr_get_payload_len(multipath);
    while (left >= static_cast<int>(sizeof(*hop)) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left) {
      route.link = hop->rtnh_ifindex;
      route.gateway = hop->rtnh_len > sizeof(*hop);
      routes->push_back(route);
      const int step = static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
      left -= step;
      hop = reinterpret_cast<const rtnexthop*>(reinterpret_cast<const char*>(hop) + step);
    }
  }
  return MNL_CB_OK;
}

class Socket {
 public:
  Socket() : socket_(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) {}
  ~Socket() {
    if (socket_ != nullptr) mnl_socket_close(socket_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  mnl_socket* get() const { return socket_; }

 private:
  mnl_socket* socket_;
};

absl::Status Dump(mnl_socket* socket, uint16_t type, size_t header, const char* what, mnl_cb_t callback,
                  Inventory* out) {
  static uint32_t sequence = 0;
  std::vector<char> buffer(32 * 1024);  // what the kernel fills at most for a dump
  nlmsghdr* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request->nlmsg_seq = ++sequence;
  std::memset(mnl_nlmsg_put_extra_header(request, header), 0, header);  // AF_UNSPEC: both families
  auto error = [what] { return absl::ErrnoToStatus(errno, absl::StrCat("rtnetlink: dump of ", what)); };
  if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) return error();
  const unsigned port = mnl_socket_get_portid(socket);
  const uint32_t expected = request->nlmsg_seq;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket, buffer.data(), buffer.size());
    if (size < 0) return error();
    const int more = mnl_cb_run(buffer.data(), static_cast<size_t>(size), expected, port, callback, out);
    if (more < 0) return error();
    if (more == MNL_CB_STOP) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<Inventory> TakeInventory() {
  // A dump that the kernel calls inconsistent (EINTR: something changed meanwhile) is taken again.
  constexpr int kAttempts = 5;
  absl::Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Socket socket;
    if (socket.get() == nullptr || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
      return absl::ErrnoToStatus(errno, "rtnetlink: socket");
    }
    Inventory inventory;
    status = Dump(socket.get(), RTM_GETLINK, sizeof(ifinfomsg), "links", OnLink, &inventory);
    if (status.ok()) status = Dump(socket.get(), RTM_GETADDR, sizeof(ifaddrmsg), "addresses", OnAddress, &inventory);
    if (status.ok()) status = Dump(socket.get(), RTM_GETROUTE, sizeof(rtmsg), "routes", OnRoute, &inventory);
    if (status.ok()) return inventory;
    if (!absl::IsUnavailable(status)) return status;  // EINTR is that
  }
  return status;
}

absl::StatusOr<std::unique_ptr<ChangeWatch>> ChangeWatch::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == nullptr) return absl::ErrnoToStatus(errno, "rtnetlink: socket");
  std::unique_ptr<ChangeWatch> watch(new ChangeWatch(socket));
  const unsigned groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
    return absl::ErrnoToStatus(errno, "rtnetlink: subscribe to links, addresses and routes");
  }
  return watch;
}

ChangeWatch::~ChangeWatch() { mnl_socket_close(socket_); }

int ChangeWatch::fd() const { return mnl_socket_get_fd(socket_); }

void ChangeWatch::Drain() {
  char buffer[8192];
  // ENOBUFS says that messages were lost, which is a change too.
  while (recv(fd(), buffer, sizeof(buffer), MSG_TRUNC) >= 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

}  // namespace espalier::steering
