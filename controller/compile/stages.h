// Staged activation: how a change of policies reaches every node without losing a packet, and without accepting one in
// plaintext that both the old and the new policies want encrypted. Pure: times come in, no I/O, no thread.
//
// A node applies a view as a whole, but nodes do so at different moments. Between two nodes of which one already
// refuses plaintext and the other still sends it, packets are lost. So a change, of any number of policies at once,
// goes in two steps. A step is over when every connected node has acknowledged a view that contains it. (E: at
// STAGE_ENFORCE. S: at STAGE_SEND, where a Require is the verdict Send: ESP is sent, plaintext is still accepted; and a
// Deny abstains.)
//
//   steady   all old policies E
//   Meet     all old policies E,  and those that are new, or the new versions of changed ones, S
//   Yield    all new policies E,  and those that are removed, or the old versions of changed ones, S
//   steady   all new policies E
//
// Of policies of one priority the strictest verdict counts (Deny > Require > Send > Prefer > Bypass). So, in steady,
// Meet, Yield, steady, a flow that
//   old and new require  is  Require, Require, Require, Require: plaintext is refused throughout;
//   only the new require     free,    Send,    Require, Require;
//   only the old require     Require, Require, Send,    free;
//   old and new deny         Deny,    Deny,    Deny,    Deny.
// Between two neighbouring steps every pair of nodes understands each other: ESP is accepted by all, and who sends
// plaintext meets only those who accept it. All policies take a step together, since one after the other would open
// gaps (a policy that is renamed is one that goes and one that comes).
//
// Priorities. An S entry must not outrank an enforced policy of lower priority, or it would lift it. So it is sent at
// the lowest priority of all enforced policies with Require or Deny rules, if that is below its own. A flow for which
// some policy between the two answers then changes without its Send step: packets may be lost between two nodes' views,
// none is leaked. The other way about, a policy that only eases (Bypass and Prefer rules), above an enforced one, would
// let a node send plaintext to one that still refuses it. So its S entry has `eases` set: what it says of pods is sent
// as Require at STAGE_SEND, at its own priority. That lifts only what it eases in the end: it is done only if no
// Require or Deny at its priority or above comes or goes with the same change. Otherwise, and where there is nothing
// below to ease, it has no S entry and simply comes with Yield, or goes with it.
//
// Pods, labels and namespaces that change under unchanged policies are not staged: a new pod under an enforced policy
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
  // On the wire: the definition's name; the S entry of a policy that changed has "+new" (Meet) or "+old" (Yield)
  // appended.
  std::string name;
  DefinitionPtr definition;
  v1::Stage stage = v1::STAGE_ENFORCE;
  int32_t priority = 0;
  bool eases = false;  // see above: Bypass and Prefer rules among pods become Require

  friend bool operator==(const ActivePolicy&, const ActivePolicy&) = default;
};

// Where one policy is.
enum class Step {
  kIntroduce,  // new, not refusing plaintext yet
  kSteady,     // in force
  kMeet,       // the old version enforced, the new one sending
  kYield,      // the new version enforced, the old one sending
  kWithdraw,   // removed: still enforced (Meet), or sending (Yield)
};

struct PolicyProgress {
  Step step = Step::kSteady;
  DefinitionPtr in_force;                // enforced; null: none (Introduce, or Withdraw in Yield)
  DefinitionPtr desired;                 // null: it is being removed
  uint64_t revision = 0;                 // that nodes have to acknowledge for this step
  absl::Time since;                      // when the step, or the policy's rest, began
  std::vector<std::string> waiting_for;  // nodes (UIDs) that the step waits for
  std::vector<std::string> skipped;      // nodes that steps of this change went on without
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

  // All policies that shall be in force. In Meet a further change takes the place of the one under way (nothing of it
  // is refused yet); in Yield it waits until that is done.
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
  using Definitions = std::map<std::string, DefinitionPtr>;
  enum class Phase { kSteady, kMeet, kYield };
  struct Peer {
    absl::Time since;
    uint64_t acked = 0;
  };

  bool StepIsOver(absl::Time now);
  void Settle(absl::Time now);
  void Begin(Phase phase, absl::Time now);
  std::vector<ActivePolicy> Render() const;
  void Report(absl::Time now);

  const StagesOptions options_;
  Phase phase_ = Phase::kSteady;
  Definitions from_, to_;  // of the change under way; the same in Steady
  Definitions desired_;    // differs from to_ only in Yield
  uint64_t step_revision_ = 1;
  absl::Time step_since_ = absl::InfinitePast();
  absl::Time hold_until_ = absl::InfinitePast();
  std::set<std::string> moving_;   // policies of the change under way, or of the last one
  std::set<std::string> skipped_;  // nodes that it went on without
  std::map<std::string, Peer> peers_;
  std::vector<ActivePolicy> current_;
  std::map<std::string, PolicyProgress> progress_;
  uint64_t revision_ = 1;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_STAGES_H_
