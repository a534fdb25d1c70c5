#include "agent/policy/direct.h"

#include <algorithm>
#include <tuple>

#include "agent/policy/identity.h"

namespace espalier::policy {
namespace {

template <typename List>
bool Contains(const List& list, uint32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool IsPeer(const v1::Rule& rule, const End& end) {
  if (rule.any_pod() && InMesh(end.identity)) return true;
  if (Contains(rule.peer_identities(), end.identity)) return true;
  return std::any_of(rule.peer_cidrs().begin(), rule.peer_cidrs().end(), [&](const std::string& text) {
    auto prefix = IpPrefix::Parse(text);
    return prefix.ok() && prefix->Contains(end.address);
  });
}

bool HasPort(const v1::Rule& rule, uint8_t protocol, uint16_t port) {
  if (rule.ports().empty()) return true;
  return std::any_of(rule.ports().begin(), rule.ports().end(), [&](const v1::PortRange& r) {
    return (r.protocol() == 0 || r.protocol() == protocol) && port >= r.first() && port <= r.last();
  });
}

}  // namespace

std::vector<Match> MatchingPolicies(const View& view, const End& client, const End& server, uint8_t protocol,
                                    uint16_t port) {
  std::vector<Match> out;
  for (const auto& [name, policy] : view.policies) {
    const bool client_is_subject = Contains(policy.subject_identities(), client.identity);
    const bool server_is_subject = Contains(policy.subject_identities(), server.identity);
    for (int i = 0; i < policy.rules_size(); ++i) {
      const v1::Rule& rule = policy.rules(i);
      const bool matches = (client_is_subject && IsPeer(rule, server)) || (server_is_subject && IsPeer(rule, client));
      if (!matches || !HasPort(rule, protocol, port)) continue;
      out.push_back({name, i, rule.action(), policy.stage(), policy.priority()});
      break;
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Match& a, const Match& b) {
    return std::tuple(-int64_t{a.priority}, -static_cast<int>(a.action)) <
           std::tuple(-int64_t{b.priority}, -static_cast<int>(b.action));
  });
  return out;
}

}  // namespace espalier::policy
