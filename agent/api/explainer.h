// Answers "what happens to a packet from A to B, and why?" in words, from the very snapshot that is in force.
#ifndef ESPALIER_AGENT_API_EXPLAINER_H_
#define ESPALIER_AGENT_API_EXPLAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/policy/snapshot.h"
#include "agent/policy/view.h"
#include "espalier/v1/agent.pb.h"

namespace espalier::api {

// Of one moment; everything outlives the call.
struct ExplainInput {
  const policy::View* view = nullptr;
  std::shared_ptr<const policy::Snapshot> snapshot;  // built from `view`
  // The tunnel to a node, and its SAs. nullopt: the engine has nothing of it.
  std::function<std::optional<v1::PeerInfo>(uint32_t node_id)> peer;
  std::function<std::vector<v1::SaInfo>(uint32_t node_id)> sas;
};

// Pure. Verdicts: encrypted, plaintext, denied, exempt, same-node, dropped. A flow of which neither end is here is
// answered for the source's node, by the policies that this node knows.
// Errors for a person: NotFound (no such pod, with the nearest names), InvalidArgument.
absl::StatusOr<v1::Explanation> ExplainFlow(const ExplainInput& input, const v1::ExplainRequest& request);

}  // namespace espalier::api

#endif  // ESPALIER_AGENT_API_EXPLAINER_H_
