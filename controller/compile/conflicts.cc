#include "controller/compile/conflicts.h"

#include <algorithm>

#include "common/ip.h"

namespace espalier::compile {
namespace {

using Ids = google::protobuf::RepeatedField<uint32_t>;

bool Intersect(const Ids& a, const Ids& b) {
  const Ids& small = a.size() < b.size() ? a : b;
  const Ids& large = a.size() < b.size() ? b : a;
  return std::any_of(small.begin(), small.end(),
                     [&large](uint32_t id) { return std::binary_search(large.begin(), large.end(), id); });
}

bool PortsMeet(const v1::Rule& a, const v1::Rule& b) {
  if (a.ports().empty() || b.ports().empty()) return true;
  for (const v1::PortRange& x : a.ports()) {
    for (const v1::PortRange& y : b.ports()) {
      if (x.protocol() == y.protocol() && x.first() <= y.last() && y.first() <= x.last()) return true;
    }
  }
  return false;
}

bool CidrsMeet(const v1::Rule& a, const v1::Rule& b) {
  for (const std::string& x : a.peer_cidrs()) {
    for (const std::string& y : b.peer_cidrs()) {
      const auto p = IpPrefix::Parse(x), q = IpPrefix::Parse(y);
      if (p.ok() && q.ok() && p->Overlaps(*q)) return true;
    }
  }
  return false;
}

// Is there a pod (or address) on the other side that both rules mean? Subjects are shared.
bool PeersMeet(const v1::Rule& a, const v1::Rule& b) {
  if (a.any_pod() && (b.any_pod() || b.peer_identities_size() > 0)) return true;
  if (b.any_pod() && a.peer_identities_size() > 0) return true;
  return Intersect(a.peer_identities(), b.peer_identities()) || CidrsMeet(a, b);
}

// Do a's subjects stand among b's peers and the other way about?
bool Crossed(const v1::Policy& a, const v1::Rule& of_a, const v1::Policy& b, const v1::Rule& of_b) {
  const auto reaches = [](const v1::Rule& rule, const v1::Policy& other) {
    return (rule.any_pod() && other.subject_identities_size() > 0) ||
           Intersect(rule.peer_identities(), other.subject_identities());
  };
  return reaches(of_a, b) && reaches(of_b, a);
}

bool Conflict(const v1::Policy& a, const v1::Policy& b) {
  const bool shared = Intersect(a.subject_identities(), b.subject_identities());
  for (const v1::Rule& x : a.rules()) {
    for (const v1::Rule& y : b.rules()) {
      if (x.action() == y.action() || !PortsMeet(x, y)) continue;
      if ((shared && PeersMeet(x, y)) || Crossed(a, x, b, y)) return true;
    }
  }
  return false;
}

}  // namespace

std::map<std::string, std::set<std::string>> FindConflicts(const std::vector<const v1::Policy*>& policies,
                                                           size_t limit) {
  std::map<std::string, std::set<std::string>> out;
  size_t pairs = 0;
  for (size_t i = 0; i < policies.size(); ++i) {
    for (size_t j = i + 1; j < policies.size(); ++j) {
      if (policies[i]->priority() != policies[j]->priority()) continue;
      if (++pairs > limit) return out;
      if (!Conflict(*policies[i], *policies[j])) continue;
      out[policies[i]->name()].insert(policies[j]->name());
      out[policies[j]->name()].insert(policies[i]->name());
    }
  }
  return out;
}

}  // namespace espalier::compile
