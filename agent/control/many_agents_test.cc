// Hundreds of agents at one controller: how long a change takes to reach all of them, and that some that never answer
// keep nobody waiting.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <optional>

#include "agent/control/controller_call.h"
#include "common/x509/atomic_file.h"
#include "controller/distribute/test_controller.h"

namespace espalier::control {
namespace {

using distribute::Eventually;

constexpr int kAgents = 300;
constexpr int kSilent = 20;  // of them: take everything, answer nothing
constexpr int kPods = 3000;

// As a ControlClient on the wire, without its thread: connects anew where a connection fails, as real agents do.
class FakeAgent {
 public:
  FakeAgent(const std::string& name, distribute::TestController& controller, std::string bundle, bool answers)
      : name_(name), endpoint_(controller.Endpoint()), bundle_(std::move(bundle)), answers_(answers) {
    x509::PrivateKey key = x509::PrivateKey::Generate().value();
    Bytes csr = x509::BuildCertificateRequest(key).value();
    ca::IssuedCertificate issued = controller.authority().IssueNode(csr, "uid-" + name, name, absl::Now()).value();
    identity_ = Identity{key, x509::Certificate::FromPem(issued.chain_pem).value()};
    Connect();
  }
  ~FakeAgent() {
    {
      absl::MutexLock lock(&mutex_);
      ending_ = true;
      if (call_ != nullptr) call_->Cancel();
    }
    done_.WaitForNotification();
  }
  uint64_t version() const { return version_; }

 private:
  void Connect() {
    v1::WatchRequest hello;
    hello.mutable_hello()->set_node_name(name_);
    WatchCall::Handlers handlers;
    handlers.accepted = [] {};
    handlers.delta = [this](v1::WatchResponse delta) { OnDelta(delta); };
    handlers.done = [this](absl::Status status) { OnDone(std::move(status)); };
    absl::MutexLock lock(&mutex_);
    call_ = WatchCall::Start(MakeChannel(endpoint_, bundle_, &*identity_), hello, std::move(handlers));
  }
  void OnDelta(const v1::WatchResponse& delta) {
    version_ = delta.version();
    if (!answers_) return;
    v1::WatchRequest ack;
    ack.mutable_ack()->set_nonce(delta.nonce());
    ack.mutable_ack()->set_version(delta.version());
    absl::MutexLock lock(&mutex_);
    call_->Send(std::move(ack));
  }
  void OnDone(absl::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (ending_) {
        done_.Notify();
        return;
      }
    }
    printf("%s connects again: %s\n", name_.c_str(), status.ToString().c_str());
    Connect();
  }

  const std::string name_, endpoint_, bundle_;
  const bool answers_;
  std::optional<Identity> identity_;
  std::atomic<uint64_t> version_ = 0;
  absl::Notification done_;
  absl::Mutex mutex_;
  std::shared_ptr<WatchCall> call_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
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
