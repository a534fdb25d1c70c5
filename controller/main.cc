// espalier-controller: runs the controller, and the few commands that work on its state folder.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/grpc_log.h"
#include "common/telemetry/json_log.h"
#include "controller/ca/authority.h"
#include "controller/ca/join_tokens.h"
#include "controller/controller.h"
#include "controller/status/metric_list.h"

namespace espalier {
namespace {

int Fail(const absl::Status& status) {
  std::cerr << "espalier-controller: " << status.message() << "\n";
  return 1;
}

absl::StatusOr<absl::Duration> ParseDuration(const std::string& flag, const std::string& text) {
  absl::Duration out;
  if (!absl::ParseDuration(text, &out) || out <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": \"", text, "\" is not a duration such as 24h, 30m or 90s"));
  }
  return out;
}

// "192.0.2.1:9090", "[::1]:9090", ":9090" (every address).
absl::StatusOr<std::vector<Endpoint>> ParseListen(const std::string& flag, const std::string& text) {
  auto bad = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": \"", text, "\" is not ADDRESS:PORT such as 127.0.0.1:9090"));
  };
  size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) return bad();
  absl::string_view host = absl::string_view(text).substr(0, colon);
  if (host.empty()) host = "::";
  if (absl::ConsumePrefix(&host, "[") && !absl::ConsumeSuffix(&host, "]")) return bad();
  absl::StatusOr<IpAddress> address = IpAddress::Parse(host);
  if (!address.ok()) return bad();
  return std::vector<Endpoint>{{*address, static_cast<uint16_t>(port)}};
}

struct Flags {
  std::string source, state_dir, metrics, cert_lifetime = "24h", stage_grace = "5s";
  std::vector<std::string> mesh_cidrs;
  ControllerOptions options;
};

int RunController(Flags flags) {
  ControllerOptions& options = flags.options;
  absl::string_view directory = flags.source;
  if (!absl::ConsumePrefix(&directory, "directory=") || directory.empty()) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("--source: \"", flags.source, "\" is not directory=DIR, the only source so far")));
  }
  options.source_directory = std::string(directory);
  options.state_dir = flags.state_dir;
  absl::StatusOr<absl::Duration> lifetime = ParseDuration("--cert-lifetime", flags.cert_lifetime);
  if (!lifetime.ok()) return Fail(lifetime.status());
  options.certificate_lifetime = *lifetime;
  absl::StatusOr<absl::Duration> grace = ParseDuration("--stage-grace", flags.stage_grace);
  if (!grace.ok()) return Fail(grace.status());
  options.stage_grace = *grace;
  if (!flags.metrics.empty()) {
    absl::StatusOr<std::vector<Endpoint>> listen = ParseListen("--metrics", flags.metrics);
    if (!listen.ok()) return Fail(listen.status());
    options.metrics = *std::move(listen);
  }
  for (const std::string& text : flags.mesh_cidrs) {
    absl::StatusOr<IpPrefix> prefix = IpPrefix::Parse(text);
    if (!prefix.ok()) {
      return Fail(absl::InvalidArgumentError(absl::StrCat("--mesh-cidr: ", prefix.status().message())));
    }
    options.cluster_cidrs.push_back(*prefix);
  }

  // Blocked before any thread starts, so that all of them leave these signals to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  telemetry::StartJsonLog("controller");
  RouteGrpcLog();
  absl::StatusOr<std::unique_ptr<Controller>> controller = Controller::Start(std::move(options));
  if (!controller.ok()) {
    LOG(ERROR) << "controller not started cause=\"" << controller.status().message() << "\"";
    return 1;
  }
  int received = 0;
  sigwait(&signals, &received);
  LOG(INFO) << "controller stopping signal=" << absl::StrCat(received);
  controller->reset();
  return 0;
}

int MakeToken(const std::string& state_dir, const std::string& node, const std::string& ttl_text) {
  absl::StatusOr<absl::Duration> ttl = ParseDuration("--ttl", ttl_text);
  if (!ttl.ok()) return Fail(ttl.status());
  absl::StatusOr<std::string> token = ca::JoinTokens(state_dir).Create(node, *ttl, absl::Now());
  if (!token.ok()) return Fail(token.status());
  std::cout << *token << "\n";
  return 0;
}

int RevokeSerial(const std::string& state_dir, const std::string& serial) {
  if (absl::Status s = ca::Revoke(state_dir, serial); !s.ok()) return Fail(s);
  std::cout << "revoked " << serial << "\n";
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app{"Espalier's controller: issues node certificates, compiles policies and tells each node its view."};
  Flags flags;
  app.add_option("--source", flags.source, "Where objects come from: directory=DIR");
  app.add_option("--state-dir", flags.state_dir, "CA, join tokens and what a restart must know; made with mode 0700");
  app.add_option("--listen", flags.options.listen, "ADDRESS:PORT for agents")->capture_default_str();
  app.add_option("--trust-domain", flags.options.trust_domain, "SPIFFE trust domain of the nodes")
      ->capture_default_str();
  app.add_option("--cert-lifetime", flags.cert_lifetime, "Life of node certificates")->capture_default_str();
  app.add_option("--metrics", flags.metrics,
                 "ADDRESS:PORT of /metrics, /healthz, /readyz and /statusz (default: none)");
  app.add_option("--mesh-cidr", flags.mesh_cidrs, "Pod network beyond the nodes' podCIDRs; may be repeated");
  app.add_option("--controller-address", flags.options.controller_addresses,
                 "ADDRESS:PORT at which agents reach this controller, exempt from encryption; may be repeated");
  app.add_option("--stage-grace", flags.stage_grace, "How long a policy's stage waits for a silent node")
      ->capture_default_str();

  std::string state_dir, node, ttl = "1h", serial;
  CLI::App* token = app.add_subcommand("token", "Print a new one-time join token for a node");
  token->add_option("--state-dir", state_dir)->required();
  token->add_option("--node", node, "The node's name")->required();
  token->add_option("--ttl", ttl, "How long it can be used")->capture_default_str();
  CLI::App* revoke = app.add_subcommand("revoke", "Revoke a certificate by its serial number");
  revoke->add_option("--state-dir", state_dir)->required();
  revoke->add_option("--serial", serial, "Hexadecimal, as `espalierctl nodes` shows it")->required();
  CLI::App* metrics = app.add_subcommand("metrics", "Print the table of metrics for the documentation");

  CLI11_PARSE(app, argc, argv);
  if (token->parsed()) return MakeToken(state_dir, node, ttl);
  if (revoke->parsed()) return RevokeSerial(state_dir, serial);
  if (metrics->parsed()) {
    std::cout << status::ControllerMetricsTable();
    return 0;
  }
  if (flags.source.empty()) return Fail(absl::InvalidArgumentError("--source is required (see --help)"));
  if (flags.state_dir.empty()) return Fail(absl::InvalidArgumentError("--state-dir is required (see --help)"));
  return RunController(std::move(flags));
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) { return espalier::Main(argc, argv); }
