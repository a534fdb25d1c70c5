// The one list of the agent's metrics: what /metrics exports and what docs/metrics.md says are both made of it.
//   X(symbol, name, type, labels, help)     labels: separated by commas, in the order in which values are given
#ifndef ESPALIER_AGENT_TELEMETRY_METRICS_LIST_H_
#define ESPALIER_AGENT_TELEMETRY_METRICS_LIST_H_

#define ESPALIER_AGENT_METRICS(X)                                                                                    \
  X(BuildInfo, "espalier_build_info", Gauge, "version,node,datapath", "Always 1; its labels say what runs")          \
  X(StartTime, "espalier_start_time_seconds", Gauge, "", "When the agent started, Unix time")                        \
  X(Ready, "espalier_ready", Gauge, "", "1 when the node's policy is in force (as /readyz)")                         \
  X(SampleFailed, "espalier_sample_failed", Gauge, "",                                                               \
    "1 when the agent did not answer the scrape in time; then only this and the build info are shown")               \
  X(PeerUp, "espalier_peer_up", Gauge, "peer",                                                                       \
    "1 while an IKE SA with this node is up. Every other node of the view has a series, also those never spoken to") \
  X(PeerEstablished, "espalier_peer_established_timestamp_seconds", Gauge, "peer",                                   \
    "When the current IKE SA with this node was established, Unix time")                                             \
  X(PeerPackets, "espalier_peer_packets_total", Counter, "peer,direction", "Pod packets carried in ESP, by node")    \
  X(PeerBytes, "espalier_peer_bytes_total", Counter, "peer,direction",                                               \
    "Octets of pod packets (inner, with their IP headers) carried in ESP, by node")                                  \
  X(Peers, "espalier_peers", Gauge, "state", "Other nodes of the view by the state of their IKE SA")                 \
  X(Sas, "espalier_sas", Gauge, "direction", "ESP SAs installed in the datapath")                                    \
  X(EspPackets, "espalier_esp_packets_total", Counter, "direction", "Pod packets carried in ESP")                    \
  X(EspBytes, "espalier_esp_bytes_total", Counter, "direction", "Octets of pod packets carried in ESP")              \
  X(DatapathDrops, "espalier_datapath_drops_total", Counter, "reason", "Packets that the datapath dropped")          \
  X(HeldPackets, "espalier_held_packets", Gauge, "", "Packets that wait for a tunnel now")                           \
  X(SteeringPackets, "espalier_steering_packets_total", Counter, "outcome",                                          \
    "Packets at the node's exits, each counted once by what happened to it")                                         \
  X(SteeringBytes, "espalier_steering_bytes_total", Counter, "outcome", "Octets of these packets")                   \
  X(SteeredDevices, "espalier_steered_devices", Gauge, "device", "1 for each device at which traffic is steered")    \
  X(SteeringAlarms, "espalier_steering_alarms", Gauge, "",                                                           \
    "Things about the steering that need a person; `espalierctl status` names them")                                 \
  X(IkeEvents, "espalier_ike_events_total", Counter, "event", "What happened in the IKEv2 engine, by cause")         \
  X(Rekeys, "espalier_rekeys_total", Counter, "kind", "Rekeys that were completed, of IKE SAs and of Child SAs")     \
  X(ViewVersion, "espalier_view_version", Gauge, "", "Version of the view in force")                                 \
  X(ViewApplied, "espalier_view_applied_timestamp_seconds", Gauge, "", "When it was applied, Unix time")             \
  X(ViewFromCache, "espalier_view_from_cache", Gauge, "", "1 while the view in force is the one kept on disk")       \
  X(ViewRefused, "espalier_view_refused_total", Counter, "", "Deltas of the view that were refused as a whole")      \
  X(CacheFailed, "espalier_view_cache_failed", Gauge, "",                                                            \
    "1 while the view cannot be kept on disk; the agent runs on with what it has")                                   \
  X(ControllerConnected, "espalier_controller_connected", Gauge, "", "1 while the controller's stream is open")      \
  X(ControllerConnects, "espalier_controller_connects_total", Counter, "", "Streams to the controller opened")       \
  X(CertificateExpiry, "espalier_certificate_expiry_timestamp_seconds", Gauge, "",                                   \
    "End of the node's own certificate, Unix time")                                                                  \
  X(Nodes, "espalier_view_nodes", Gauge, "", "Nodes in the view")                                                    \
  X(Policies, "espalier_view_policies", Gauge, "", "Policies in the view")                                           \
  X(Addresses, "espalier_view_addresses", Gauge, "", "Pod addresses in the view")                                    \
  X(LocalPods, "espalier_local_pods", Gauge, "", "Pods of this node that the view knows")                            \
  X(PolicyRows, "espalier_policy_rows", Gauge, "", "Rows of the flattened policy")

// Fixed values of labels, so that every series exists from the start.
#define ESPALIER_PEER_STATES(X) X("none") X("connecting") X("up") X("failed")
#define ESPALIER_REKEY_KINDS(X) X("ike") X("child")

#endif  // ESPALIER_AGENT_TELEMETRY_METRICS_LIST_H_
