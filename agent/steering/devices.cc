#include "agent/steering/devices.h"

#include <algorithm>
#include <array>

#include "absl/strings/string_view.h"
#include "agent/policy/identity.h"

namespace espalier::steering {
namespace {

constexpr std::array<absl::string_view, 12> kTunnelKinds = {"vxlan",     "geneve", "ipip",    "sit",
                                                            "ip6tnl",    "gre",    "gretap",  "ip6gre",
                                                            "ip6gretap", "erspan", "bareudp", "wireguard"};

bool IsTunnel(const Link& link) {
  return std::find(kTunnelKinds.begin(), kTunnelKinds.end(), link.kind) != kTunnelKinds.end();
}

bool LeadsIntoTheMesh(const Route& route, const Surroundings& s) {
  const IpPrefix& to = route.destination;
  if (to.length() == 0) return true;
  if (to.length() == to.address().bits() && !route.gateway) return false;
  for (const IpPrefix& own : s.own) {
    if (own.Contains(to)) return false;
  }
  return std::any_of(s.mesh.begin(), s.mesh.end(), [&to](const IpPrefix& mesh) { return mesh.Overlaps(to); });
}

Device DeviceOf(const Link& link) { return {.index = link.index, .name = link.name, .ethernet = link.ethernet}; }

}  // namespace

Surroundings Surroundings::Of(const std::vector<policy::IpcacheRow>& ipcache,
                              const std::vector<IpPrefix>& own_pod_cidrs) {
  Surroundings s;
  s.own = own_pod_cidrs;
  auto within = [](const std::vector<IpPrefix>& prefixes, const IpPrefix& prefix) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const IpPrefix& p) { return p.Contains(prefix); });
  };
  for (const policy::IpcacheRow& row : ipcache) {
    if (policy::ReservedOf(row.who.identity) == policy::kHost) {
      s.node_addresses.push_back(row.prefix.address());
    } else if (row.who.local) {
      if (!within(own_pod_cidrs, row.prefix)) s.own.push_back(row.prefix);
    } else if (policy::InMesh(row.who.identity) && !within(own_pod_cidrs, row.prefix)) {
      // Rows come in the order of their prefixes: what lies within the last one says nothing new.
      if (s.mesh.empty() || !s.mesh.back().Contains(row.prefix)) s.mesh.push_back(row.prefix);
    }
  }
  return s;
}

std::vector<Device> ChooseDevices(const Inventory& inventory, const Surroundings& surroundings, int datapath_ifindex) {
  std::vector<Device> chosen;
  for (const Link& link : inventory.links) {
    if (link.loopback || link.index == datapath_ifindex) continue;
    bool wanted = (IsTunnel(link) && link.up) || (link.kind.empty() && link.ethernet);
    for (const Route& route : inventory.routes) {
      if (wanted) break;
      wanted = route.link == link.index && LeadsIntoTheMesh(route, surroundings);
    }
    for (const LinkAddress& address : inventory.addresses) {
      if (wanted) break;
      wanted = address.link == link.index &&
               std::find(surroundings.node_addresses.begin(), surroundings.node_addresses.end(), address.address) !=
                   surroundings.node_addresses.end();
    }
    if (wanted) chosen.push_back(DeviceOf(link));
  }
  std::sort(chosen.begin(), chosen.end(), [](const Device& a, const Device& b) { return a.index < b.index; });
  return chosen;
}

bool LeadsHome(const Inventory& inventory, const Surroundings& surroundings, int ifindex) {
  bool home = false;
  for (const Route& route : inventory.routes) {
    if (route.link != ifindex) continue;
    if (LeadsIntoTheMesh(route, surroundings)) return false;
    home = home || std::any_of(surroundings.own.begin(), surroundings.own.end(),
                               [&](const IpPrefix& own) { return own.Contains(route.destination); });
  }
  return home;
}

std::vector<Device> DevicesByName(const Inventory& inventory, const std::vector<std::string>& names) {
  std::vector<Device> devices;
  for (const Link& link : inventory.links) {
    if (std::find(names.begin(), names.end(), link.name) != names.end()) devices.push_back(DeviceOf(link));
  }
  return devices;
}

}  // namespace espalier::steering
