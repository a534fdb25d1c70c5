// espalier-agent: command line, logs, and then Agent.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/agent.h"
#include "agent/options.h"
#include "agent/version.h"
#include "common/grpc_log.h"
#include "common/telemetry/json_log.h"

namespace espalier {
namespace {

// Keys live in this process: no core dump of it is ever written, and no other process may attach.
void ProtectMemory() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

struct Texts {
  std::vector<std::string> local_addresses, metrics;
  double max_cache_age_hours = 24;
};

absl::Status Finish(const Texts& texts, AgentOptions* options) {
  for (const std::string& text : texts.local_addresses) {
    auto address = IpAddress::Parse(text);
    if (!address.ok()) return absl::InvalidArgumentError(absl::StrCat("--local-address: ", address.status().message()));
    for (const IpAddress& other : options->local_addresses) {
      if (other.is_v6() == address->is_v6()) {
        return absl::InvalidArgumentError(absl::StrCat("--local-address: ", text, " and ", other.ToString(),
                                                       " are of one family; give one address for each family"));
      }
    }
    options->local_addresses.push_back(*address);
  }
  for (const std::string& text : texts.metrics) {
    const size_t colon = text.rfind(':');
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    auto address = IpAddress::Parse(host);
    uint32_t port = 0;
    if (colon == std::string::npos || !address.ok() || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
        port > 65535) {
      return absl::InvalidArgumentError(absl::StrCat("--metrics: \"", text, "\" is not ADDRESS:PORT"));
    }
    options->metrics.push_back({*address, static_cast<uint16_t>(port)});
  }
  options->max_cache_age = absl::Hours(texts.max_cache_age_hours);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  AgentOptions options;
  Texts texts;
  CLI::App app{
      "Encrypts the traffic between this node's pods and other nodes' pods, as the controller's policies say."};
  app.set_version_flag("--version", kVersion);
  app.add_option("--node", options.node, "This node's name in the cluster")->required()->envname("NODE_NAME");
  app.add_option("--controller", options.controllers, "Controller, ADDRESS:PORT (repeat for several)")->required();
  app.add_option("--trust-domain", options.trust_domain, "SPIFFE trust domain")->capture_default_str();
  app.add_option("--bootstrap-ca", options.bootstrap_ca, "Trust anchors for the first contact (PEM)");
  app.add_option("--join-token-file", options.join_token_file, "One-time join token, for the first contact");
  app.add_option("--state-dir", options.state_dir, "Key, certificate and last view")->capture_default_str();
  app.add_option("--socket", options.socket, "Unix socket of the agent's API")->capture_default_str();
  app.add_option("--metrics", texts.metrics, "ADDRESS:PORT for /metrics, /healthz and /readyz (repeatable)");
  app.add_option("--datapath", options.datapath, "auto or user")
      ->check(CLI::IsMember({"auto", "user", "xfrm"}))
      ->capture_default_str();
  app.add_option("--bpf-pin-dir", options.pin_dir, "Folder on a bpffs, of this node alone")->capture_default_str();
  app.add_option("--local-address", texts.local_addresses, "The node's address, one for each family")->required();
  app.add_option("--device", options.device, "Name of the datapath's device")->capture_default_str();
  app.add_option("--steer-device", options.steer_devices, "Devices to steer at (default: found and followed)");
  app.add_option("--outer-mtu", options.outer_mtu, "MTU between nodes (default: that of the local address's device)")
      ->check(CLI::Range(0, 65535));
  app.add_option("--max-cache-age-hours", texts.max_cache_age_hours, "Age up to which a stored view is used")
      ->check(CLI::Range(0.0, 8760.0))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  telemetry::StartJsonLog("agent");
  RouteGrpcLog();
  ProtectMemory();
  std::signal(SIGPIPE, SIG_IGN);
  if (absl::Status s = Finish(texts, &options); !s.ok()) {
    LOG(ERROR) << s.message();
    return 2;
  }
  LOG(INFO) << "agent starts node=" << options.node << " version=" << kVersion;
  Agent agent(std::move(options));
  if (absl::Status s = agent.Run(); !s.ok()) {
    LOG(ERROR) << "agent cannot run error=\"" << s.message() << "\"";
    return 1;
  }
  LOG(INFO) << "agent stopped";
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) { return espalier::Main(argc, argv); }
