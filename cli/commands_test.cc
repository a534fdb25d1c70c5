#include "cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/api/agent_api.h"
#include "common/telemetry/http_server.h"

namespace espalier::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// An agent with two nodes and one policy.
class FakeAgent final : public api::AgentState {
 public:
  v1::StatusReport Status() override { return status; }
  v1::NodeList Nodes() override {
    v1::NodeList l;
    for (const char* name : {"node-1", "node-2"}) l.add_nodes()->mutable_node()->set_name(name);
    return l;
  }
  v1::PeerList Peers() override {
    v1::PeerList l;
    l.add_peers()->set_node("node-2");
    return l;
  }
  v1::SaList Sas() override { return {}; }
  v1::PolicyList Policies() override {
    v1::PolicyList l;
    l.add_policies()->mutable_policy()->set_name("EncryptionPolicy/shop/db");
    return l;
  }
  v1::ExemptionList Exemptions() override {
    v1::ExemptionList l;
    l.add_exemptions()->set_name("ike");
    return l;
  }
  absl::StatusOr<v1::Explanation> Explain(const v1::ExplainRequest& request) override {
    asked = request;
    if (request.source() == "ghost") return absl::NotFoundError("no pod \"default/ghost\"; nearest: default/host");
    if (request.destination() == "db:x") return absl::InvalidArgumentError("port \"x\" is not a number");
    v1::Explanation e;
    e.set_verdict("encrypted");
    e.set_port(5432);
    return e;
  }
  absl::StatusOr<v1::RekeyResponse> Rekey(const v1::RekeyRequest& request) override {
    rekeyed = request;
    v1::RekeyResponse r;
    r.set_started(started);
    return r;
  }

  v1::StatusReport status;
  v1::ExplainRequest asked;
  v1::RekeyRequest rekeyed;
  uint32_t started = 2;
};

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    unsetenv("ESPALIER_AGENT_SOCKET");
    unsetenv("ESPALIER_CONTROLLER");
    char folder[] = "/tmp/espalier-cli-XXXXXX";
    folder_ = mkdtemp(folder);
    socket_ = folder_ + "/agent.sock";
    auto api = api::AgentApi::Start({.socket_path = socket_, .post = [](std::function<void()> f) { f(); }}, &agent_);
    EXPECT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
    agent_.status.set_node("node-1");
  }
  ~CommandsTest() override {
    api_.reset();
    std::filesystem::remove_all(folder_);
  }

  int Ask(std::vector<std::string> arguments, bool with_socket = true) {
    out_.str("");
    err_.str("");
    if (with_socket) arguments.insert(arguments.begin(), {"--socket", socket_});
    return cli::Run(std::move(arguments), out_, err_);
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  nlohmann::json json() const { return nlohmann::json::parse(out()); }

  std::string StartController(const std::string& statusz) {
    telemetry::HttpOptions options;
    options.listen = {{*IpAddress::Parse("127.0.0.1"), 0}};
    options.paths = {{"/statusz", [statusz] { return statusz; }}};
    auto server = telemetry::HttpServer::Start(std::move(options));
    EXPECT_TRUE(server.ok()) << server.status();
    controller_ = *std::move(server);
    return absl::StrCat("http://127.0.0.1:", controller_->port());
  }

  std::string folder_, socket_;
  FakeAgent agent_;
  std::unique_ptr<api::AgentApi> api_;
  std::unique_ptr<telemetry::HttpServer> controller_;
  std::ostringstream out_, err_;
};

TEST_F(CommandsTest, EveryCommandPrintsATable) {
  const std::pair<std::vector<std::string>, const char*> kCases[] = {
      {{"status"}, "Node:         node-1\n"},
      {{"nodes"}, "NAME"},
      {{"peers"}, "NODE"},
      {{"sas"}, "No SAs"},
      {{"policies"}, "POLICY"},
      {{"exemptions"}, "EXEMPTION"},
      {{"explain", "web", "db:5432"}, "ENCRYPTED\n"},
      {{"rekey"}, "Rekeying 2 SAs"},
  };
  for (const auto& [arguments, start] : kCases) {
    EXPECT_EQ(Ask(arguments), kOk) << arguments[0] << err();
    EXPECT_THAT(out(), StartsWith(start));
    EXPECT_EQ(err(), "");
  }
}

TEST_F(CommandsTest, Json) {
  EXPECT_EQ(Ask({"status", "-o", "json"}), kOk);
  EXPECT_EQ(json()["node"], "node-1");
  EXPECT_EQ(json()["viewFromCache"], false);  // also what is empty
  EXPECT_EQ(Ask({"-o", "json", "explain", "web", "db:5432"}), kOk);
  EXPECT_EQ(json()["port"], 5432);
  EXPECT_EQ(Ask({"-o", "json", "nodes"}), kOk);
  EXPECT_EQ(json()["nodes"].size(), 2u);
}

TEST_F(CommandsTest, ExplainPassesOnWhatWasAsked) {
  EXPECT_EQ(Ask({"explain", "web", "shop/db:53", "--protocol", "udp"}), kOk);
  EXPECT_EQ(agent_.asked.source(), "web");
  EXPECT_EQ(agent_.asked.destination(), "shop/db:53");
  EXPECT_EQ(agent_.asked.protocol(), 17u);
  EXPECT_EQ(Ask({"explain", "ghost", "db"}), kUnhealthy);
  EXPECT_THAT(err(), HasSubstr("nearest: default/host"));
  EXPECT_EQ(Ask({"explain", "web", "db:x"}), kUsage);
  EXPECT_EQ(Ask({"explain", "web", "db", "--protocol", "http"}), kUsage);
  EXPECT_THAT(err(), HasSubstr("icmpv6"));
}

TEST_F(CommandsTest, RekeyPassesOnWhatWasAsked) {
  EXPECT_EQ(Ask({"rekey", "node-2", "--ike"}), kOk);
  EXPECT_EQ(agent_.rekeyed.node(), "node-2");
  EXPECT_TRUE(agent_.rekeyed.ike());
  agent_.started = 0;
  EXPECT_EQ(Ask({"rekey"}), kUnhealthy);
  EXPECT_THAT(out(), HasSubstr("Nothing to rekey"));
}

TEST_F(CommandsTest, StatusReportsErrorsByItsExitCode) {
  v1::Problem* p = agent_.status.add_problems();
  p->set_severity("warning");
  EXPECT_EQ(Ask({"status"}), kOk);
  p->set_severity("error");
  EXPECT_EQ(Ask({"status"}), kUnhealthy);
  EXPECT_EQ(Ask({"status", "-o", "json"}), kUnhealthy);
}

TEST_F(CommandsTest, UsageErrors) {
  const std::vector<std::vector<std::string>> kCases = {{},
                                                        {"stats"},
                                                        {"explain"},
                                                        {"explain", "web"},
                                                        {"status", "-o", "yaml"},
                                                        {"status", "extra"},
                                                        {"--nope", "status"}};
  for (const auto& arguments : kCases) {
    EXPECT_EQ(Ask(arguments), kUsage) << (arguments.empty() ? "nothing" : arguments[0]);
    EXPECT_NE(err(), "");
    EXPECT_EQ(out(), "");
  }
  EXPECT_EQ(Ask({"--help"}), kOk);
  EXPECT_THAT(out(), HasSubstr("exemptions"));
}

TEST_F(CommandsTest, NoAgentHasItsOwnExitCodeAndARemedy) {
  const std::string nowhere = folder_ + "/none.sock";
  EXPECT_EQ(Ask({"--socket", nowhere, "status"}, false), kUnreachable);
  EXPECT_THAT(err(), HasSubstr("there is no socket " + nowhere));
  EXPECT_THAT(err(), HasSubstr("ESPALIER_AGENT_SOCKET"));
  std::filesystem::rename(socket_, socket_ + ".dead");
  api_.reset();
  EXPECT_EQ(Ask({"--socket", socket_ + ".dead", "status"}, false), kUnreachable);
  EXPECT_THAT(err(), HasSubstr("nobody listens"));
  EXPECT_EQ(Ask({"--socket", std::string(200, 'x'), "status"}, false), kUsage);
}

TEST_F(CommandsTest, TheSocketsPathFromTheEnvironment) {
  setenv("ESPALIER_AGENT_SOCKET", socket_.c_str(), 1);
  EXPECT_EQ(Ask({"status"}, false), kOk) << err();
}

TEST_F(CommandsTest, TheControllersSide) {
  const std::string url = StartController(R"({"nodes":[{"name":"node-1","connected":true,"in_sync":true}],
      "policies":[{"name":"EncryptionPolicy/shop/db","stage":"Enforced","programmed_nodes":2,"desired_nodes":2}],
      "problems":[{"severity":"error","text":"a.yaml: broken"}]})");
  EXPECT_EQ(Ask({"policies", "--controller", url}), kOk) << err();
  EXPECT_THAT(out(), HasSubstr("2 of 2"));
  EXPECT_THAT(out(), HasSubstr("error: a.yaml: broken"));
  EXPECT_EQ(Ask({"--controller", url, "status"}), kUnhealthy);
  EXPECT_THAT(out(), HasSubstr("1 nodes, 1 connected, 1 in sync"));
  EXPECT_EQ(Ask({"nodes", "--controller", url}), kOk);
  EXPECT_THAT(out(), HasSubstr("unknown to the controller"));  // node-2
  setenv("ESPALIER_CONTROLLER", url.c_str(), 1);
  EXPECT_EQ(Ask({"policies", "-o", "json"}), kOk);
  EXPECT_EQ(json()["controllerReport"]["problems"][0]["text"], "a.yaml: broken");
  EXPECT_EQ(json()["policies"].size(), 1u);
}

TEST_F(CommandsTest, AControllerThatIsNotThere) {
  const std::string url = StartController("{}");
  controller_.reset();
  EXPECT_EQ(Ask({"status", "--controller", url}), kOk);
  EXPECT_THAT(out(), StartsWith("Node:"));
  EXPECT_THAT(err(), HasSubstr(absl::StrCat("the controller at ", url, " could not be asked")));
  EXPECT_EQ(Ask({"status", "--controller", "nonsense"}), kOk);
  EXPECT_THAT(err(), HasSubstr("http://ADDRESS:PORT"));
  EXPECT_EQ(Ask({"status", "--controller", StartController("no json")}), kOk);
  EXPECT_THAT(err(), HasSubstr("no JSON object"));
}

}  // namespace
}  // namespace espalier::cli
