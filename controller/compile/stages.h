// Staged activation: how a change of policy reaches every node without losing a packet and without accepting one in
// plaintext that both the old and the new policy want encrypted. Pure: times come in, no I/O, no thread.
//
// A node applies a view as a whole, but nodes do so at different moments. Between two nodes of which one already
// refuses plaintext and the other still sends it, packets are lost. So a change is a sequence of *steps*; a step is
// over when every connected node has acknowledged a view that contains it. What each step sends for a policy P (E: at
// STAGE_ENFORCE, S: at STAGE_SEND, where ESP is sent and plaintext still accepted, and a Deny rule abstains):
//
//   new                 Introduce: P/S                             then Steady: P/E
//   changed, P to Q     Meet: P/E and Q/S    then Yield: Q/E and P/S    then Steady: Q/E
//   removed             Withdraw: P/S                              then nothing
//
// Among policies of one priority the strictest verdict counts (Deny > Require > Send > Prefer > Bypass). So a flow that
//   P and Q require     is Require in Meet (P), Yield (Q) and after: plaintext is refused throughout;
//   only Q requires     is Send in Meet (both ways accepted, ESP sent) and Require from Yield on;
//   only P requires     is Require in Meet, Send in Yield, and free after: nobody sends plaintext to one who refuses it;
//   P and Q deny        is denied throughout.
// Between two neighbouring steps every pair of nodes understands each other: a node that sends ESP is always accepted,
// a node that sends plaintext only ever meets nodes that accept it.
//
// Priorities. A verdict at STAGE_SEND must not outrank an enforced policy of lower priority, or it would lift it. So an
// S entry is sent at the lowest priority of all enforced policies with Require or Deny rules, if that is below its own.
// A flow that such an entry would have eased but cannot (a policy between the two answers for it) changes at once: some
// packets may be lost between two nodes' views, none is leaked.
// The other way about, a policy that only eases (Bypass, Prefer) above an enforced policy would let a node send
// plaintext to one that still refuses it. So its S entry has `eases` set: its pod rules are sent as Require at
// STAGE_SEND, at its own priority (all of its flows are eased in the end, so nothing is lifted that stays).
// Pods, labels and namespaces that change under an unchanged policy are not staged: a new pod under an enforced policy
// is enforced from its first packet.
//
// A node that is not connected does not block, nor one that stays silent for `grace` after a step began (or after it
// connected): the step goes on without it and `skipped` names it. Such a node runs on under its last view, fails
// closed, and catches up.
#ifndef ESPALIER_CONTROLLER_COMPILE_STAGES_H_
#define ESPALIER_CONTROLLER_COMPILE_STAGES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "controller/compile/policy_definition.h"
#include "espalier/v1/view.pb.h"

namespace espalier::compile {

// One policy as it is to be sent now.
struct ActivePolicy {
  std::string name;  // on the wire: the definition's, or with "+new" (Meet) or "+old" (Yield) appended
  DefinitionPtr definition;
  v1::Stage stage = v1::STAGE_ENFORCE;
  int32_t priority = 0;
  bool eases = false;  // see above: Bypass and Prefer rules among pods become Require

  friend bool operator==(const ActivePolicy&, const ActivePolicy&) = default;
};

enum class Step {
  kIntroduce,  // new, not refusing plaintext yet
  kSteady,     // in force
  kMeet,       // the old version enforced, the new one sending
  kYield,      // the new version enforced, the old one sending
  kWithdraw,   // removed, no longer refusing plaintext
};

struct PolicyProgress {
  Step step = Step::kSteady;
  DefinitionPtr in_force;               // enforced; null in Introduce
  DefinitionPtr desired;                // null: it is being removed
  uint64_t revision = 0;                // that nodes have to acknowledge for this step
  absl::Time since;                     // when the step began
  std::vector<std::string> waiting_for; // nodes (UIDs) that the step waits for
  std::vector<std::string> skipped;     // nodes that steps of this change went on without
};

struct StagesOptions {
  absl::Duration grace = absl::Seconds(5);
};

// Not thread-safe. Nodes are named by UID. `now` never goes back.
//
// Use: after each call look at revision(); if it is not the one that was last compiled, compile Current() and send the
// result; call Tick at next_deadline(). Calls of one moment may be batched before looking.
class Stages {
 public:
  explicit Stages(StagesOptions options = {});

  // All policies that shall be in force. A change that comes while another of the same policy is under way replaces it
  // where that is safe (Introduce, Meet, Withdraw), else follows it.
  void SetDesired(const std::vector<DefinitionPtr>& definitions, absl::Time now);

  void OnConnected(const std::string& node, absl::Time now);
  void OnDisconnected(const std::string& node, absl::Time now);
  // The view that this node has applied is equal to the one compiled from `revision`: it acknowledged that view, or a
  // later compile left its view unchanged. Larger revisions include smaller ones.
  void OnAck(const std::string& node, uint64_t revision, absl::Time now);
  // Grace periods that have run out.
  void Tick(absl::Time now);
  // When Tick is next needed.
  std::optional<absl::Time> next_deadline() const;

  // Grows when Current() changes. Starts at 1 (nothing to send).
  uint64_t revision() const { return revision_; }
  // Sorted by name. Valid until the next call that changes something.
  const std::vector<ActivePolicy>& Current() const { return current_; }
  // By the policy's name.
  const std::map<std::string, PolicyProgress>& progress() const { return progress_; }

  // What is enforced, for the next start: one JSON object (the policy as it is in force) a line. Write it to disk when
  // revision() changed and *before* the views of that revision go out: a controller that comes back without it would
  // take every policy back to STAGE_SEND for a moment. Load: before the first SetDesired; what it holds is at
  // STAGE_ENFORCE at once, and SetDesired goes on from there. InvalidArgument names the line; then nothing is loaded.
  // After Load no step ends within the first `grace`: agents have to come back first.
  std::string Save() const;
  absl::Status Load(absl::string_view text, absl::Time now);

 private:
  struct Entry {
    Step step = Step::kSteady;
    DefinitionPtr in_force;  // enforced in Steady and Meet; sending in Withdraw
    DefinitionPtr incoming;  // sending in Introduce and Meet
    DefinitionPtr outgoing;  // sending in Yield (in_force is the new one then)
    DefinitionPtr desired;   // null: to be removed
    std::vector<ActivePolicy> sent;
    uint64_t revision = 0;
    absl::Time since;
    std::set<std::string> skipped;
  };
  struct Peer {
    absl::Time since;
    uint64_t acked = 0;
  };

  static void Begin(Entry* entry, Step step, DefinitionPtr incoming);
  static bool Steer(Entry* entry);
  static bool Advance(Entry* entry);
  bool StepIsOver(Entry* entry, absl::Time now) const;
  void Settle(absl::Time now);
  void Render(absl::Time now);
  void Publish(absl::Time now);

  const StagesOptions options_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Peer> peers_;
  std::vector<ActivePolicy> current_;
  std::map<std::string, PolicyProgress> progress_;
  uint64_t revision_ = 1;
  absl::Time hold_until_ = absl::InfinitePast();
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_STAGES_H_
