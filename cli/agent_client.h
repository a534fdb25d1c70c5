// Asks the agent of this node.
#ifndef ESPALIER_CLI_AGENT_CLIENT_H_
#define ESPALIER_CLI_AGENT_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "espalier/v1/agent.grpc.pb.h"

namespace espalier::cli {

// One connection to the agent's socket. Errors: Unavailable (nobody there, with a remedy), or what the agent said.
class AgentClient {
 public:
  static absl::StatusOr<AgentClient> Connect(const std::string& socket_path);

  absl::StatusOr<v1::StatusReport> Status();
  absl::StatusOr<v1::NodeList> Nodes();
  absl::StatusOr<v1::PeerList> Peers();
  absl::StatusOr<v1::SaList> Sas();
  absl::StatusOr<v1::PolicyList> Policies();
  absl::StatusOr<v1::ExemptionList> Exemptions();
  absl::StatusOr<v1::Explanation> Explain(const v1::ExplainRequest& request);
  absl::StatusOr<v1::RekeyResponse> Rekey(const v1::RekeyRequest& request);

 private:
  explicit AgentClient(std::unique_ptr<v1::Agent::Stub> stub) : stub_(std::move(stub)) {}

  std::unique_ptr<v1::Agent::Stub> stub_;
};

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_AGENT_CLIENT_H_
