// Agents' clients against a real server on loopback.
#include "agent/control/control_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "agent/control/controller_call.h"
#include "common/x509/atomic_file.h"
#include "common/x509/node_credentials.h"
#include "common/x509/test_mesh.h"
#include "controller/distribute/test_controller.h"

namespace espalier::control {
namespace {

using distribute::Eventually;
using distribute::FakeMesh;
using distribute::TestController;
using distribute::TestFolder;
using ::testing::HasSubstr;

// An agent that brings each view into force at once, unless told to refuse.
class TestAgent {
 public:
  TestAgent(const std::string& name, const std::string& endpoint, const std::string& bundle_path,
            const std::string& state_dir, const std::string& token) {
    options_.endpoints = {endpoint};
    options_.node_name = name;
    options_.state_dir = state_dir;
    options_.join_token = token;
    options_.bootstrap_bundle_path = bundle_path;
    options_.boot_id = 42;
    options_.first_backoff = absl::Milliseconds(20);
    options_.max_backoff = absl::Milliseconds(200);
    options_.post = [](std::function<void()> f) { f(); };
    options_.on_view = [this](ViewPtr view, bool from_cache, std::function<void(absl::Status)> done) {
      absl::Status answer;
      {
        absl::MutexLock lock(&mutex_);
        if (refuse_.empty()) {
          view_ = std::move(view);
          from_cache_ = from_cache;
        } else {
          answer = absl::InternalError(refuse_);
        }
      }
      done(answer);
    };
    options_.on_identity = [this](Identity identity, std::string) {
      absl::MutexLock lock(&mutex_);
      serials_.push_back(identity.chain[0].Serial());
    };
  }

  void Start() { client_ = std::move(ControlClient::Start(options_)).value(); }
  void Stop() { client_.reset(); }
  void Refuse(const std::string& why) {
    absl::MutexLock lock(&mutex_);
    refuse_ = why;
  }
  ControlOptions& options() { return options_; }
  ControlClient& client() { return *client_; }
  ControlStatus status() { return client_->status(); }
  ViewPtr view() {
    absl::MutexLock lock(&mutex_);
    return view_;
  }
  bool from_cache() {
    absl::MutexLock lock(&mutex_);
    return from_cache_;
  }
  std::vector<std::string> serials() {
    absl::MutexLock lock(&mutex_);
    return serials_;
  }
  bool HasAddress(const std::string& ip) {
    ViewPtr now = view();
    return now != nullptr && now->addresses.contains(ip);
  }

 private:
  absl::Mutex mutex_;
  ViewPtr view_ ABSL_GUARDED_BY(mutex_);
  bool from_cache_ ABSL_GUARDED_BY(mutex_) = false;
  std::string refuse_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> serials_ ABSL_GUARDED_BY(mutex_);
  ControlOptions options_;
  std::unique_ptr<ControlClient> client_;
};

class ControlClientTest : public testing::Test {
 protected:
  void StartController(absl::Duration lifetime = absl::Hours(1)) {
    std::string listen = controller_ == nullptr ? "127.0.0.1:0" : controller_->Endpoint();
    controller_.reset();
    controller_ = std::make_unique<TestController>(folder_ / "controller", lifetime, listen);
    controller_->Publish(mesh_);
  }
  std::unique_ptr<TestAgent> Agent(const std::string& name, const std::string& token) {
    return std::make_unique<TestAgent>(name, controller_->Endpoint(), controller_->authority().bundle_path(),
                                       folder_ / ("agent-" + name), token);
  }
  // Enrolled, connected and in sync.
  std::unique_ptr<TestAgent> RunningAgent(const std::string& name) {
    auto agent = Agent(name, controller_->Token(name));
    agent->Start();
    EXPECT_TRUE(Eventually([&] { return controller_->Report(name).in_sync; })) << agent->status().error;
    return agent;
  }
  void SetUp() override {
    mesh_.AddNode("a");
    mesh_.AddNode("b");
    mesh_.SetAddress("10.0.0.1", 300);
  }

  TestFolder folder_;
  FakeMesh mesh_;
  std::unique_ptr<TestController> controller_;
};

TEST_F(ControlClientTest, EnrolsAndGetsItsView) {
  StartController();
  auto agent = RunningAgent("a");
  EXPECT_TRUE(agent->HasAddress("10.0.0.1"));
  EXPECT_EQ(agent->view()->self()->name(), "a");
  EXPECT_EQ(agent->status().state, ControlState::kConnected);
  EXPECT_EQ(agent->status().spiffe_id, "spiffe://cluster.local/node/uid-a");
  EXPECT_TRUE(controller_->events.Has("connected uid-a 42"));
  EXPECT_TRUE(controller_->events.Has("synced uid-a 1"));
  struct stat st;
  ASSERT_EQ(stat((folder_ / "agent-a/identity.pem").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(ControlClientTest, TokenWorksOnce) {
  StartController();
  std::string token = controller_->Token("a");
  auto first = Agent("a", token);
  first->Start();
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").connected; }));
  first->Stop();
  std::filesystem::remove_all(folder_ / "agent-a");
  auto second = Agent("a", token);
  second->Start();
  EXPECT_TRUE(Eventually([&] { return second->status().enrolment_failures > 0; }));
  EXPECT_THAT(second->status().error, HasSubstr("used already"));
  EXPECT_EQ(second->status().state, ControlState::kNoIdentity);
}

TEST_F(ControlClientTest, ExpiredTokenIsRefused) {
  StartController();
  std::string token =
      ca::JoinTokens(folder_ / "controller").Create("a", absl::Hours(1), absl::Now() - absl::Hours(2)).value();
  auto agent = Agent("a", token);
  agent->Start();
  EXPECT_TRUE(Eventually([&] { return agent->status().enrolment_failures > 0; }));
  EXPECT_THAT(agent->status().error, HasSubstr("expired"));
}

TEST_F(ControlClientTest, AnotherNodesTokenIsRefused) {
  StartController();
  auto agent = Agent("a", controller_->Token("b"));
  agent->Start();
  EXPECT_TRUE(Eventually([&] { return agent->status().enrolment_failures > 0; }));
  EXPECT_THAT(agent->status().error, HasSubstr("another node's"));
}

TEST_F(ControlClientTest, WaitsForItsNodeObject) {
  StartController();
  auto agent = Agent("c", controller_->Token("c"));
  agent->Start();
  EXPECT_TRUE(Eventually([&] { return agent->status().enrolment_failures > 0; }));
  EXPECT_THAT(agent->status().error, HasSubstr("does not exist"));
  mesh_.AddNode("c");
  controller_->Publish(mesh_);
  EXPECT_TRUE(Eventually([&] { return controller_->Report("c").in_sync; })) << "the token must have stayed valid";
}

TEST_F(ControlClientTest, ForeignControllerIsNotTrusted) {
  StartController();
  x509::Issuer other = x509::MakeTestRoot();
  ASSERT_TRUE(x509::WriteFileAtomically(folder_ / "foreign.pem", other.certificate.ToPem(), 0644).ok());
  std::string token = controller_->Token("a");
  auto agent = Agent("a", token);
  agent->options().bootstrap_bundle_path = folder_ / "foreign.pem";
  agent->Start();
  EXPECT_TRUE(Eventually([&] { return agent->status().enrolment_failures > 0; }));
  EXPECT_TRUE(ca::JoinTokens(folder_ / "controller").Check(token, "a", absl::Now()).ok()) << "the token left the agent";
}

TEST_F(ControlClientTest, ChangesArriveAsDifferences) {
  StartController();
  auto agent = RunningAgent("a");
  mesh_.SetAddress("10.0.0.2", 301);
  mesh_.RemoveAddress("10.0.0.1");
  mesh_.revision = 2;
  controller_->Publish(mesh_);
  ASSERT_TRUE(Eventually([&] { return agent->HasAddress("10.0.0.2"); }));
  EXPECT_FALSE(agent->HasAddress("10.0.0.1"));
  EXPECT_TRUE(Eventually([&] { return controller_->events.Has("synced uid-a 2"); }));
  EXPECT_EQ(controller_->distributor().counters().full_sent, 1u);
  EXPECT_EQ(controller_->distributor().counters().deltas_sent, 1u);
}

TEST_F(ControlClientTest, UnchangedViewIsInSyncWithALaterRevision) {
  StartController();
  auto agent = RunningAgent("a");
  mesh_.revision = 5;
  controller_->Publish(mesh_);
  EXPECT_TRUE(controller_->events.Has("synced uid-a 5"));
}

TEST_F(ControlClientTest, RefusedViewIsReportedAndTheNextOneTried) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Refuse("no room in the map");
  mesh_.SetAddress("10.0.0.2", 301);
  controller_->Publish(mesh_);
  ASSERT_TRUE(Eventually([&] {
    return controller_->Report("a").refusal == "INTERNAL: no room in the map" ||
           controller_->Report("a").refusal == "no room in the map";
  }));
  EXPECT_FALSE(agent->HasAddress("10.0.0.2"));
  EXPECT_FALSE(controller_->Report("a").in_sync);
  EXPECT_THAT(agent->status().view_error, HasSubstr("no room"));
  agent->Refuse("");
  mesh_.SetAddress("10.0.0.3", 302);
  controller_->Publish(mesh_);
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; }));
  EXPECT_TRUE(agent->HasAddress("10.0.0.2")) << "the refused change comes along";
  EXPECT_TRUE(agent->HasAddress("10.0.0.3"));
  EXPECT_EQ(controller_->Report("a").refusal, "");
}

TEST_F(ControlClientTest, MalformedViewIsRefusedWhole) {
  StartController();
  auto agent = RunningAgent("a");
  mesh_.SetAddress("10.0.0.2", 301);
  mesh_.SetAddress("not an address", 302);
  controller_->Publish(mesh_);
  ASSERT_TRUE(Eventually([&] { return !controller_->Report("a").refusal.empty(); }));
  EXPECT_THAT(controller_->Report("a").refusal, HasSubstr("not an address"));
  EXPECT_FALSE(agent->HasAddress("10.0.0.2"));
}

TEST_F(ControlClientTest, ResumesWithoutSendingWhatItHas) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();  // saves its view
  mesh_.SetAddress("10.0.0.2", 301);
  controller_->Publish(mesh_);
  const auto before = controller_->distributor().counters();
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return agent->HasAddress("10.0.0.2"); }));
  const auto after = controller_->distributor().counters();
  EXPECT_EQ(after.full_sent, before.full_sent);
  EXPECT_EQ(after.deltas_sent, before.deltas_sent + 1);
  EXPECT_EQ(after.resumed, before.resumed + 1);
  EXPECT_EQ(agent->status().enrolments, 0u) << "the certificate on disk is used";
}

TEST_F(ControlClientTest, ResumesWithNothingToSend) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  const auto before = controller_->distributor().counters();
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; }));
  EXPECT_TRUE(Eventually([&] { return agent->status().state == ControlState::kConnected; }));
  EXPECT_EQ(controller_->distributor().counters().bytes_sent, before.bytes_sent);
}

TEST_F(ControlClientTest, RestartedControllerSendsAllAndFindsTheSameCa) {
  StartController();
  auto agent = RunningAgent("a");
  const std::string epoch = agent->view()->epoch;
  StartController();
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; })) << agent->status().error;
  EXPECT_NE(agent->view()->epoch, epoch);
  EXPECT_EQ(controller_->distributor().counters().full_sent, 1u);
  EXPECT_EQ(agent->status().enrolments, 1u);
}

TEST_F(ControlClientTest, StartsFromItsCacheWithoutAController) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  controller_->Stop();
  agent->Start();
  EXPECT_TRUE(agent->HasAddress("10.0.0.1"));
  EXPECT_TRUE(agent->from_cache());
  EXPECT_EQ(agent->serials().size(), 2u) << "its certificate too";
  EXPECT_TRUE(Eventually([&] { return agent->status().view_from_cache && !agent->status().error.empty(); }));
  EXPECT_EQ(agent->status().state, ControlState::kDisconnected);
}

TEST_F(ControlClientTest, DamagedCacheIsIgnoredAndSaid) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  ASSERT_TRUE(x509::WriteFileAtomically(folder_ / "agent-a/view.cache", "garbage", 0600).ok());
  agent->Start();
  EXPECT_THAT(agent->status().cache_error, HasSubstr("not a cached view"));
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; }));
  EXPECT_EQ(controller_->distributor().counters().full_sent, 2u);
}

TEST_F(ControlClientTest, DamagedIdentityIsReplacedByToken) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  ASSERT_TRUE(x509::WriteFileAtomically(folder_ / "agent-a/identity.pem", "garbage", 0600).ok());
  agent->options().join_token = controller_->Token("a");
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; }));
  EXPECT_EQ(agent->status().enrolments, 1u);
}

TEST_F(ControlClientTest, UnwritableCacheDoesNotStopTheAgent) {
  StartController();
  auto agent = Agent("a", controller_->Token("a"));
  std::filesystem::create_directories(folder_ / "agent-a/view.cache/in-the-way");
  std::filesystem::permissions(folder_ / "agent-a", std::filesystem::perms::owner_all);
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return controller_->Report("a").in_sync; }));
  EXPECT_TRUE(Eventually([&] { return agent->status().cache_error.find("rename") != std::string::npos; }));
  mesh_.SetAddress("10.0.0.2", 301);
  controller_->Publish(mesh_);
  EXPECT_TRUE(Eventually([&] { return agent->HasAddress("10.0.0.2"); }));
}

TEST_F(ControlClientTest, RenewsBeforeItsCertificateEnds) {
  StartController(absl::Seconds(4));
  auto agent = RunningAgent("a");
  ASSERT_TRUE(Eventually([&] { return agent->serials().size() >= 3; }, absl::Seconds(30)));
  EXPECT_TRUE(Eventually([&] { return controller_->Report("a").certificate_serial == agent->serials().back(); }));
  EXPECT_EQ(agent->status().enrolment_failures, 0u) << agent->status().renewal_error;
  std::vector<std::string> events = controller_->events.Lines();
  EXPECT_EQ(std::count(events.begin(), events.end(), "disconnected uid-a"), 0) << "a stream takes over from the other";
  mesh_.SetAddress("10.0.0.2", 301);
  controller_->Publish(mesh_);
  EXPECT_TRUE(Eventually([&] { return agent->HasAddress("10.0.0.2"); }));
}

TEST_F(ControlClientTest, RevokedCertificateEndsTheStreamAndComesNoMore) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  agent->options().join_token.clear();
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return agent->status().state == ControlState::kConnected; }));
  ASSERT_TRUE(ca::Revoke(folder_ / "controller", agent->status().certificate_serial).ok());
  EXPECT_TRUE(Eventually([&] { return agent->status().state == ControlState::kDisconnected; }));
  EXPECT_TRUE(Eventually([&] { return controller_->service().refused()["unauthenticated"] > 0; }));
  EXPECT_FALSE(controller_->Report("a").connected);
  EXPECT_TRUE(agent->HasAddress("10.0.0.1")) << "what is in force stays";
}

TEST_F(ControlClientTest, RevokedNodeComesBackWithANewToken) {
  StartController();
  auto agent = RunningAgent("a");
  std::string old_serial = agent->status().certificate_serial;
  agent->Stop();
  agent->options().join_token = controller_->Token("a");
  agent->Start();
  ASSERT_TRUE(Eventually([&] { return agent->status().state == ControlState::kConnected; }));
  ASSERT_TRUE(ca::Revoke(folder_ / "controller", old_serial).ok());
  EXPECT_TRUE(Eventually([&] {
    auto report = controller_->Report("a");
    return report.in_sync && report.certificate_serial != old_serial;
  }));
}

TEST_F(ControlClientTest, RemovedNodeIsCutOff) {
  StartController();
  auto agent = RunningAgent("a");
  mesh_.RemoveNode("a");
  controller_->Publish(mesh_);
  EXPECT_TRUE(Eventually([&] { return agent->status().state == ControlState::kDisconnected; }));
  EXPECT_TRUE(Eventually([&] { return controller_->service().refused()["permission_denied"] > 0; }));
  EXPECT_THAT(agent->status().error, HasSubstr("in the mesh"));
}

TEST_F(ControlClientTest, CertificateOfAnotherNodeGetsNoView) {
  StartController();
  auto agent = RunningAgent("a");
  agent->Stop();
  agent->options().node_name = "b";
  agent->options().join_token.clear();
  agent->Start();
  EXPECT_TRUE(Eventually([&] { return controller_->service().refused()["permission_denied"] > 0; }));
  EXPECT_FALSE(controller_->Report("b").connected);
}

TEST_F(ControlClientTest, WatchWithoutACertificateIsRefused) {
  StartController();
  std::string bundle = x509::ReadWholeFile(controller_->authority().bundle_path(), 1 << 20).value();
  absl::Notification done;
  absl::Status result;
  v1::WatchRequest hello;
  hello.mutable_hello()->set_node_name("a");
  auto call = WatchCall::Start(MakeChannel(controller_->Endpoint(), bundle, nullptr), hello,
                               {[] { ADD_FAILURE() << "accepted"; }, [](v1::WatchResponse) {},
                                [&](absl::Status status) {
                                  result = status;
                                  done.Notify();
                                }});
  done.WaitForNotification();
  EXPECT_EQ(result.code(), absl::StatusCode::kUnauthenticated) << result;
}

TEST_F(ControlClientTest, CertificateOfAForeignCaIsRefused) {
  StartController();
  x509::Issuer other = x509::MakeTestRoot(
      x509::CertificateContent{"Other",
                               absl::Now() - absl::Hours(1),
                               absl::Now() + absl::Hours(1),
                               {},
                               {},
                               {{"basicConstraints", "critical,CA:TRUE"}, {"keyUsage", "critical,keyCertSign"}}});
  x509::PrivateKey key = x509::PrivateKey::Generate().value();
  Identity forged{key,
                  {x509::IssueNodeCertificate(other, key.get(), "cluster.local", "uid-a", "a", absl::Now(),
                                              absl::Now() + absl::Hours(1))
                       .value()}};
  std::string bundle = x509::ReadWholeFile(controller_->authority().bundle_path(), 1 << 20).value();
  absl::Notification done;
  absl::Status result;
  v1::WatchRequest hello;
  hello.mutable_hello()->set_node_name("a");
  auto call = WatchCall::Start(MakeChannel(controller_->Endpoint(), bundle, &forged), hello,
                               {[] { ADD_FAILURE() << "accepted"; }, [](v1::WatchResponse) {},
                                [&](absl::Status status) {
                                  result = status;
                                  done.Notify();
                                }});
  done.WaitForNotification();
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(controller_->Report("a").connected);
}

}  // namespace
}  // namespace espalier::control
