// From policies to verdicts, for two kinds of addresses at a time.
//
// What policies can tell of an address is its Signature: which policies have it as a subject and which rules as a peer.
// Addresses of equal signatures get equal verdicts, so a pair of signatures is evaluated once, for all ports at a time.
//
//   A policy is asked for a flow between a client and a server if one is its subject and the other a rule's peer; the
//   first such rule that has the protocol and the server's port is its answer. Of all answers those of the highest
//   priority count, and of these the strictest.
//
//   A Require at stage Send is the verdict kSend, between Prefer and Require in strictness. A Deny at stage Send
//   abstains: it drops nothing yet and gives way to every other policy's answer. (How the controller orders stages so
//   that nothing is loosened on the way is said in controller/compile/stages.h.)
//
//   An unknown address (inside the mesh CIDRs, of no pod that the view has) may be any pod's, also a subject's, because
//   its own node knows it earlier than we do. It gets the strictest verdict that it could have; Deny counts as Require
//   then: nothing leaves in the clear, and the pod's node knows better.
#ifndef ESPALIER_AGENT_POLICY_EVALUATE_H_
#define ESPALIER_AGENT_POLICY_EVALUATE_H_

#include <compare>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/policy/snapshot.h"
#include "agent/policy/view.h"
#include "common/ip.h"

namespace espalier::policy {

struct Answer {
  Verdict verdict = Verdict::kPass;
  int32_t origin = -1;
  friend bool operator==(const Answer&, const Answer&) = default;
};

// The answer for all ports of a pair (client, server). The most specific wins: a segment, a protocol, any.
struct PairAnswers {
  struct Segment {
    uint8_t protocol;
    uint16_t first, last;
    Answer answer;
    friend bool operator==(const Segment&, const Segment&) = default;
  };
  struct Found {
    Answer answer;
    bool has_port = false;
  };
  Answer any;
  std::vector<std::pair<uint8_t, Answer>> protocols;
  std::vector<Segment> segments;  // sorted by protocol and port, not overlapping
  Verdict strictest = Verdict::kPass;

  Found Lookup(uint8_t protocol, uint16_t port) const;
  friend bool operator==(const PairAnswers&, const PairAnswers&) = default;
};

struct Signature {
  bool unknown = false;
  std::vector<uint32_t> subject_of;  // policies
  std::vector<uint32_t> peer_of;     // rules
  std::vector<uint32_t> exempt_by;   // exemptions; of addresses that are no pod's

  // No policy can match.
  bool empty() const { return !unknown && subject_of.empty() && peer_of.empty(); }
  friend auto operator<=>(const Signature&, const Signature&) = default;
};

class Evaluator {
 public:
  // Errors name the policy and the field.
  static absl::StatusOr<Evaluator> Create(const View& view);

  // Every distinct CIDR of the rules' peers, then of the exemptions; the first `peer_cidr_count()` are peers'.
  const std::vector<IpPrefix>& cidrs() const { return cidrs_; }
  size_t peer_cidr_count() const { return peer_cidr_count_; }
  const std::vector<Origin>& origins() const { return origins_; }

  // `identity`: reserved or a label identity. `cidrs`: indices of those that contain the address, sorted.
  Signature SignatureOf(uint32_t identity, const std::vector<uint32_t>& cidrs) const;
  PairAnswers Evaluate(const Signature& client, const Signature& server) const;

 private:
  struct Range {
    uint8_t protocol;  // 0: every
    uint16_t first, last;
    bool has_port() const { return first != 0 || last != 65535; }
  };
  struct CompiledRule {
    v1::Action action;
    std::vector<Range> ranges;  // empty: everything
    int32_t origin;
    bool any_pod;
    bool names_pods;  // has peers that are pods
  };
  struct CompiledPolicy {
    int32_t priority;
    bool enforced;
    bool has_subjects;
    uint32_t first_rule, end_rule;  // of rules_
  };
  struct CompiledExemption {
    std::vector<Range> ranges;
    int32_t origin;
    bool any_address;
  };
  // A rule that matches the pair's identities: certainly, or perhaps (an unknown address).
  struct PairRule {
    const CompiledPolicy* policy;
    const CompiledRule* rule;
    bool sure;
  };
  struct Candidates {
    std::vector<const CompiledExemption*> exemptions;
    std::vector<PairRule> rules;  // by policy, in order
  };
  struct Asked {
    Answer answer;
    bool has_port = false;
  };
  struct Scored {
    int32_t priority;
    Answer answer;
    bool has_port, sure;
  };

  Candidates Collect(const Signature& client, const Signature& server) const;
  // protocol < 0: what holds for every protocol alike. port < 0: for every port.
  static bool Matches(const std::vector<Range>& ranges, int protocol, int port, bool* has_port);
  static Asked Ask(const Candidates& candidates, int protocol, int port);
  static const Scored* Winner(const std::vector<Scored>& scored);

  std::vector<CompiledPolicy> policies_;
  std::vector<CompiledRule> rules_;
  std::vector<CompiledExemption> exemptions_;
  std::vector<Origin> origins_;
  std::vector<IpPrefix> cidrs_;
  size_t peer_cidr_count_ = 0;
  std::vector<std::vector<uint32_t>> cidr_rules_;       // by CIDR: rules
  std::vector<std::vector<uint32_t>> cidr_exemptions_;  // by CIDR: exemptions
  std::vector<uint32_t> any_pod_rules_;
  std::unordered_map<uint32_t, std::vector<uint32_t>> subject_of_, peer_of_;  // by label identity
};

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_EVALUATE_H_
