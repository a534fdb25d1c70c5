#include "controller/compile/exemptions.h"

#include <map>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace espalier::compile {
namespace {

constexpr uint32_t kTcp = 6, kUdp = 17, kEsp = 50, kIcmpV6 = 58;

v1::Exemption Make(std::string name, std::string description, uint32_t protocol, uint32_t port,
                   const std::set<std::string>& cidrs) {
  v1::Exemption out;
  out.set_name(std::move(name));
  out.set_description(std::move(description));
  out.set_protocol(protocol);
  out.set_port(port);
  for (const std::string& cidr : cidrs) out.add_cidrs(cidr);
  return out;
}

std::string Alone(const IpAddress& address) { return absl::StrCat(address.ToString(), "/", address.bits()); }

// "192.0.2.1:7443", "[2001:db8::1]:7443".
bool ParseEndpoint(absl::string_view text, IpAddress* address, uint32_t* port) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), port) || *port == 0 ||
      *port > 65535) {
    return false;
  }
  absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto parsed = IpAddress::Parse(host);
  if (parsed.ok()) *address = *parsed;
  return parsed.ok();
}

}  // namespace

std::vector<v1::Exemption> Exemptions(const std::vector<IpAddress>& node_addresses,
                                      const std::vector<std::string>& controller_addresses) {
  std::vector<v1::Exemption> out;
  std::set<std::string> nodes;
  for (const IpAddress& address : node_addresses) nodes.insert(Alone(address));
  // Without cidrs an exemption would hold for every address.
  if (!nodes.empty()) {
    out.push_back(Make("esp", "ESP between nodes: the encrypted traffic itself", kEsp, 0, nodes));
    out.push_back(Make("ike", "IKE between nodes, UDP 500", kUdp, 500, nodes));
    out.push_back(Make("ike-nat-t", "IKE and ESP in UDP between nodes, UDP 4500", kUdp, 4500, nodes));
  }
  std::map<uint32_t, std::set<std::string>> controllers;  // by port
  for (const std::string& text : controller_addresses) {
    IpAddress address;
    uint32_t port = 0;
    if (ParseEndpoint(text, &address, &port)) controllers[port].insert(Alone(address));
  }
  for (const auto& [port, cidrs] : controllers) {
    out.push_back(Make(controllers.size() == 1 ? "controller" : absl::StrCat("controller-", port),
                       "agents to the controller (mTLS)", kTcp, port, cidrs));
  }
  const std::set<std::string> broadcast = {"0.0.0.0/32", "255.255.255.255/32"};
  out.push_back(Make("dhcp-client", "DHCP by broadcast, to the client", kUdp, 68, broadcast));
  out.push_back(Make("dhcp-server", "DHCP by broadcast, to the server", kUdp, 67, broadcast));
  out.push_back(Make("icmpv6-nd", "ICMPv6 neighbour discovery and router advertisements (link-local and multicast)",
                     kIcmpV6, 0, {"fe80::/10", "ff02::/16"}));
  out.push_back(Make("link-local", "addresses that do not leave their link (DHCPv6, node-local DNS, instance metadata)",
                     0, 0, {"169.254.0.0/16", "224.0.0.0/24", "fe80::/10", "ff02::/16"}));
  return out;
}

}  // namespace espalier::compile
