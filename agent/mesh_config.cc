#include "agent/mesh_config.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"

namespace espalier {
namespace {

struct NamedSuite {
  ike::EspSuite suite;
  const char* name;
};
constexpr NamedSuite kSuites[] = {
    {ike::EspSuite::kAesGcm256, "AES-256-GCM"},
    {ike::EspSuite::kAesGcm128, "AES-128-GCM"},
    {ike::EspSuite::kChaCha20Poly1305, "CHACHA20-POLY1305"},
};

absl::StatusOr<std::vector<ike::EspSuite>> ParseSuites(const google::protobuf::RepeatedPtrField<std::string>& names,
                                                       const std::vector<ike::EspSuite>& fallback,
                                                       absl::string_view field) {
  if (names.empty()) return fallback;
  std::vector<ike::EspSuite> out;
  for (const std::string& name : names) {
    auto suite = ParseSuite(name);
    if (!suite.ok())
      return absl::InvalidArgumentError(absl::StrCat("profile/default ", field, ": ", suite.status().message()));
    out.push_back(*suite);
  }
  return out;
}

std::optional<IpAddress> AddressOf(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    std::array<uint8_t, 4> octets;
    std::memcpy(octets.data(), &in.sin_addr, octets.size());
    return IpAddress::V4(octets);
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof(in));
    std::array<uint8_t, 16> octets;
    std::memcpy(octets.data(), &in.sin6_addr, octets.size());
    return IpAddress::V6(octets);
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<ike::EspSuite> ParseSuite(absl::string_view name) {
  for (const NamedSuite& s : kSuites) {
    if (name == s.name) return s.suite;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" is no suite: use AES-256-GCM, AES-128-GCM or CHACHA20-POLY1305"));
}

absl::string_view SuiteName(ike::EspSuite suite) {
  for (const NamedSuite& s : kSuites) {
    if (suite == s.suite) return s.name;
  }
  return "unknown";
}

absl::StatusOr<ike::Config> EngineConfig(const policy::View& view) {
  ike::Config config;
  config.self = view.mesh.self_node_id();
  auto it = view.profiles.find("default");
  if (it == view.profiles.end()) return config;
  const v1::Profile& p = it->second;
  auto esp = ParseSuites(p.esp(), config.esp, "esp");
  if (!esp.ok()) return esp.status();
  auto ike_suites = ParseSuites(p.ike(), config.ike, "ike");
  if (!ike_suites.ok()) return ike_suites.status();
  config.esp = *std::move(esp);
  config.ike = *std::move(ike_suites);
  config.post_quantum = p.post_quantum();
  if (p.replay_window() != 0) config.replay_window = p.replay_window();
  if (p.rekey_seconds() != 0) config.child_lifetime = absl::Seconds(p.rekey_seconds());
  if (p.rekey_bytes() != 0) config.child_bytes = p.rekey_bytes();
  if (p.rekey_packets() != 0) config.child_packets = p.rekey_packets();
  if (p.ike_rekey_seconds() != 0) config.ike_lifetime = absl::Seconds(p.ike_rekey_seconds());
  if (p.dpd_seconds() != 0) config.dpd_interval = absl::Seconds(p.dpd_seconds());
  if (p.idle_seconds() != 0) config.child_idle = absl::Seconds(p.idle_seconds());
  return config;
}

std::string SpiffeId(absl::string_view trust_domain, absl::string_view node_uid) {
  return absl::StrCat("spiffe://", trust_domain, "/node/", node_uid);
}

std::vector<ike::Peer> EnginePeers(const policy::View& view, const std::vector<IpAddress>& local, uint16_t port) {
  std::vector<ike::Peer> peers;
  for (const auto& [id, node] : view.nodes) {
    if (id == view.mesh.self_node_id()) continue;
    std::vector<IpAddress> remote;
    for (const std::string& text : node.addresses()) {
      if (auto a = IpAddress::Parse(text); a.ok()) remote.push_back(*a);
    }
    std::stable_sort(remote.begin(), remote.end(), [](const auto& a, const auto& b) { return a.is_v6() < b.is_v6(); });
    for (const IpAddress& r : remote) {
      auto l = std::find_if(local.begin(), local.end(), [&](const IpAddress& a) { return a.is_v6() == r.is_v6(); });
      if (l == local.end()) continue;
      const std::string spiffe = SpiffeId(view.mesh.trust_domain(), node.uid());
      peers.push_back({.id = id,
                       .name = node.name(),
                       .key_id = Bytes(spiffe.begin(), spiffe.end()),
                       .local = {*l, port},
                       .remote = {r, port},
                       .boot_id = node.boot_id(),
                       .mlkem = node.mlkem()});
      break;
    }
  }
  return peers;
}

absl::StatusOr<int> OuterMtu(const std::vector<IpAddress>& local) {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return absl::InternalError(absl::StrCat("getifaddrs: ", std::strerror(errno)));
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw, freeifaddrs);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::InternalError(absl::StrCat("socket: ", std::strerror(errno)));
  int mtu = 0;
  absl::Status status;
  for (const IpAddress& address : local) {
    bool found = false;
    for (const ifaddrs* i = list.get(); i != nullptr && !found; i = i->ifa_next) {
      if (AddressOf(i->ifa_addr) != address) continue;
      ifreq request{};
      std::strncpy(request.ifr_name, i->ifa_name, IFNAMSIZ - 1);
      if (ioctl(fd, SIOCGIFMTU, &request) != 0) continue;
      found = true;
      mtu = mtu == 0 ? request.ifr_mtu : std::min(mtu, request.ifr_mtu);
    }
    if (!found) {
      status = absl::NotFoundError(absl::StrCat("--local-address ", address.ToString(),
                                                ": no device of this node has it; give the node's own address"));
    }
  }
  close(fd);
  if (!status.ok()) return status;
  return mtu;
}

}  // namespace espalier
