#include "agent/api/agent_api.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "espalier/v1/agent.grpc.pb.h"

namespace espalier::api {
namespace {

using ::testing::HasSubstr;

// A control thread.
class Loop {
 public:
  Loop() : thread_([this] { Run(); }) {}
  ~Loop() {
    Post(nullptr);
    thread_.join();
  }
  void Post(std::function<void()> f) {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(std::move(f));
  }
  void RunAndWait(const std::function<void()>& f) {
    absl::Mutex mutex;
    bool done = false;
    Post([&] {
      f();
      absl::MutexLock lock(&mutex);
      done = true;
    });
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&done));
  }
  std::thread::id id() const { return thread_.get_id(); }

 private:
  void Run() {
    for (;;) {
      std::function<void()> f;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(+[](std::deque<std::function<void()>>* q) { return !q->empty(); }, &queue_));
        f = std::move(queue_.front());
        queue_.pop_front();
      }
      if (!f) return;
      f();
    }
  }
  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_;
  std::thread thread_;
};

class FakeState final : public AgentState {
 public:
  v1::StatusReport Status() override {
    asked_on = std::this_thread::get_id();
    v1::StatusReport s;
    s.set_node("node-a");
    return s;
  }
  v1::NodeList Nodes() override {
    v1::NodeList l;
    l.add_nodes()->mutable_node()->set_name("node-b");
    return l;
  }
  v1::PeerList Peers() override {
    v1::PeerList l;
    l.add_peers()->set_node("node-b");
    return l;
  }
  v1::SaList Sas() override {
    v1::SaList l;
    l.add_sas()->set_spi(7);
    return l;
  }
  v1::PolicyList Policies() override {
    v1::PolicyList l;
    l.add_policies()->set_local_pods(2);
    return l;
  }
  v1::ExemptionList Exemptions() override {
    v1::ExemptionList l;
    l.add_exemptions()->set_name("kubelet");
    return l;
  }
  absl::StatusOr<v1::Explanation> Explain(const v1::ExplainRequest& request) override {
    if (request.source() == "ghost") return absl::NotFoundError("no pod \"default/ghost\"");
    v1::Explanation e;
    e.set_source(request.source());
    return e;
  }
  absl::StatusOr<v1::RekeyResponse> Rekey(const v1::RekeyRequest& request) override {
    v1::RekeyResponse r;
    r.set_started(request.ike() ? 2 : 1);
    return r;
  }
  std::thread::id asked_on;
};

class AgentApiTest : public ::testing::Test {
 protected:
  AgentApiTest() {
    char folder[] = "/tmp/espalier-api-XXXXXX";
    folder_ = mkdtemp(folder);
    path_ = folder_ + "/run/agent.sock";
  }
  ~AgentApiTest() override { std::filesystem::remove_all(folder_); }

  ApiOptions Options() {
    return {.socket_path = path_, .post = [this](std::function<void()> f) { loop_.Post(std::move(f)); }};
  }
  void Start(ApiOptions options) {
    auto api = AgentApi::Start(std::move(options), &state_);
    ASSERT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
  }
  std::unique_ptr<v1::Agent::Stub> Stub() {
    return v1::Agent::NewStub(grpc::CreateChannel("unix:" + path_, grpc::InsecureChannelCredentials()));
  }
  int Mode() {
    struct stat s;
    EXPECT_EQ(stat(path_.c_str(), &s), 0);
    return s.st_mode & 0777;
  }

  std::string folder_, path_;
  FakeState state_;
  Loop loop_;
  std::unique_ptr<AgentApi> api_;
};

TEST_F(AgentApiTest, EveryCallReachesTheStateOnTheControlThread) {
  Start(Options());
  auto stub = Stub();
  const auto call = [&](auto method, const auto& request, auto* response) {
    grpc::ClientContext context;
    const grpc::Status s = (stub.get()->*method)(&context, request, response);
    EXPECT_TRUE(s.ok()) << s.error_message();
  };
  v1::StatusReport status;
  call(&v1::Agent::Stub::GetStatus, v1::GetStatusRequest(), &status);
  EXPECT_EQ(status.node(), "node-a");
  EXPECT_EQ(state_.asked_on, loop_.id());
  v1::NodeList nodes;
  call(&v1::Agent::Stub::ListNodes, v1::ListNodesRequest(), &nodes);
  EXPECT_EQ(nodes.nodes_size(), 1);
  v1::PeerList peers;
  call(&v1::Agent::Stub::ListPeers, v1::ListPeersRequest(), &peers);
  EXPECT_EQ(peers.peers_size(), 1);
  v1::SaList sas;
  call(&v1::Agent::Stub::ListSas, v1::ListSasRequest(), &sas);
  EXPECT_EQ(sas.sas(0).spi(), 7u);
  v1::PolicyList policies;
  call(&v1::Agent::Stub::ListPolicies, v1::ListPoliciesRequest(), &policies);
  EXPECT_EQ(policies.policies(0).local_pods(), 2u);
  v1::ExemptionList exemptions;
  call(&v1::Agent::Stub::ListExemptions, v1::ListExemptionsRequest(), &exemptions);
  EXPECT_EQ(exemptions.exemptions(0).name(), "kubelet");
  v1::RekeyRequest rekey;
  rekey.set_ike(true);
  v1::RekeyResponse rekeyed;
  call(&v1::Agent::Stub::Rekey, rekey, &rekeyed);
  EXPECT_EQ(rekeyed.started(), 2u);
  v1::ExplainRequest explain;
  explain.set_source("web");
  v1::Explanation explanation;
  call(&v1::Agent::Stub::Explain, explain, &explanation);
  EXPECT_EQ(explanation.source(), "web");
}

TEST_F(AgentApiTest, ErrorsKeepCodeAndText) {
  Start(Options());
  v1::ExplainRequest request;
  request.set_source("ghost");
  v1::Explanation response;
  grpc::ClientContext context;
  const grpc::Status s = Stub()->Explain(&context, request, &response);
  EXPECT_EQ(s.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(s.error_message(), HasSubstr("default/ghost"));
}

TEST_F(AgentApiTest, ABusyControlThreadIsSaid) {
  std::vector<std::function<void()>> never_run;
  absl::Mutex mutex;
  ApiOptions options = Options();
  options.timeout = absl::Milliseconds(50);
  options.post = [&](std::function<void()> f) {
    absl::MutexLock lock(&mutex);
    never_run.push_back(std::move(f));
  };
  Start(options);
  v1::StatusReport response;
  grpc::ClientContext context;
  EXPECT_EQ(Stub()->GetStatus(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // What was posted runs late, after the API is gone: nothing is asked any more.
  api_.reset();
  for (const auto& f : never_run) f();
  EXPECT_EQ(never_run.size(), 1u);
  EXPECT_EQ(state_.asked_on, std::thread::id());
}

TEST_F(AgentApiTest, EndingOnTheControlThreadFreesThoseWhoWait) {
  absl::Mutex mutex;
  bool posted = false;
  ApiOptions options = Options();
  options.timeout = absl::Seconds(60);
  options.post = [&](std::function<void()>) {
    absl::MutexLock lock(&mutex);
    posted = true;
  };
  Start(options);
  grpc::Status status;
  std::thread client([&] {
    v1::StatusReport response;
    grpc::ClientContext context;
    status = Stub()->GetStatus(&context, {}, &response);
  });
  {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&posted));
  }
  loop_.RunAndWait([&] { api_.reset(); });
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(AgentApiTest, TheSocketIsOursAlone) {
  Start(Options());
  EXPECT_EQ(Mode(), 0600);
  const auto second = AgentApi::Start(Options(), &state_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  api_.reset();
  EXPECT_NE(access(path_.c_str(), F_OK), 0);

  ApiOptions shared = Options();
  shared.group = "root";
  Start(shared);
  EXPECT_EQ(Mode(), 0660);
}

TEST_F(AgentApiTest, ADeadAgentsSocketIsTakenOver) {
  Start(Options());
  std::filesystem::rename(path_, path_ + ".kept");
  api_.reset();
  std::filesystem::rename(path_ + ".kept", path_);  // nobody listens any more
  Start(Options());
  v1::StatusReport response;
  grpc::ClientContext context;
  EXPECT_TRUE(Stub()->GetStatus(&context, {}, &response).ok());
}

TEST_F(AgentApiTest, RefusesWhatItCannotServe) {
  ApiOptions options = Options();
  options.group = "no-such-group-here";
  EXPECT_THAT(std::string(AgentApi::Start(options, &state_).status().message()), HasSubstr("no-such-group-here"));
  options = Options();
  options.socket_path = "/tmp/" + std::string(120, 'x');
  EXPECT_EQ(AgentApi::Start(options, &state_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace espalier::api
