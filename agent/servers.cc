#include "agent/servers.h"

#include <asio/post.hpp>
#include <optional>
#include <utility>

#include "agent/telemetry/agent_metrics.h"
#include "agent/version.h"

namespace espalier {

absl::StatusOr<std::unique_ptr<Agent::Servers>> Agent::Servers::Start(Agent* agent) {
  auto servers = std::make_unique<Servers>(agent);
  AgentReports* reports = &servers->reports;

  auto api =
      api::AgentApi::Start({.socket_path = agent->options_.socket,
                            .post = [agent](std::function<void()> work) { asio::post(agent->io_, std::move(work)); }},
                           reports);
  if (!api.ok()) return api.status();
  servers->api = *std::move(api);

  if (agent->options_.metrics.empty()) return servers;
  telemetry::HttpOptions http;
  http.listen = agent->options_.metrics;
  http.metrics.push_back(std::make_shared<telemetry::AgentMetrics>(
      telemetry::AgentMetrics::Identity{.version = kVersion, .node = agent->options_.node, .datapath = "user"},
      [agent, reports]() -> std::optional<telemetry::AgentSample> {
        auto sample = std::make_shared<telemetry::AgentSample>();
        if (!agent->OnControlThread([sample, reports] { *sample = reports->Sample(); })) return std::nullopt;
        return *std::move(sample);
      }));
  // Healthy: the control thread answers. Ready: the node's policy is in force.
  http.healthy = [agent]() -> absl::Status {
    return agent->OnControlThread([] {}) ? absl::OkStatus() : absl::UnavailableError("the control thread is stuck");
  };
  http.ready = [agent, reports]() -> absl::Status {
    auto status = std::make_shared<absl::Status>();
    if (!agent->OnControlThread([status, reports] { *status = reports->Ready(); })) {
      return absl::UnavailableError("the control thread is stuck");
    }
    return *status;
  };
  auto server = telemetry::HttpServer::Start(std::move(http));
  if (!server.ok()) return server.status();
  servers->http = *std::move(server);
  return servers;
}

}  // namespace espalier
