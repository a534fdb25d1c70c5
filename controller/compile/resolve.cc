#include "controller/compile/resolve.h"

#include <algorithm>
#include <string>
#include <vector>

#include "common/ip.h"
#include "controller/compile/selector.h"

namespace espalier::compile {
namespace {

v1::Action ActionOf(const std::string& text) {
  if (text == "Deny") return v1::ACTION_DENY;
  if (text == "Prefer") return v1::ACTION_PREFER;
  if (text == "Bypass") return v1::ACTION_BYPASS;
  return v1::ACTION_REQUIRE;
}

// IANA protocol numbers.
uint32_t ProtocolOf(const std::string& text) {
  if (text == "UDP") return 17;
  if (text == "SCTP") return 132;
  if (text == "ICMP") return 1;
  if (text == "ICMPv6") return 58;
  return 6;
}

void AddPorts(const v1alpha1::Rule& rule, v1::Rule* out) {
  for (const v1alpha1::Port& port : rule.ports()) {
    v1::PortRange* range = out->add_ports();
    range->set_protocol(ProtocolOf(port.protocol()));
    range->set_first(port.has_port() ? port.port() : 0);
    range->set_last(port.has_end_port() ? port.end_port() : port.has_port() ? port.port() : 65535);
  }
}

// A flow's rule for pods, or for CIDRs, or (as written) for both.
enum class Peers { kBoth, kPods, kCidrs };

v1::Rule ResolveRule(const PolicyDefinition& definition, const v1alpha1::Rule& rule, const Identities& identities,
                     Peers which) {
  v1::Rule out;
  out.set_action(ActionOf(rule.action()));
  AddPorts(rule, &out);
  if (rule.peers().empty()) {
    out.set_any_pod(which != Peers::kCidrs);
    return out;
  }
  std::vector<const v1alpha1::Peer*> selectors;
  for (const v1alpha1::Peer& peer : rule.peers()) {
    if (peer.cidr().empty()) {
      selectors.push_back(&peer);
      if (which != Peers::kCidrs && IsEveryPod(definition, peer)) out.set_any_pod(true);
    } else if (which != Peers::kPods) {
      const auto cidr = IpPrefix::Parse(peer.cidr());
      if (cidr.ok()) out.add_peer_cidrs(cidr->ToString());
    }
  }
  if (which == Peers::kCidrs || out.any_pod()) return out;
  for (const auto& [description, id] : identities) {
    const bool selected = std::any_of(selectors.begin(), selectors.end(), [&](const v1alpha1::Peer* peer) {
      return IsPeer(definition, *peer, description);
    });
    if (selected) out.add_peer_identities(id);
  }
  std::sort(out.mutable_peer_identities()->begin(), out.mutable_peer_identities()->end());
  return out;
}

bool Speaks(const v1::Rule& rule) {
  return rule.any_pod() || rule.peer_identities_size() > 0 || rule.peer_cidrs_size() > 0;
}

}  // namespace

v1::Policy Resolve(const PolicyDefinition& definition, const Identities& identities, bool eases) {
  v1::Policy out;
  for (const auto& [description, id] : identities) {
    if (IsSubject(definition, description)) out.add_subject_identities(id);
  }
  std::sort(out.mutable_subject_identities()->begin(), out.mutable_subject_identities()->end());
  std::vector<v1alpha1::Rule> rules(definition.spec.rules().begin(), definition.spec.rules().end());
  if (rules.empty()) {
    rules.emplace_back();
    rules.back().set_action(definition.spec.action());
  }
  for (const v1alpha1::Rule& rule : rules) {
    if (!eases) {
      *out.add_rules() = ResolveRule(definition, rule, identities, Peers::kBoth);
      continue;
    }
    v1::Rule pods = ResolveRule(definition, rule, identities, Peers::kPods);
    v1::Rule cidrs = ResolveRule(definition, rule, identities, Peers::kCidrs);
    pods.set_action(v1::ACTION_REQUIRE);
    if (Speaks(cidrs)) *out.add_rules() = std::move(cidrs);
    if (Speaks(pods)) *out.add_rules() = std::move(pods);
  }
  return out;
}

}  // namespace espalier::compile
