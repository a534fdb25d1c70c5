// What the agent tells of itself: samples for metrics, answers for its API. Control thread only.
#ifndef ESPALIER_AGENT_REPORTS_H_
#define ESPALIER_AGENT_REPORTS_H_

#include <cstdint>
#include <map>
#include <string>

#include "agent/agent.h"
#include "agent/api/agent_state.h"
#include "agent/telemetry/agent_metrics.h"
#include "espalier/v1/agent.pb.h"

namespace espalier {

class AgentReports final : public api::AgentState {
 public:
  // `agent` outlives it.
  explicit AgentReports(Agent* agent) : agent_(*agent) {}

  telemetry::AgentSample Sample();
  v1::StatusReport Status() override;
  v1::NodeList Nodes() override;
  v1::PeerList Peers() override;
  v1::SaList Sas() override;
  v1::PolicyList Policies() override;
  v1::ExemptionList Exemptions() override;
  absl::StatusOr<v1::Explanation> Explain(const v1::ExplainRequest& request) override;
  // Starts a rekey of every Child SA (and IKE SA) with the node, or with all nodes. NotFound: no node of that name.
  absl::StatusOr<v1::RekeyResponse> Rekey(const v1::RekeyRequest& request) override;
  // Verdict counters and drops, by name.
  std::map<std::string, uint64_t> Counters();

  // Is the node's policy in force? FailedPrecondition says what is missing.
  absl::Status Ready();

  const policy::View* view() const { return agent_.view_.get(); }
  const policy::Snapshot* snapshot() const { return agent_.snapshot_.get(); }

 private:
  void AddProblems(v1::StatusReport* report);
  uint32_t LocalPods() const;

  Agent& agent_;
  telemetry::TrafficTotals totals_;
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_REPORTS_H_
