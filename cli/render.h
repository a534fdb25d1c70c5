// Each report of the agent as text for a terminal. Pure: the time is given.
#ifndef ESPALIER_CLI_RENDER_H_
#define ESPALIER_CLI_RENDER_H_

#include <string>

#include "absl/time/time.h"
#include "cli/controller_status.h"
#include "espalier/v1/agent.pb.h"

namespace espalier::cli {

// `controller` may be null: then only what the agent knows is shown.
std::string RenderStatus(const v1::StatusReport& status, const ControllerStatus* controller, absl::Time now);
std::string RenderNodes(const v1::NodeList& nodes, const ControllerStatus* controller, absl::Time now);
std::string RenderPeers(const v1::PeerList& peers, absl::Time now);
std::string RenderSas(const v1::SaList& sas, absl::Time now);
std::string RenderPolicies(const v1::PolicyList& policies, const ControllerStatus* controller);
std::string RenderExemptions(const v1::ExemptionList& exemptions);
std::string RenderExplanation(const v1::Explanation& explanation, absl::Time now);

// Does the agent, or the controller, report a problem of severity "error"?
bool HasErrors(const v1::StatusReport& status, const ControllerStatus* controller);

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_RENDER_H_
