// Hundreds of agents at one controller: how long a change takes to reach all of them, and that some that never answer
// keep nobody waiting.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>

#include "agent/control/controller_call.h"
#include "common/x509/atomic_file.h"
#include "controller/distribute/test_controller.h"

namespace espalier::control {
namespace {

using distribute::Eventually;

constexpr int kAgents = 300;
constexpr int kSilent = 20;  // of them: take everything, answer nothing
constexpr int kPods = 3000;

class FakeAgent {
 public:
  FakeAgent(const std::string& name, distribute::TestController& controller, const std::string& bundle, bool answers) {
    x509::PrivateKey key = x509::PrivateKey::Generate().value();
    Bytes csr = x509::BuildCertificateRequest(key).value();
    ca::IssuedCertificate issued = controller.authority().IssueNode(csr, "uid-" + name, name, absl::Now()).value();
    Identity identity{key, x509::Certificate::FromPem(issued.chain_pem).value()};
    v1::WatchRequest hello;
    hello.mutable_hello()->set_node_name(name);
    WatchCall::Handlers handlers;
    handlers.accepted = [] {};
    handlers.delta = [this, answers](v1::WatchResponse delta) {
      version_ = delta.version();
      if (!answers) return;
      v1::WatchRequest ack;
      ack.mutable_ack()->set_nonce(delta.nonce());
      ack.mutable_ack()->set_version(delta.version());
      std::shared_ptr<WatchCall> call;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(+[](std::shared_ptr<WatchCall>* c) { return *c != nullptr; }, &call_));
        call = call_;
      }
      call->Send(std::move(ack));
    };
    handlers.done = [this](absl::Status) { done_.Notify(); };
    auto call = WatchCall::Start(MakeChannel(controller.Endpoint(), bundle, &identity), hello, std::move(handlers));
    absl::MutexLock lock(&mutex_);
    call_ = call;
  }
  ~FakeAgent() {
    call_->Cancel();
    done_.WaitForNotification();
  }
  uint64_t version() const { return version_; }

 private:
  absl::Mutex mutex_;
  std::shared_ptr<WatchCall> call_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> version_ = 0;
  absl::Notification done_;
};

TEST(ManyAgentsTest, AChangeReachesAllThatAnswer) {
  distribute::TestFolder folder;
  distribute::TestController controller(folder / "controller");
  distribute::FakeMesh mesh;
  for (int i = 0; i < kAgents; ++i) mesh.AddNode(absl::StrCat("n", i));
  for (int i = 0; i < kPods; ++i)
    mesh.SetAddress(absl::StrCat("10.", i / 65536, ".", i / 256 % 256, ".", i % 256), 300);
  controller.Publish(mesh);
  const std::string bundle = x509::ReadWholeFile(controller.authority().bundle_path(), 1 << 20).value();

  absl::Time start = absl::Now();
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<FakeAgent>(absl::StrCat("n", i), controller, bundle, i >= kSilent));
  }
  auto in_sync = [&](uint64_t version) {
    int count = 0;
    for (const auto& report : controller.distributor().Report()) count += report.in_sync && report.version == version;
    return count;
  };
  ASSERT_TRUE(Eventually([&] { return in_sync(1) == kAgents - kSilent; }, absl::Seconds(60))) << in_sync(1);
  printf("%d agents connected with a view of %d resources each: %s\n", kAgents, kPods + kAgents + 1,
         absl::FormatDuration(absl::Now() - start).c_str());

  mesh.SetAddress("10.200.0.1", 301);
  start = absl::Now();
  controller.Publish(mesh);
  ASSERT_TRUE(Eventually([&] { return in_sync(2) == kAgents - kSilent; }, absl::Seconds(60))) << in_sync(2);
  printf("a change acknowledged by %d: %s\n", kAgents - kSilent, absl::FormatDuration(absl::Now() - start).c_str());
  const auto counters = controller.distributor().counters();
  EXPECT_EQ(counters.full_sent, static_cast<uint64_t>(kAgents));
  EXPECT_EQ(counters.deltas_sent, static_cast<uint64_t>(kAgents - kSilent)) << "one under way at most";
}

}  // namespace
}  // namespace espalier::control
