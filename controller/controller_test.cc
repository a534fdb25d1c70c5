// The whole way: YAML in a folder, the controller, agents' clients.
#include "controller/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "agent/control/control_client.h"
#include "common/x509/atomic_file.h"
#include "controller/ca/authority.h"
#include "controller/ca/join_tokens.h"
#include "controller/distribute/test_controller.h"

namespace espalier {
namespace {

using distribute::Eventually;
using ::testing::Contains;

constexpr char kNodes[] = R"(
apiVersion: v1
kind: Node
metadata: {name: a, uid: uid-a}
spec: {podCIDRs: ["10.244.1.0/24"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: b, uid: uid-b}
spec: {podCIDRs: ["10.244.2.0/24"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: a}
status: {phase: Running, podIPs: [{ip: 10.244.1.5}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec: {nodeName: b}
status: {phase: Running, podIPs: [{ip: 10.244.2.5}]}
)";

std::string PolicyYaml(const std::string& action) {
  return absl::StrCat(
      "apiVersion: espalier.io/v1alpha1\nkind: EncryptionPolicy\nmetadata: {name: web, namespace: shop}\n"
      "spec: {podSelector: {matchLabels: {app: web}}, action: ",
      action, "}\n");
}

// An agent that brings every view into force.
class Agent {
 public:
  Agent(const std::string& name, int port, const std::string& controller_state, const std::string& state,
        uint64_t boot_id) {
    control::ControlOptions options;
    options.endpoints = {absl::StrCat("127.0.0.1:", port)};
    options.node_name = name;
    options.state_dir = state;
    options.join_token = ca::JoinTokens(controller_state).Create(name, absl::Hours(1), absl::Now()).value();
    options.bootstrap_bundle_path = controller_state + "/trust-bundle.pem";
    options.boot_id = boot_id;
    options.first_backoff = absl::Milliseconds(20);
    options.max_backoff = absl::Milliseconds(200);
    options.post = [](std::function<void()> f) { f(); };
    options.on_view = [this](control::ViewPtr view, bool, std::function<void(absl::Status)> done) {
      {
        absl::MutexLock lock(&mutex_);
        for (const auto& [policy, p] : view->policies) stages_.push_back(absl::StrCat(policy, " ", p.stage()));
        view_ = std::move(view);
      }
      done(absl::OkStatus());
    };
    options.on_identity = [](control::Identity, std::string) {};
    client_ = std::move(control::ControlClient::Start(std::move(options))).value();
  }

  control::ViewPtr view() {
    absl::MutexLock lock(&mutex_);
    return view_;
  }
  // Every stage of every policy that came by.
  std::vector<std::string> stages() {
    absl::MutexLock lock(&mutex_);
    return stages_;
  }
  bool Enforces() {
    control::ViewPtr now = view();
    if (now == nullptr) return false;
    auto it = now->policies.find("EncryptionPolicy/shop/web");
    return it != now->policies.end() && it->second.stage() == v1::STAGE_ENFORCE;
  }
  uint64_t BootIdOf(const std::string& node) {
    if (control::ViewPtr now = view(); now != nullptr) {
      for (const auto& [id, n] : now->nodes) {
        if (n.name() == node) return n.boot_id();
      }
    }
    return 0;
  }
  control::ControlClient& client() { return *client_; }

 private:
  absl::Mutex mutex_;
  control::ViewPtr view_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> stages_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<control::ControlClient> client_;
};

class ControllerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(x509::EnsurePrivateDirectory(folder_ / "manifests").ok());
    Write("nodes.yaml", kNodes);
    Start("127.0.0.1:0");
  }
  void Start(const std::string& listen) {
    ControllerOptions options;
    options.source_directory = folder_ / "manifests";
    options.state_dir = state_;
    options.listen = listen;
    controller_ = std::move(Controller::Start(std::move(options))).value();
  }
  void Restart() {
    std::string listen = absl::StrCat("127.0.0.1:", controller_->port());
    controller_.reset();
    Start(listen);
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(x509::WriteFileAtomically(folder_ / ("manifests/" + name), text, 0644).ok());
  }
  std::unique_ptr<Agent> MakeAgent(const std::string& name, uint64_t boot_id) {
    return std::make_unique<Agent>(name, controller_->port(), state_, folder_ / ("agent-" + name), boot_id);
  }
  nlohmann::json Status() { return nlohmann::json::parse(controller_->StatusJson()); }

  distribute::TestFolder folder_;
  const std::string state_ = folder_ / "state";
  std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerTest, PolicyReachesAgentsInStages) {
  auto a = MakeAgent("a", 1), b = MakeAgent("b", 2);
  ASSERT_TRUE(Eventually([&] { return a->BootIdOf("b") == 2 && b->BootIdOf("a") == 1; }));
  Write("policy.yaml", PolicyYaml("Require"));
  ASSERT_TRUE(Eventually([&] { return a->Enforces() && b->Enforces(); }));
  const std::string send = absl::StrCat("EncryptionPolicy/shop/web ", static_cast<int>(v1::STAGE_SEND));
  EXPECT_THAT(a->stages(), Contains(send));
  EXPECT_THAT(b->stages(), Contains(send));
  EXPECT_TRUE(Eventually([&] {
    nlohmann::json policy = Status()["policies"][0];
    return policy["stage"] == "Enforced" && policy["programmed_nodes"] == 2;
  })) << controller_->StatusJson();
}

TEST_F(ControllerTest, BadPolicyIsSaidAndTheLastGoodOneStays) {
  auto a = MakeAgent("a", 1);
  Write("policy.yaml", PolicyYaml("Require"));
  ASSERT_TRUE(Eventually([&] { return a->Enforces(); }));
  Write("policy.yaml", PolicyYaml("Encrypt"));
  ASSERT_TRUE(Eventually([&] { return Status()["problems"].size() == 1; }));
  nlohmann::json problem = Status()["problems"][0];
  EXPECT_EQ(problem["field"], "spec.action");
  EXPECT_EQ(problem["value"], "Encrypt");
  EXPECT_TRUE(a->Enforces());
}

TEST_F(ControllerTest, RestartChangesNothingForAgents) {
  Write("policy.yaml", PolicyYaml("Require"));
  auto a = MakeAgent("a", 1), b = MakeAgent("b", 2);
  ASSERT_TRUE(Eventually([&] { return a->Enforces() && b->Enforces() && a->BootIdOf("b") == 2; }));
  control::ViewPtr before = a->view();
  b.reset();  // so that only the controller's memory knows its boot id
  const std::string epoch = before->epoch;
  const size_t seen = a->stages().size();
  Restart();
  ASSERT_TRUE(Eventually([&] { return a->view()->epoch != epoch; }));
  EXPECT_EQ(a->BootIdOf("b"), 2u) << "a boot id of 0 or another would look like a restart of b";
  EXPECT_EQ(a->view()->mesh.self_node_id(), before->mesh.self_node_id());
  std::vector<std::string> stages = a->stages();
  for (size_t i = seen; i < stages.size(); ++i) {
    EXPECT_EQ(stages[i], absl::StrCat("EncryptionPolicy/shop/web ", static_cast<int>(v1::STAGE_ENFORCE)));
  }
}

TEST_F(ControllerTest, RevocationReachesEveryView) {
  auto a = MakeAgent("a", 1), b = MakeAgent("b", 2);
  ASSERT_TRUE(Eventually([&] { return a->BootIdOf("b") == 2; }));
  const std::string serial = b->client().status().certificate_serial;
  ASSERT_TRUE(ca::Revoke(state_, serial).ok());
  EXPECT_TRUE(Eventually([&] {
    const auto& revoked = a->view()->mesh.revoked_serials();
    return std::find(revoked.begin(), revoked.end(), serial) != revoked.end();
  }));
  EXPECT_TRUE(Eventually([&] { return Status()["nodes"][1]["connected"] == false; }));
}

TEST_F(ControllerTest, StateFolderHasOneController) {
  ControllerOptions options;
  options.source_directory = folder_ / "manifests";
  options.state_dir = state_;
  options.listen = "127.0.0.1:0";
  auto second = Controller::Start(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST_F(ControllerTest, DamagedStateIsRefusedByName) {
  controller_.reset();
  ASSERT_TRUE(x509::WriteFileAtomically(state_ + "/agents.json", "[]", 0600).ok());
  ControllerOptions options;
  options.source_directory = folder_ / "manifests";
  options.state_dir = state_;
  options.listen = "127.0.0.1:0";
  EXPECT_THAT(Controller::Start(options).status().message(), testing::HasSubstr("agents.json"));
}

}  // namespace
}  // namespace espalier
