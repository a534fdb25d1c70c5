// /statusz: the controller's state for people and for `espalierctl --controller`.
//
// {
//   "source", "trust_domain", "epoch", "started_at", "view_version", "objects": {KIND: COUNT},
//   "nodes": [{"name", "uid", "id", "pods", "connected", "since", "version", "acked_version", "in_sync", "nack",
//     "agent_version", "datapath", "address", "mlkem", "certificate_serial", "certificate_not_after",
//     "peers_wanted", "peers_up"}],
//   "policies": [{"name", "stage", "observed_generation", "programmed_nodes", "desired_nodes", "selected_pods",
//     "conditions": [{"type", "status", "reason", "message", "last_transition_time"}]}],
//   "problems": [{"severity" (note, warning, error), "file", "document", "line", "object", "field", "value", "message",
//     "remedy", "in_force", "text" (all of it in one line)}],
//   "certificates": {"ca_not_after", "server_not_after", "anchors", "issued", "revoked": [SERIAL]},
//   "state_error"
// }
// Times are RFC 3339 in UTC, empty where there is none. Nodes, policies and problems are sorted.
#ifndef ESPALIER_CONTROLLER_STATUS_STATUS_JSON_H_
#define ESPALIER_CONTROLLER_STATUS_STATUS_JSON_H_

#include <string>

#include "controller/status/snapshot.h"

namespace espalier::status {

std::string StatusJson(const Snapshot& snapshot);

}  // namespace espalier::status

#endif  // ESPALIER_CONTROLLER_STATUS_STATUS_JSON_H_
