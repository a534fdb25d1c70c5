// For tests: a controller's authority, distribution and gRPC server on loopback, over views that the test makes.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_TEST_CONTROLLER_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_TEST_CONTROLLER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "controller/ca/authority.h"
#include "controller/ca/join_tokens.h"
#include "controller/distribute/control_server.h"
#include "controller/distribute/control_service.h"
#include "controller/distribute/distributor.h"
#include "controller/distribute/enroller.h"

namespace espalier::distribute {

// Waits for something that other threads bring about; looks every millisecond.
template <typename Condition>
bool Eventually(Condition condition, absl::Duration limit = absl::Seconds(20)) {
  for (absl::Time end = absl::Now() + limit; absl::Now() < end; absl::SleepFor(absl::Milliseconds(1))) {
    if (condition()) return true;
  }
  return condition();
}

class TestFolder {
 public:
  TestFolder() {
    path_ = testing::TempDir() + "espalier_XXXXXX";
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A compile whose views are the test's.
class FakeMesh final : public compile::CompiledMesh {
 public:
  uint64_t stages_revision() const override { return revision; }
  const std::map<std::string, compile::MeshNode>& nodes() const override { return nodes_; }
  absl::StatusOr<compile::NodeView> View(const std::string& node_name) const override {
    auto it = own_.find(node_name);
    if (it == own_.end()) return absl::NotFoundError("no such node");
    return compile::NodeView{common_, it->second};
  }
  const std::map<std::string, compile::PolicyScope>& scopes() const override { return scopes_; }
  const std::vector<source::Problem>& problems() const override { return problems_; }

  // "uid-NAME" is the UID.
  void AddNode(const std::string& name) {
    uint32_t id = static_cast<uint32_t>(nodes_.size() + 1);
    nodes_[name] = {name, "uid-" + name, id, 0};
    v1::Resource node;
    node.mutable_node()->set_name(name);
    node.mutable_node()->set_uid("uid-" + name);
    node.mutable_node()->set_id(id);
    Edit(&common_, absl::StrCat("node/", id), node);
    v1::Resource mesh;
    mesh.mutable_mesh()->set_trust_domain("cluster.local");
    mesh.mutable_mesh()->set_self_node_id(id);
    Edit(&own_[name], "mesh", mesh);
  }
  void RemoveNode(const std::string& name) {
    nodes_.erase(name);
    own_.erase(name);
  }
  // A resource in every node's view.
  void SetAddress(const std::string& ip, uint32_t identity) {
    v1::Resource address;
    address.mutable_address()->set_ip(ip);
    address.mutable_address()->set_identity(identity);
    address.mutable_address()->set_node_id(1);
    Edit(&common_, "address/" + ip, address);
  }
  void RemoveAddress(const std::string& ip) {
    auto changed = std::make_shared<compile::ResourceMap>(*common_);
    changed->erase("address/" + ip);
    common_ = std::move(changed);
  }

  uint64_t revision = 1;

 private:
  static void Edit(std::shared_ptr<const compile::ResourceMap>* map, const std::string& key,
                   const v1::Resource& value) {
    auto changed =
        *map == nullptr ? std::make_shared<compile::ResourceMap>() : std::make_shared<compile::ResourceMap>(**map);
    (*changed)[key] = std::make_shared<const v1::Resource>(value);
    *map = std::move(changed);
  }

  std::map<std::string, compile::MeshNode> nodes_;
  std::shared_ptr<const compile::ResourceMap> common_ = std::make_shared<compile::ResourceMap>();
  std::map<std::string, std::shared_ptr<const compile::ResourceMap>> own_;
  std::map<std::string, compile::PolicyScope> scopes_;
  std::vector<source::Problem> problems_;
};

// Records what the distributor tells the control thread.
struct EventLog {
  absl::Mutex mutex;
  std::vector<std::string> lines ABSL_GUARDED_BY(mutex);

  void Add(std::string line) {
    absl::MutexLock lock(&mutex);
    lines.push_back(std::move(line));
  }
  std::vector<std::string> Lines() {
    absl::MutexLock lock(&mutex);
    return lines;
  }
  bool Has(const std::string& line) {
    absl::MutexLock lock(&mutex);
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }
};

class TestController {
 public:
  explicit TestController(const std::string& state_dir, absl::Duration certificate_lifetime = absl::Hours(1),
                          const std::string& listen = "127.0.0.1:0")
      : state_dir_(state_dir),
        authority_(
            std::move(ca::Authority::Open({state_dir, "cluster.local", certificate_lifetime}, absl::Now())).value()),
        distributor_(
            DistributorEvents{[this](const std::string& uid, const compile::AgentFacts& facts) {
                                events.Add(absl::StrCat("connected ", uid, " ", facts.boot_id));
                              },
                              [this](const std::string& uid) { events.Add(absl::StrCat("disconnected ", uid)); },
                              [this](const std::string& uid, uint64_t revision) {
                                events.Add(absl::StrCat("synced ", uid, " ", revision));
                              }}),
        enroller_(authority_.get(), [this](const std::string& name) { return distributor_.FindByName(name); }),
        service_(authority_.get(), &distributor_, &enroller_),
        server_(std::move(ControlServer::Start(listen, *authority_, &service_)).value()),
        ticker_([this] {
          while (!stop_.WaitForNotificationWithTimeout(absl::Milliseconds(50))) {
            EXPECT_TRUE(authority_->Refresh(absl::Now()).ok());
            distributor_.Sweep(authority_->revoked(), absl::Now());
            service_.Sweep(absl::Now());
          }
        }) {}
  ~TestController() { Stop(); }

  void Stop() {
    if (server_ == nullptr) return;
    stop_.Notify();
    ticker_.join();
    distributor_.CloseAll(absl::UnavailableError("shutting down"), absl::Now());
    server_.reset();
  }

  void Publish(const FakeMesh& mesh) { distributor_.Publish(std::make_shared<const FakeMesh>(mesh), absl::Now()); }
  std::string Endpoint() const { return absl::StrCat("127.0.0.1:", server_->port()); }
  std::string Token(const std::string& node, absl::Duration ttl = absl::Hours(1)) {
    return ca::JoinTokens(state_dir_).Create(node, ttl, absl::Now()).value();
  }
  NodeReport Report(const std::string& name) const {
    for (const NodeReport& report : distributor_.Report()) {
      if (report.name == name) return report;
    }
    return {};
  }
  ca::Authority& authority() { return *authority_; }
  Distributor& distributor() { return distributor_; }
  Enroller& enroller() { return enroller_; }
  ControlService& service() { return service_; }

  EventLog events;

 private:
  const std::string state_dir_;
  std::unique_ptr<ca::Authority> authority_;
  Distributor distributor_;
  Enroller enroller_;
  ControlService service_;
  std::unique_ptr<ControlServer> server_;
  absl::Notification stop_;
  std::thread ticker_;
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_TEST_CONTROLLER_H_
