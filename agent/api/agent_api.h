// The agent's API on a unix socket.
#ifndef ESPALIER_AGENT_API_AGENT_API_H_
#define ESPALIER_AGENT_API_AGENT_API_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/api/agent_state.h"

namespace espalier::api {

struct ApiOptions {
  std::string socket_path = "/run/espalier/agent.sock";  // its folder is made, 0755, if it isn't there
  // A group that may use the API as well: the socket's mode is then 0660, else 0600.
  std::string group;
  // Runs a function on the control thread, later. Called from the server's threads.
  std::function<void(std::function<void()>)> post;
  // For one call. After it the caller gets DEADLINE_EXCEEDED.
  absl::Duration timeout = absl::Seconds(5);
};

// Threads: a few of gRPC's own; each call waits for the control thread, which is the only one to touch AgentState.
class AgentApi {
 public:
  // `state` outlives the API. Errors: a path too long for a socket, a group that doesn't exist, another agent that
  // listens at the path (AlreadyExists). A socket that a dead agent left is taken over.
  static absl::StatusOr<std::unique_ptr<AgentApi>> Start(ApiOptions options, AgentState* state);
  // On the control thread. Calls that wait get UNAVAILABLE; functions that are still posted do nothing any more.
  // Removes the socket.
  virtual ~AgentApi() = default;
};

}  // namespace espalier::api

#endif  // ESPALIER_AGENT_API_AGENT_API_H_
