// What a restarted controller must know that the objects don't say.
#ifndef ESPALIER_CONTROLLER_STATE_FILES_H_
#define ESPALIER_CONTROLLER_STATE_FILES_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "controller/compile/compiler.h"

namespace espalier {

using AgentFactsByUid = std::map<std::string, compile::AgentFacts>;

// Files in the state folder: stages (compile/stages.h), node-ids (identity/node_ids.h) and agents.json (the boot ids,
// without which a restart would look to peers like a restart of every agent). Each is written only when its content
// changed. Not thread-safe.
class StateFiles {
 public:
  explicit StateFiles(std::string folder) : folder_(std::move(folder)) {}
  ~StateFiles();
  StateFiles(const StateFiles&) = delete;
  StateFiles& operator=(const StateFiles&) = delete;

  // Only one controller may use a state folder: FailedPrecondition where another has it. Held until destroyed.
  absl::Status Lock();

  // Empty where there is none yet.
  absl::StatusOr<std::string> LoadStages() { return Load("stages", &stages_); }
  absl::StatusOr<std::string> LoadNodeIds() { return Load("node-ids", &node_ids_); }
  absl::StatusOr<AgentFactsByUid> LoadAgents();
  absl::Status SaveStages(const std::string& text) { return Save("stages", text, &stages_); }
  absl::Status SaveNodeIds(const std::string& text) { return Save("node-ids", text, &node_ids_); }
  absl::Status SaveAgents(const AgentFactsByUid& agents);

 private:
  absl::StatusOr<std::string> Load(const std::string& name, std::string* known);
  absl::Status Save(const std::string& name, const std::string& text, std::string* known);

  const std::string folder_;
  int lock_ = -1;
  std::string stages_, node_ids_, agents_;  // as they are on disk
};

}  // namespace espalier

#endif  // ESPALIER_CONTROLLER_STATE_FILES_H_
