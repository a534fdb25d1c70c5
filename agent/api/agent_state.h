// What the agent's API asks of the agent.
#ifndef ESPALIER_AGENT_API_AGENT_STATE_H_
#define ESPALIER_AGENT_API_AGENT_STATE_H_

#include "absl/status/statusor.h"
#include "espalier/v1/agent.pb.h"

namespace espalier::api {

// One method for each call of proto/espalier/v1/agent.proto. Every method is called on the control thread, through
// the poster that AgentApi is given, and should return within milliseconds. Texts of errors are shown to a person.
class AgentState {
 public:
  virtual ~AgentState() = default;

  virtual v1::StatusReport Status() = 0;
  virtual v1::NodeList Nodes() = 0;
  virtual v1::PeerList Peers() = 0;
  virtual v1::SaList Sas() = 0;
  virtual v1::PolicyList Policies() = 0;
  virtual v1::ExemptionList Exemptions() = 0;
  // See explainer.h.
  virtual absl::StatusOr<v1::Explanation> Explain(const v1::ExplainRequest& request) = 0;
  // NotFound: no such node.
  virtual absl::StatusOr<v1::RekeyResponse> Rekey(const v1::RekeyRequest& request) = 0;
};

}  // namespace espalier::api

#endif  // ESPALIER_AGENT_API_AGENT_STATE_H_
