#include "controller/controller.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "common/event_queue.h"
#include "common/telemetry/http_server.h"
#include "common/x509/atomic_file.h"
#include "controller/ca/authority.h"
#include "controller/ca/join_tokens.h"
#include "controller/compile/compiler.h"
#include "controller/compile/stages.h"
#include "controller/compile/status.h"
#include "controller/distribute/control_server.h"
#include "controller/distribute/control_service.h"
#include "controller/distribute/distributor.h"
#include "controller/distribute/enroller.h"
#include "controller/source/directory/directory_source.h"
#include "controller/state_files.h"
#include "controller/status/metrics.h"
#include "controller/status/snapshot.h"
#include "controller/status/status_json.h"

namespace espalier {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kReportInterval = absl::Milliseconds(100);
constexpr absl::Duration kStuck = absl::Seconds(30);  // a turn that takes longer makes /healthz fail
constexpr int kTokenSweepTicks = 600;

class RunningController final : public Controller {
 public:
  RunningController(ControllerOptions options, std::unique_ptr<ca::Authority> authority)
      : options_(std::move(options)),
        authority_(std::move(authority)),
        state_(options_.state_dir),
        tokens_(options_.state_dir),
        source_(source::MakeDirectorySource({options_.source_directory})),
        stages_(compile::StagesOptions{options_.stage_grace}),
        distributor_(MakeEvents(queue_)),
        enroller_(authority_.get(), [this](const std::string& name) { return distributor_.FindByName(name); }),
        service_(authority_.get(), &distributor_, &enroller_) {}

  ~RunningController() override {
    source_->Stop();
    http_.reset();
    distributor_.CloseAll(absl::UnavailableError("the controller is shutting down"), absl::Now());
    server_.reset();
    if (thread_.joinable()) {
      queue_->Post([this] { stopping_ = true; });
      thread_.join();
    }
    queue_->Close();
  }

  absl::Status Begin();

  int port() const override { return server_->port(); }
  uint16_t metrics_port() const override { return http_ == nullptr ? 0 : http_->port(); }
  std::string StatusJson() const override { return status::StatusJson(Now()); }

 private:
  // The distributor's events find their way to this object through the queue.
  struct Event {
    enum class Kind { kConnected, kDisconnected, kSynced } kind;
    std::string uid;
    compile::AgentFacts facts;
    uint64_t revision = 0;
  };

  distribute::DistributorEvents MakeEvents(const std::shared_ptr<EventQueue>& queue) {
    auto post = [this, queue](Event event) { queue->Post([this, event = std::move(event)] { OnEvent(event); }); };
    return {[post](const std::string& uid, const compile::AgentFacts& facts) {
              post({Event::Kind::kConnected, uid, facts, 0});
            },
            [post](const std::string& uid) { post({Event::Kind::kDisconnected, uid, {}, 0}); },
            [post](const std::string& uid, uint64_t revision) { post({Event::Kind::kSynced, uid, {}, revision}); }};
  }

  void Run();
  void OnUpdate(source::Update update);
  void OnEvent(const Event& event);
  void Tick(absl::Time now);
  void CompileAndPublish(absl::Time now);
  void SaveState();
  void MakeReport(absl::Time now);
  // Each once, and its end.
  void LogProblems(const std::vector<source::Problem>& problems);
  compile::MeshFacts MeshFacts() const;
  // The snapshot with what is newer than the control thread's last report.
  status::Snapshot Now() const;
  absl::Status Healthy() const;
  absl::Status Ready() const;

  const ControllerOptions options_;
  const absl::Time started_at_ = absl::Now();
  const std::unique_ptr<ca::Authority> authority_;
  const std::shared_ptr<EventQueue> queue_ = std::make_shared<EventQueue>();

  // Of the control thread (of Begin, before it runs).
  StateFiles state_;
  ca::JoinTokens tokens_;
  std::unique_ptr<source::Source> source_;
  compile::Compiler compiler_;
  compile::Stages stages_;
  std::shared_ptr<const source::ObjectStore> objects_;
  std::vector<source::Problem> source_problems_;
  std::vector<compile::DefinitionPtr> definitions_;
  AgentFactsByUid agents_;
  std::shared_ptr<const compile::CompiledMesh> mesh_;
  std::map<std::string, uint64_t> acked_;
  std::set<source::Problem> logged_problems_;
  bool dirty_ = false;         // views may change
  bool report_dirty_ = false;  // only what is said of them
  bool stopping_ = false;
  int ticks_ = 0;
  std::string logged_refresh_;
  absl::Time report_at_ = absl::InfinitePast();

  distribute::Distributor distributor_;
  distribute::Enroller enroller_;
  distribute::ControlService service_;
  std::unique_ptr<distribute::ControlServer> server_;
  std::unique_ptr<telemetry::HttpServer> http_;
  std::thread thread_;

  mutable absl::Mutex mutex_;
  status::Snapshot snapshot_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_turn_ ABSL_GUARDED_BY(mutex_) = absl::Now();
};

absl::Status RunningController::Begin() {
  const absl::Time now = absl::Now();
  if (absl::Status s = state_.Lock(); !s.ok()) return s;
  absl::StatusOr<std::string> ids = state_.LoadNodeIds();
  if (ids.ok()) {
    if (absl::Status s = compiler_.LoadNodeIds(*ids); !s.ok()) ids = s;
  }
  if (!ids.ok()) return absl::Status(ids.status().code(), absl::StrCat("node-ids: ", ids.status().message()));
  absl::StatusOr<std::string> stages = state_.LoadStages();
  if (stages.ok()) {
    if (absl::Status s = stages_.Load(*stages, now); !s.ok()) stages = s;
  }
  if (!stages.ok()) return absl::Status(stages.status().code(), absl::StrCat("stages: ", stages.status().message()));
  absl::StatusOr<AgentFactsByUid> agents = state_.LoadAgents();
  if (!agents.ok()) return agents.status();
  agents_ = *std::move(agents);
  {
    absl::MutexLock lock(&mutex_);
    snapshot_.source = source_->Name();
    snapshot_.trust_domain = options_.trust_domain;
    snapshot_.epoch = distributor_.epoch();
    snapshot_.started_at = started_at_;
  }

  if (absl::Status s = source_->Start([this, queue = queue_](source::Update update) {
        queue->Post([this, update = std::move(update)]() mutable { OnUpdate(std::move(update)); });
      });
      !s.ok()) {
    return s;
  }
  if (std::function<void()> first = queue_->Take(now)) first();
  CompileAndPublish(now);
  MakeReport(now);

  absl::StatusOr<std::unique_ptr<distribute::ControlServer>> server =
      distribute::ControlServer::Start(options_.listen, *authority_, &service_);
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  if (!options_.metrics.empty()) {
    telemetry::HttpOptions http;
    http.listen = options_.metrics;
    http.metrics = {std::make_shared<status::Metrics>([this] { return Now(); })};
    http.healthy = [this] { return Healthy(); };
    http.ready = [this] { return Ready(); };
    http.paths = {{"/statusz", [this] { return StatusJson(); }}};
    absl::StatusOr<std::unique_ptr<telemetry::HttpServer>> started = telemetry::HttpServer::Start(std::move(http));
    if (!started.ok()) return started.status();
    http_ = *std::move(started);
  }
  thread_ = std::thread([this] { Run(); });
  LOG(INFO) << "controller ready listen=" << options_.listen << " port=" << absl::StrCat(server_->port())
            << " source=\"" << source_->Name() << "\" epoch=" << distributor_.epoch();
  return absl::OkStatus();
}

void RunningController::Run() {
  absl::Time next_tick = absl::Now();
  while (!stopping_) {
    absl::Time deadline = next_tick;
    if (std::optional<absl::Time> due = stages_.next_deadline()) deadline = std::min(deadline, *due);
    if (report_dirty_) deadline = std::min(deadline, report_at_ + kReportInterval);
    // Everything that waits, then one compile for all of it.
    std::function<void()> event = queue_->Take(deadline);
    while (event) {
      event();
      event = queue_->Take(absl::InfinitePast());
    }
    const absl::Time now = absl::Now();
    const uint64_t revision = stages_.revision();
    stages_.Tick(now);
    if (now >= next_tick) {
      Tick(now);
      next_tick = now + kTick;
    }
    if (dirty_ || stages_.revision() != revision || mesh_->stages_revision() != stages_.revision()) {
      CompileAndPublish(now);
    }
    if (report_dirty_ && now >= report_at_ + kReportInterval) MakeReport(now);
    absl::MutexLock lock(&mutex_);
    last_turn_ = now;
  }
}

void RunningController::OnUpdate(source::Update update) {
  if (objects_ != update.objects) {
    definitions_ = compile::DefinitionsOf(*update.objects, definitions_);
    stages_.SetDesired(definitions_, absl::Now());
    objects_ = std::move(update.objects);
    dirty_ = true;
  }
  source_problems_ = std::move(update.problems);
  report_dirty_ = true;
}

void RunningController::OnEvent(const Event& event) {
  const absl::Time now = absl::Now();
  report_dirty_ = true;
  switch (event.kind) {
    case Event::Kind::kConnected: {
      stages_.OnConnected(event.uid, now);
      compile::AgentFacts& facts = agents_[event.uid];
      if (!(facts == event.facts)) {
        facts = event.facts;
        dirty_ = true;
      }
      return;
    }
    case Event::Kind::kDisconnected:
      stages_.OnDisconnected(event.uid, now);
      return;
    case Event::Kind::kSynced:
      acked_[event.uid] = event.revision;
      stages_.OnAck(event.uid, event.revision, now);
      return;
  }
}

void RunningController::Tick(absl::Time now) {
  absl::StatusOr<bool> refreshed = authority_->Refresh(now);
  if (!refreshed.ok()) {
    if (logged_refresh_ != refreshed.status().message()) {
      logged_refresh_ = std::string(refreshed.status().message());
      LOG(ERROR) << "certificates not refreshed cause=\"" << logged_refresh_ << "\"";
    }
  } else {
    logged_refresh_.clear();
    if (*refreshed) dirty_ = true;
  }
  distributor_.Sweep(authority_->revoked(), now);
  service_.Sweep(now);
  if (++ticks_ % kTokenSweepTicks == 0) tokens_.RemoveExpired(now);
  report_dirty_ = true;
}

compile::MeshFacts RunningController::MeshFacts() const {
  return {options_.trust_domain, authority_->bundle_pem(), authority_->revoked(), options_.controller_addresses,
          options_.cluster_cidrs};
}

void RunningController::SaveState() {
  std::map<std::string, std::string> uids;
  for (const auto& [name, node] : mesh_->nodes()) uids[node.uid] = name;
  std::erase_if(agents_, [&](const auto& agent) { return !uids.contains(agent.first); });
  std::erase_if(acked_, [&](const auto& ack) { return !uids.contains(ack.first); });
  absl::Status status = state_.SaveStages(stages_.Save());
  if (absl::Status s = state_.SaveNodeIds(compiler_.SaveNodeIds()); status.ok()) status = s;
  if (absl::Status s = state_.SaveAgents(agents_); status.ok()) status = s;
  absl::MutexLock lock(&mutex_);
  if (!status.ok()) {
    ++snapshot_.state_errors;
    if (snapshot_.state_error != status.message()) LOG(ERROR) << "state not saved cause=\"" << status.message() << "\"";
  }
  snapshot_.state_error = std::string(status.message());
}

void RunningController::CompileAndPublish(absl::Time now) {
  dirty_ = false;
  compile::CompileInput input;
  input.objects = objects_;
  input.mesh = MeshFacts();
  input.agents = agents_;
  input.policies = stages_.Current();
  input.stages_revision = stages_.revision();
  const absl::Time began = absl::Now();
  mesh_ = compiler_.Compile(input);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  // What a restart must know is on disk before anybody acts on it.
  SaveState();
  distributor_.Publish(mesh_, now);
  report_dirty_ = true;
  absl::MutexLock lock(&mutex_);
  ++snapshot_.compiles;
  snapshot_.compile_seconds += seconds;
  snapshot_.last_compile_seconds = seconds;
}

void RunningController::LogProblems(const std::vector<source::Problem>& problems) {
  std::set<source::Problem> now(problems.begin(), problems.end());
  for (const source::Problem& problem : now) {
    if (logged_problems_.contains(problem)) continue;
    if (problem.severity == source::Severity::kNote) {
      LOG(INFO) << "object note: " << problem.ToString();
    } else {
      LOG(WARNING) << "object problem: " << problem.ToString();
    }
  }
  for (const source::Problem& problem : logged_problems_) {
    if (!now.contains(problem)) LOG(INFO) << "object problem over: " << problem.ToString();
  }
  logged_problems_ = std::move(now);
}

void RunningController::MakeReport(absl::Time now) {
  report_dirty_ = false;
  report_at_ = now;
  std::map<std::string, std::string> nacks;
  for (const distribute::NodeReport& node : distributor_.Report()) {
    if (!node.refusal.empty()) nacks[node.uid] = node.refusal;
  }
  std::vector<source::Problem> problems = source_problems_;
  problems.insert(problems.end(), mesh_->problems().begin(), mesh_->problems().end());
  LogProblems(mesh_->problems());  // the source logs its own
  std::vector<compile::PolicyReport> policies =
      compile::ReportPolicies(stages_, *mesh_, source_problems_, acked_, nacks);
  const source::ObjectStore& o = *objects_;
  absl::MutexLock lock(&mutex_);
  snapshot_.policies = std::move(policies);
  snapshot_.problems = std::move(problems);
  snapshot_.objects = {{"Node", o.nodes->size()},
                       {"Namespace", o.namespaces->size()},
                       {"Pod", o.pods->size()},
                       {"Service", o.services->size()},
                       {"ServiceAccount", o.service_accounts->size()},
                       {"EncryptionPolicy", o.policies->size()},
                       {"ClusterEncryptionPolicy", o.cluster_policies->size()},
                       {"EncryptionProfile", o.profiles->size()}};
}

status::Snapshot RunningController::Now() const {
  status::Snapshot out;
  {
    absl::MutexLock lock(&mutex_);
    out = snapshot_;
  }
  out.view_version = distributor_.version();
  out.nodes = distributor_.Report();
  out.distribution = distributor_.counters();
  out.enrolments = enroller_.counters();
  out.streams_refused = service_.refused();
  out.ca_not_after = authority_->ca_not_after();
  out.server_not_after = authority_->server_not_after();
  out.anchors = authority_->trust()->anchors().size();
  out.revoked = authority_->revoked();
  out.certificates_issued = authority_->issued();
  return out;
}

absl::Status RunningController::Healthy() const {
  absl::MutexLock lock(&mutex_);
  absl::Duration age = absl::Now() - last_turn_;
  if (age < kStuck) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the control thread has been busy for ", absl::FormatDuration(age)));
}

absl::Status RunningController::Ready() const {
  absl::MutexLock lock(&mutex_);
  if (snapshot_.compiles == 0) return absl::UnavailableError("no view was compiled yet");
  if (!snapshot_.state_error.empty()) return absl::UnavailableError(snapshot_.state_error);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Controller>> Controller::Start(ControllerOptions options) {
  if (options.source_directory.empty()) return absl::InvalidArgumentError("no source directory");
  if (options.state_dir.empty()) return absl::InvalidArgumentError("no state folder");
  ca::AuthorityOptions authority_options{options.state_dir, options.trust_domain, options.certificate_lifetime};
  absl::StatusOr<std::unique_ptr<ca::Authority>> authority =
      ca::Authority::Open(std::move(authority_options), absl::Now());
  if (!authority.ok()) return authority.status();
  auto controller = std::make_unique<RunningController>(std::move(options), *std::move(authority));
  if (absl::Status s = controller->Begin(); !s.ok()) return s;
  return controller;
}

}  // namespace espalier
