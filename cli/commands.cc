#include "cli/commands.h"

#include <google/protobuf/util/json_util.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/agent_client.h"
#include "cli/controller_status.h"
#include "cli/human.h"
#include "cli/render.h"

namespace espalier::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string socket = "/run/espalier/agent.sock";
  std::string output = "table";
  std::string controller;
  std::string source, destination, protocol = "tcp";
  std::string node;
  bool ike = false;
};

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string out;
  // Fails only for messages of unknown Any types, which there are none of.
  (void)google::protobuf::util::MessageToJsonString(message, &out, options);
  return out;
}

class Session {
 public:
  Session(const Flags& flags, std::ostream& out, std::ostream& err) : flags_(flags), out_(out), err_(err) {}

  int Status() {
    return WithAgent([this](AgentClient& agent) {
      auto status = agent.Status();
      if (!status.ok()) return Fail(status.status());
      const auto controller = Controller();
      Print(*status, controller, {"nodes", "policies", "problems"},
            [&] { return RenderStatus(*status, Pointer(controller), absl::Now()); });
      return HasErrors(*status, Pointer(controller)) ? kUnhealthy : kOk;
    });
  }
  int Nodes() {
    return WithAgent([this](AgentClient& agent) {
      auto nodes = agent.Nodes();
      if (!nodes.ok()) return Fail(nodes.status());
      const auto controller = Controller();
      Print(*nodes, controller, {"nodes"}, [&] { return RenderNodes(*nodes, Pointer(controller), absl::Now()); });
      return kOk;
    });
  }
  int Peers() {
    return WithAgent([this](AgentClient& agent) {
      auto peers = agent.Peers();
      if (!peers.ok()) return Fail(peers.status());
      Print(*peers, {}, {}, [&] { return RenderPeers(*peers, absl::Now()); });
      return kOk;
    });
  }
  int Sas() {
    return WithAgent([this](AgentClient& agent) {
      auto sas = agent.Sas();
      if (!sas.ok()) return Fail(sas.status());
      Print(*sas, {}, {}, [&] { return RenderSas(*sas, absl::Now()); });
      return kOk;
    });
  }
  int Policies() {
    return WithAgent([this](AgentClient& agent) {
      auto policies = agent.Policies();
      if (!policies.ok()) return Fail(policies.status());
      const auto controller = Controller();
      Print(*policies, controller, {"policies", "problems"},
            [&] { return RenderPolicies(*policies, Pointer(controller)); });
      return kOk;
    });
  }
  int Exemptions() {
    return WithAgent([this](AgentClient& agent) {
      auto exemptions = agent.Exemptions();
      if (!exemptions.ok()) return Fail(exemptions.status());
      Print(*exemptions, {}, {}, [&] { return RenderExemptions(*exemptions); });
      return kOk;
    });
  }
  int Explain() {
    v1::ExplainRequest request;
    uint32_t protocol = 0;
    if (!ParseProtocol(flags_.protocol, &protocol)) {
      err_ << "espalierctl: --protocol \"" << flags_.protocol
           << "\": use tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255\n";
      return kUsage;
    }
    request.set_source(flags_.source);
    request.set_destination(flags_.destination);
    request.set_protocol(protocol);
    return WithAgent([&](AgentClient& agent) {
      auto explanation = agent.Explain(request);
      if (!explanation.ok()) return Fail(explanation.status());
      Print(*explanation, {}, {}, [&] { return RenderExplanation(*explanation, absl::Now()); });
      return kOk;
    });
  }
  int Rekey() {
    v1::RekeyRequest request;
    request.set_node(flags_.node);
    request.set_ike(flags_.ike);
    return WithAgent([&](AgentClient& agent) {
      auto response = agent.Rekey(request);
      if (!response.ok()) return Fail(response.status());
      Print(*response, {}, {}, [&]() -> std::string {
        if (response->started() == 0) return "Nothing to rekey: no tunnel is up.\n";
        return absl::StrCat("Rekeying ", response->started(), response->started() == 1 ? " SA" : " SAs",
                            "; see `espalierctl sas`.\n");
      });
      return response->started() == 0 ? kUnhealthy : kOk;
    });
  }

 private:
  template <typename F>
  int WithAgent(F&& f) {
    auto agent = AgentClient::Connect(flags_.socket);
    if (!agent.ok()) return Fail(agent.status());
    return f(*agent);
  }

  // Asked only if a controller is given. That it can't be reached is said, and the agent's part shown all the same.
  std::optional<ControllerStatus> Controller() {
    if (flags_.controller.empty()) return std::nullopt;
    auto status = FetchControllerStatus(flags_.controller);
    if (status.ok()) return *std::move(status);
    err_ << "espalierctl: " << status.status().message() << "\nShown is what the agent knows.\n";
    return std::nullopt;
  }
  static const ControllerStatus* Pointer(const std::optional<ControllerStatus>& c) { return c ? &*c : nullptr; }

  // JSON: the agent's message as it is, with the named parts of the controller's status under "controllerReport".
  template <typename F>
  void Print(const google::protobuf::Message& message, const std::optional<ControllerStatus>& controller,
             std::vector<std::string> parts, F&& render) {
    if (flags_.output == "table") {
      out_ << render();
      return;
    }
    Json json = Json::parse(ToJson(message));
    if (controller) {
      Json all = Json::parse(controller->json, nullptr, false);
      for (const std::string& part : parts) {
        if (all.contains(part)) json["controllerReport"][part] = std::move(all[part]);
      }
    }
    out_ << json.dump(2) << "\n";
  }

  int Fail(const absl::Status& status) {
    err_ << "espalierctl: " << status.message() << "\n";
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
        return kUsage;
      case absl::StatusCode::kUnavailable:
      case absl::StatusCode::kDeadlineExceeded:
        return kUnreachable;
      default:
        return kUnhealthy;
    }
  }

  const Flags& flags_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace

int Run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err) {
  Flags flags;
  int (Session::*command)() = nullptr;
  CLI::App app("Asks the Espalier agent of this node what it does, and why.", "espalierctl");
  app.require_subcommand(0, 1);
  app.fallthrough();  // options may follow the command
  app.add_option("--socket", flags.socket, "The agent's socket")
      ->envname("ESPALIER_AGENT_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", flags.output, "How to print")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.add_option("--controller", flags.controller,
                 "http://ADDRESS:PORT of the controller's metrics: status, nodes and policies then show its side too")
      ->envname("ESPALIER_CONTROLLER");
  const auto add = [&](const char* name, const char* what, int (Session::*run)()) {
    return app.add_subcommand(name, what)->callback([&command, run] { command = run; });
  };
  add("status", "How the agent is, and what needs a person", &Session::Status);
  add("nodes", "Nodes of the mesh with their certificates", &Session::Nodes);
  add("peers", "Other nodes: the state of the IKE SA with each", &Session::Peers);
  add("sas", "ESP SAs with their traffic", &Session::Sas);
  add("policies", "Policies in force here", &Session::Policies);
  CLI::App* explain = add("explain", "What happens to a flow, and why", &Session::Explain);
  explain->add_option("source", flags.source, "Who sends: NAMESPACE/POD, POD (namespace default) or an address")
      ->required();
  explain
      ->add_option("destination", flags.destination,
                   "To whom: POD:PORT, as above; without a port: any that no rule names")
      ->required();
  explain->add_option("--protocol", flags.protocol, "tcp, udp, sctp, icmp, icmpv6 or a number")->capture_default_str();
  add("exemptions", "What is never steered or refused", &Session::Exemptions);
  CLI::App* rekey = add("rekey", "Make new keys now", &Session::Rekey);
  rekey->add_option("node", flags.node, "Only the tunnel to this node");
  rekey->add_flag("--ike", flags.ike, "The IKE SA too");
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err) == 0 ? kOk : kUsage;
  }
  if (command == nullptr) {
    err << app.help();
    return kUsage;
  }
  Session session(flags, out, err);
  return (session.*command)();
}

}  // namespace espalier::cli
