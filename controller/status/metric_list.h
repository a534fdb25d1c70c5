// Every metric of the controller, once: for the code that fills them, and for docs/metrics.md.
#ifndef ESPALIER_CONTROLLER_STATUS_METRIC_LIST_H_
#define ESPALIER_CONTROLLER_STATUS_METRIC_LIST_H_

#include <string>

namespace espalier::status {

// X(constant, name, type, labels, help). Types: Counter, Gauge.
#define ESPALIER_CONTROLLER_METRICS(X)                                                                                \
  X(kObjects, "espalier_controller_objects", Gauge, "kind", "Objects in force.")                                      \
  X(kProblems, "espalier_controller_problems", Gauge, "severity", "What is wrong with the objects now.")              \
  X(kPolicies, "espalier_controller_policies", Gauge, "stage", "Policies by stage; refused: no version is in force.") \
  X(kNodes, "espalier_controller_nodes", Gauge, "", "Nodes of the mesh.")                                             \
  X(kConnected, "espalier_controller_agent_connected", Gauge, "node", "1 while the node's agent has a stream.")       \
  X(kInSync, "espalier_controller_agent_in_sync", Gauge, "node", "1 while the agent has its last view in force.")     \
  X(kRefused, "espalier_controller_agent_view_refused", Gauge, "node", "1 while the agent refuses its last view.")    \
  X(kViewVersion, "espalier_controller_view_version", Gauge, "", "Version of the last compile.")                      \
  X(kDeltas, "espalier_controller_deltas_sent_total", Counter, "kind",                                                \
    "Views sent, whole (full) or as a difference (delta).")                                                           \
  X(kBytes, "espalier_controller_delta_bytes_sent_total", Counter, "", "Octets of them.")                             \
  X(kAnswers, "espalier_controller_answers_total", Counter, "result", "Answers of agents: ack, nack, stray.")         \
  X(kStreams, "espalier_controller_streams_total", Counter, "result",                                                 \
    "Streams of agents: accepted, resumed (among them), stalled (cut off).")                                          \
  X(kStreamsRefused, "espalier_controller_streams_refused_total", Counter, "code",                                    \
    "Requests of agents that were refused.")                                                                          \
  X(kEnrolments, "espalier_controller_enrolments_total", Counter, "result",                                           \
    "Certificates asked for: issued, renewed, or why not.")                                                           \
  X(kIssued, "espalier_controller_certificates_issued_total", Counter, "", "Node certificates issued.")               \
  X(kRevoked, "espalier_controller_certificates_revoked", Gauge, "", "Serial numbers on the list.")                   \
  X(kAnchors, "espalier_controller_trust_anchors", Gauge, "", "Anchors in the trust bundle.")                         \
  X(kCaExpiry, "espalier_controller_ca_expiry_timestamp_seconds", Gauge, "", "When the CA's certificate ends.")       \
  X(kServerExpiry, "espalier_controller_server_certificate_expiry_timestamp_seconds", Gauge, "",                      \
    "When the controller's own ends.")                                                                                \
  X(kCompiles, "espalier_controller_compiles_total", Counter, "", "Compiles of all views.")                           \
  X(kCompileSeconds, "espalier_controller_compile_seconds_total", Counter, "", "Time they took.")                     \
  X(kLastCompile, "espalier_controller_last_compile_seconds", Gauge, "", "Time the last one took.")                   \
  X(kStateErrors, "espalier_controller_state_errors_total", Counter, "", "Failed writes to the state folder.")        \
  X(kStarted, "espalier_controller_start_timestamp_seconds", Gauge, "", "When the controller started.")

// A markdown table of them.
std::string ControllerMetricsTable();

}  // namespace espalier::status

#endif  // ESPALIER_CONTROLLER_STATUS_METRIC_LIST_H_
