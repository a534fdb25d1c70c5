#include "controller/identity/address_authority.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier::identity {
namespace {

using NodePtr = std::shared_ptr<const source::Node>;
using PodPtr = std::shared_ptr<const source::Pod>;

std::string Name(const source::Pod& pod) { return absl::StrCat(pod.ns, "/", pod.name); }

// Addresses that no pod can have: unspecified, loopback, link-local, multicast, broadcast.
const std::vector<IpPrefix>& NeverAPods() {
  static const auto* const kPrefixes = [] {
    auto* out = new std::vector<IpPrefix>;
    for (const char* text : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/127",
                             "::ffff:0:0/96", "fe80::/10", "ff00::/8"}) {
      out->push_back(*IpPrefix::Parse(text));
    }
    return out;
  }();
  return *kPrefixes;
}

// Which node's podCIDRs hold an address: all prefixes by length, looked up from the longest.
class CidrOwners {
 public:
  explicit CidrOwners(const source::Table<source::Node>& nodes) {
    for (const auto& [name, node] : nodes) {
      for (const IpPrefix& cidr : node->pod_cidrs) {
        owners_.emplace(cidr, node);
        lengths_.insert({cidr.address().is_v6(), cidr.length()});
      }
    }
  }

  // Null: none. Of several nodes the one with the longest prefix, and of those the first by name.
  NodePtr Owner(const IpAddress& address) const {
    for (auto it = lengths_.rbegin(); it != lengths_.rend(); ++it) {
      if (it->first != address.is_v6()) continue;
      const auto found = owners_.find(IpPrefix(address, it->second));
      if (found != owners_.end()) return found->second;
    }
    return nullptr;
  }

 private:
  std::map<IpPrefix, NodePtr> owners_;
  std::set<std::pair<bool, int>> lengths_;
};

source::Problem Conflict(const source::Pod& pod, const IpAddress& address, std::string message, std::string remedy) {
  source::Problem p;
  p.object = absl::StrCat("Pod/", Name(pod));
  p.field = "status.podIPs";
  p.value = address.ToString();
  p.message = absl::StrCat("AddressConflict: ", message);
  p.remedy = std::move(remedy);
  return p;
}

// Rules 2 and 3. Empty: the node may give out the address.
std::string WhyNot(const source::Node& node, const IpAddress& address, const CidrOwners& owners,
                   const std::map<IpAddress, std::string>& node_addresses) {
  for (const IpPrefix& prefix : NeverAPods()) {
    if (prefix.Contains(address)) return "cannot be a pod's address at all";
  }
  const auto of_node = node_addresses.find(address);
  if (of_node != node_addresses.end()) return absl::StrCat("is the address of node ", of_node->second);
  std::vector<std::string> own;
  for (const IpPrefix& cidr : node.pod_cidrs) {
    if (cidr.address().is_v6() != address.is_v6()) continue;
    if (cidr.Contains(address)) return "";
    own.push_back(cidr.ToString());
  }
  if (!own.empty())
    return absl::StrCat("is outside of the podCIDRs of its node ", node.name, " (", absl::StrJoin(own, ", "), ")");
  const NodePtr owner = owners.Owner(address);
  if (owner != nullptr && owner->name != node.name)
    return absl::StrCat("is inside of the podCIDRs of node ", owner->name);
  return "";
}

}  // namespace

AddressAssignment AssignAddresses(const source::ObjectStore& objects, const std::map<IpAddress, Claim>& previous) {
  AddressAssignment out;
  const CidrOwners owners(*objects.nodes);
  std::map<IpAddress, std::string> node_addresses;
  for (const auto& [name, node] : *objects.nodes) {
    for (const IpAddress& address : node->internal_ips) node_addresses.emplace(address, name);
  }
  // Those that may have an address, in the order of the pods' names.
  std::map<IpAddress, std::vector<Claim>> claims;
  for (const auto& [key, pod] : *objects.pods) {
    if (pod->host_network || pod->finished() || pod->node_name.empty()) continue;
    const auto node = objects.nodes->find(pod->node_name);
    for (const IpAddress& address : pod->pod_ips) {
      if (node == objects.nodes->end()) {
        out.problems.push_back(Conflict(*pod, address,
                                        absl::StrCat("is on the node ", pod->node_name, ", which does not exist"),
                                        "add the Node, or correct spec.nodeName"));
        continue;
      }
      const std::string why_not = WhyNot(*node->second, address, owners, node_addresses);
      if (!why_not.empty()) {
        out.problems.push_back(
            Conflict(*pod, address, why_not,
                     "correct the pod's status or the node's podCIDRs; until then its traffic is dropped"));
        continue;
      }
      claims[address].push_back({pod, node->second});
    }
  }
  for (const auto& [address, of] : claims) {
    if (of.size() == 1) {
      out.addresses.emplace(address, of.front());
      continue;
    }
    const auto before = previous.find(address);
    const Claim* holder = nullptr;
    for (const Claim& claim : of) {
      if (before != previous.end() && claim.pod->uid == before->second.pod->uid) holder = &claim;
    }
    if (holder != nullptr) out.addresses.emplace(address, *holder);
    for (const Claim& claim : of) {
      if (&claim == holder) continue;
      std::vector<std::string> others;
      for (const Claim& other : of) {
        if (other.pod != claim.pod && others.size() < 3) others.push_back(Name(*other.pod));
      }
      out.problems.push_back(Conflict(
          *claim.pod, address,
          holder != nullptr
              ? absl::StrCat("already belongs to the live pod ", Name(*holder->pod))
              : absl::StrCat("is claimed by the live pod ", absl::StrJoin(others, ", "), " too, and neither has it"),
          "remove one of the pods, or correct its status"));
    }
  }
  std::sort(out.problems.begin(), out.problems.end());
  return out;
}

}  // namespace espalier::identity
