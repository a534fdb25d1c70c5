// What others can ask a running agent: its API on the unix socket, and metrics and health over HTTP.
#ifndef ESPALIER_AGENT_SERVERS_H_
#define ESPALIER_AGENT_SERVERS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "agent/agent.h"
#include "agent/api/agent_api.h"
#include "agent/reports.h"
#include "common/telemetry/http_server.h"

namespace espalier {

// Made and destroyed on the control thread, before everything that it reports on.
struct Agent::Servers {
  static absl::StatusOr<std::unique_ptr<Servers>> Start(Agent* agent);
  explicit Servers(Agent* agent) : reports(agent) {}

  AgentReports reports;
  std::unique_ptr<api::AgentApi> api;
  std::unique_ptr<telemetry::HttpServer> http;
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_SERVERS_H_
