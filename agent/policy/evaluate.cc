#include "agent/policy/evaluate.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/policy/identity.h"

namespace espalier::policy {
namespace {

void SortUnique(std::vector<uint32_t>* v) {
  std::sort(v->begin(), v->end());
  v->erase(std::unique(v->begin(), v->end()), v->end());
}

// Index of the text's prefix in *cidrs, added if it is new.
absl::StatusOr<uint32_t> CidrIndex(const std::string& text, std::vector<IpPrefix>* cidrs,
                                   std::map<IpPrefix, uint32_t>* index) {
  auto prefix = IpPrefix::Parse(text);
  if (!prefix.ok()) return prefix.status();
  const auto [it, is_new] = index->try_emplace(*prefix, static_cast<uint32_t>(cidrs->size()));
  if (is_new) cidrs->push_back(*prefix);
  return it->second;
}

Verdict VerdictOf(v1::Action action, bool enforced) {
  switch (action) {
    case v1::ACTION_PREFER:
      return Verdict::kPrefer;
    case v1::ACTION_REQUIRE:
      return enforced ? Verdict::kRequire : Verdict::kSend;
    case v1::ACTION_DENY:
      return enforced ? Verdict::kDeny : Verdict::kPass;
    default:
      return Verdict::kPass;
  }
}

bool Has(const std::vector<uint32_t>& sorted, uint32_t value) {
  return std::binary_search(sorted.begin(), sorted.end(), value);
}

// With how much certainty one end is among the subjects and the other among the peers.
enum class Sure { kNo, kPerhaps, kYes };

Sure SubjectAndPeer(const Signature& subject, bool has_subjects, uint32_t policy, const Signature& peer,
                    bool names_pods, uint32_t rule) {
  const Sure s = Has(subject.subject_of, policy)     ? Sure::kYes
                 : (subject.unknown && has_subjects) ? Sure::kPerhaps
                                                     : Sure::kNo;
  if (s == Sure::kNo) return s;
  const Sure p = Has(peer.peer_of, rule) ? Sure::kYes : (peer.unknown && names_pods) ? Sure::kPerhaps : Sure::kNo;
  return std::min(s, p);
}

}  // namespace

PairAnswers::Found PairAnswers::Lookup(uint8_t protocol, uint16_t port) const {
  if (!segments.empty()) {
    auto it = std::upper_bound(
        segments.begin(), segments.end(), std::pair(protocol, port),
        [](const std::pair<uint8_t, uint16_t>& key, const Segment& s) { return key < std::pair(s.protocol, s.first); });
    if (it != segments.begin()) {
      --it;
      if (it->protocol == protocol && port <= it->last) return {it->answer, true};
    }
  }
  for (const auto& [p, answer] : protocols) {
    if (p == protocol) return {answer, false};
  }
  return {any, false};
}

absl::StatusOr<Evaluator> Evaluator::Create(const View& view) {
  Evaluator e;
  std::map<IpPrefix, uint32_t> cidr_index;
  for (const auto& [name, policy] : view.policies) {
    const uint32_t p = static_cast<uint32_t>(e.policies_.size());
    CompiledPolicy compiled{.priority = policy.priority(),
                            // Unspecified counts as enforced: fail closed.
                            .enforced = policy.stage() != v1::STAGE_SEND,
                            .has_subjects = policy.subject_identities_size() > 0,
                            .first_rule = static_cast<uint32_t>(e.rules_.size())};
    for (uint32_t id : policy.subject_identities()) e.subject_of_[id].push_back(p);
    for (int i = 0; i < policy.rules_size(); ++i) {
      const v1::Rule& rule = policy.rules(i);
      const uint32_t r = static_cast<uint32_t>(e.rules_.size());
      CompiledRule c{.action = rule.action(),
                     .origin = static_cast<int32_t>(e.origins_.size()),
                     .any_pod = rule.any_pod(),
                     .names_pods = rule.any_pod() || rule.peer_identities_size() > 0};
      e.origins_.push_back({name, i});
      if (rule.any_pod()) {
        e.any_pod_rules_.push_back(r);
      } else {
        for (uint32_t id : rule.peer_identities()) e.peer_of_[id].push_back(r);
      }
      for (const std::string& text : rule.peer_cidrs()) {
        auto cidr = CidrIndex(text, &e.cidrs_, &cidr_index);
        if (!cidr.ok()) {
          return absl::InvalidArgumentError(
              absl::StrCat("policy/", name, ": rules[", i, "].peer_cidrs: ", cidr.status().message()));
        }
        e.cidr_rules_.resize(e.cidrs_.size());
        e.cidr_rules_[*cidr].push_back(r);
      }
      for (const v1::PortRange& port : rule.ports()) {
        if (port.protocol() > 255 || port.first() > port.last() || port.last() > 65535 ||
            (port.protocol() == 0 && (port.first() != 0 || port.last() != 65535))) {
          return absl::InvalidArgumentError(absl::StrCat("policy/", name, ": rules[", i, "].ports: protocol ",
                                                         port.protocol(), " ports ", port.first(), "-", port.last(),
                                                         " is not a range of ports"));
        }
        c.ranges.push_back({static_cast<uint8_t>(port.protocol()), static_cast<uint16_t>(port.first()),
                            static_cast<uint16_t>(port.last())});
      }
      e.rules_.push_back(std::move(c));
    }
    compiled.end_rule = static_cast<uint32_t>(e.rules_.size());
    e.policies_.push_back(compiled);
  }
  e.peer_cidr_count_ = e.cidrs_.size();
  cidr_index.clear();  // an exemption's CIDR is another thing than a peer's, also where their texts are the same
  for (const auto& [name, exemption] : view.exemptions) {
    const uint32_t x = static_cast<uint32_t>(e.exemptions_.size());
    CompiledExemption c{.origin = static_cast<int32_t>(e.origins_.size()), .any_address = exemption.cidrs().empty()};
    e.origins_.push_back({absl::StrCat("Exemption/", name), -1});
    if (exemption.protocol() > 255 || exemption.port() > 65535) {
      return absl::InvalidArgumentError(absl::StrCat("exemption/", name, ": protocol or port out of range"));
    }
    const uint16_t port = static_cast<uint16_t>(exemption.port());
    const uint16_t last = port == 0 ? 65535 : port;
    if (exemption.protocol() == 0 && port != 0) {
      for (uint8_t protocol : {6, 17, 132}) c.ranges.push_back({protocol, port, last});  // those that have ports
    } else {
      c.ranges.push_back({static_cast<uint8_t>(exemption.protocol()), port, last});
    }
    for (const std::string& text : exemption.cidrs()) {
      auto cidr = CidrIndex(text, &e.cidrs_, &cidr_index);
      if (!cidr.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("exemption/", name, ": cidrs: ", cidr.status().message()));
      }
      e.cidr_exemptions_.resize(e.cidrs_.size());
      e.cidr_exemptions_[*cidr].push_back(x);
    }
    e.exemptions_.push_back(std::move(c));
  }
  e.cidr_rules_.resize(e.cidrs_.size());
  e.cidr_exemptions_.resize(e.cidrs_.size());
  return e;
}

Signature Evaluator::SignatureOf(uint32_t identity, const std::vector<uint32_t>& cidrs) const {
  Signature s;
  s.unknown = ReservedOf(identity) == kUnknown;
  if (const auto it = subject_of_.find(identity); it != subject_of_.end()) s.subject_of = it->second;
  if (const auto it = peer_of_.find(identity); it != peer_of_.end()) s.peer_of = it->second;
  if (InMesh(identity)) s.peer_of.insert(s.peer_of.end(), any_pod_rules_.begin(), any_pod_rules_.end());
  for (uint32_t c : cidrs) s.peer_of.insert(s.peer_of.end(), cidr_rules_[c].begin(), cidr_rules_[c].end());
  if (!InMesh(identity) && !s.peer_of.empty()) {
    for (uint32_t x = 0; x < exemptions_.size(); ++x) {
      if (exemptions_[x].any_address) s.exempt_by.push_back(x);
    }
    for (uint32_t c : cidrs) {
      s.exempt_by.insert(s.exempt_by.end(), cidr_exemptions_[c].begin(), cidr_exemptions_[c].end());
    }
  }
  SortUnique(&s.subject_of);
  SortUnique(&s.peer_of);
  SortUnique(&s.exempt_by);
  return s;
}

bool Evaluator::Matches(const std::vector<Range>& ranges, int protocol, int port, bool* has_port) {
  *has_port = false;
  if (ranges.empty()) return true;
  bool matches = false;
  for (const Range& r : ranges) {
    if (r.protocol != 0 && r.protocol != protocol) continue;
    if (!r.has_port()) {
      *has_port = false;
      return true;
    }
    if (port >= r.first && port <= r.last) matches = *has_port = true;
  }
  return matches;
}

Evaluator::Candidates Evaluator::Collect(const Signature& client, const Signature& server) const {
  Candidates out;
  // The port of an exemption is that of the end which is no pod; without a port it doesn't matter which end that is.
  for (uint32_t x : server.exempt_by) out.exemptions.push_back(&exemptions_[x]);
  for (uint32_t x : client.exempt_by) {
    if (!exemptions_[x].ranges.front().has_port()) out.exemptions.push_back(&exemptions_[x]);
  }
  std::vector<uint32_t> policies;
  if (client.unknown || server.unknown) {
    for (uint32_t p = 0; p < policies_.size(); ++p) policies.push_back(p);
  } else {
    std::set_union(client.subject_of.begin(), client.subject_of.end(), server.subject_of.begin(),
                   server.subject_of.end(), std::back_inserter(policies));
  }
  for (uint32_t p : policies) {
    const CompiledPolicy& policy = policies_[p];
    for (uint32_t r = policy.first_rule; r < policy.end_rule; ++r) {
      const CompiledRule& rule = rules_[r];
      const Sure sure = std::max(SubjectAndPeer(client, policy.has_subjects, p, server, rule.names_pods, r),
                                 SubjectAndPeer(server, policy.has_subjects, p, client, rule.names_pods, r));
      if (sure != Sure::kNo) out.rules.push_back({&policy, &rule, sure == Sure::kYes});
    }
  }
  return out;
}

// Of the answers that count: none is certain above them. Null without answers.
const Evaluator::Scored* Evaluator::Winner(const std::vector<Scored>& scored) {
  int64_t floor = std::numeric_limits<int64_t>::min();
  for (const Scored& s : scored) {
    if (s.sure) floor = std::max<int64_t>(floor, s.priority);
  }
  const Scored* winner = nullptr;
  for (const Scored& s : scored) {
    if (s.priority < floor) continue;
    if (winner == nullptr || s.answer.verdict > winner->answer.verdict ||
        (s.answer.verdict == winner->answer.verdict && s.priority > winner->priority)) {
      winner = &s;
    }
  }
  return winner;
}

Evaluator::Asked Evaluator::Ask(const Candidates& candidates, int protocol, int port) {
  bool has_port;
  for (const CompiledExemption* x : candidates.exemptions) {
    if (Matches(x->ranges, protocol, port, &has_port)) return {{Verdict::kPass, x->origin}, has_port};
  }
  std::vector<Scored> scored, abstaining;
  const CompiledPolicy* answered = nullptr;
  for (const PairRule& r : candidates.rules) {
    if (r.policy == answered || !Matches(r.rule->ranges, protocol, port, &has_port)) continue;
    if (r.sure) answered = r.policy;
    Scored s{r.policy->priority, {VerdictOf(r.rule->action, r.policy->enforced), r.rule->origin}, has_port, r.sure};
    if (!r.sure && s.answer.verdict == Verdict::kDeny) s.answer.verdict = Verdict::kRequire;
    const bool abstains = r.rule->action == v1::ACTION_DENY && !r.policy->enforced;
    (abstains ? abstaining : scored).push_back(s);
  }
  const Scored* winner = Winner(scored);
  if (winner == nullptr) winner = Winner(abstaining);
  if (winner == nullptr) return {};
  return {winner->answer, winner->has_port};
}

PairAnswers Evaluator::Evaluate(const Signature& client, const Signature& server) const {
  PairAnswers out;
  if (client.empty() || server.empty()) return out;
  const Candidates candidates = Collect(client, server);
  if (candidates.rules.empty()) return out;

  // Where the answer can change: the protocols named, and in each the edges of the ranges.
  std::set<uint8_t> protocols;
  std::set<std::pair<uint8_t, uint32_t>> edges;
  const auto add = [&](const std::vector<Range>& ranges) {
    for (const Range& r : ranges) {
      if (r.protocol == 0) continue;
      protocols.insert(r.protocol);
      edges.insert({r.protocol, r.first});
      edges.insert({r.protocol, uint32_t{r.last} + 1});
    }
  };
  for (const PairRule& r : candidates.rules) add(r.rule->ranges);
  for (const CompiledExemption* x : candidates.exemptions) add(x->ranges);

  out.any = Ask(candidates, -1, -1).answer;
  out.strictest = out.any.verdict;
  for (uint8_t protocol : protocols) {
    const Answer whole = Ask(candidates, protocol, -1).answer;
    if (whole != out.any) out.protocols.push_back({protocol, whole});
    out.strictest = std::max(out.strictest, whole.verdict);
    edges.insert({protocol, 0});
    for (auto it = edges.lower_bound({protocol, 0}); it != edges.end() && it->first == protocol; ++it) {
      const uint32_t first = it->second;
      if (first > 65535) break;
      const auto next = std::next(it);
      const uint32_t end = next == edges.end() || next->first != protocol ? 65536 : next->second;
      const Asked asked = Ask(candidates, protocol, static_cast<int>(first));
      if (!asked.has_port && asked.answer == whole) continue;
      out.strictest = std::max(out.strictest, asked.answer.verdict);
      if (!out.segments.empty()) {
        PairAnswers::Segment& previous = out.segments.back();
        const bool all = previous.first == 0 && end == 65536;  // would no longer be a row with a port
        if (!all && previous.protocol == protocol && uint32_t{previous.last} + 1 == first &&
            previous.answer == asked.answer) {
          previous.last = static_cast<uint16_t>(end - 1);
          continue;
        }
      }
      out.segments.push_back({protocol, static_cast<uint16_t>(first), static_cast<uint16_t>(end - 1), asked.answer});
    }
  }
  return out;
}

}  // namespace espalier::policy
