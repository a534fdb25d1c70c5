// What the controller's /statusz says (controller/status/status_json.h), as far as espalierctl shows it.
#ifndef ESPALIER_CLI_CONTROLLER_STATUS_H_
#define ESPALIER_CLI_CONTROLLER_STATUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace espalier::cli {

struct ControllerStatus {
  struct Node {
    std::string name, nack, agent_version;
    bool connected = false, in_sync = false;
    uint64_t version = 0, acked_version = 0;
  };
  struct Condition {
    std::string type, status, reason, message;
  };
  struct Policy {
    std::string name, stage;
    uint64_t programmed_nodes = 0, desired_nodes = 0, selected_pods = 0;
    std::vector<Condition> conditions;
  };
  struct Problem {
    std::string severity, text, message, remedy;
  };
  std::string source, state_error;
  uint64_t view_version = 0;
  std::vector<Node> nodes;
  std::vector<Policy> policies;
  std::vector<Problem> problems;
  std::string json;  // as it came
};

// InvalidArgument: no JSON object. Fields that are missing or of another type are as if empty: a controller may be
// newer or older.
absl::StatusOr<ControllerStatus> ParseControllerStatus(absl::string_view json);

// Asks http://ADDRESS:PORT (a path is ignored). Errors are for a person, with a remedy.
absl::StatusOr<ControllerStatus> FetchControllerStatus(const std::string& url);

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_CONTROLLER_STATUS_H_
