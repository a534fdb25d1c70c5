// The state machine of control_client.h. Everything here runs on the control thread, unless said otherwise.
//
//   Turn, until stopped:
//    1. events: answers of gRPC and of the caller (OnAccepted, OnDelta, OnStreamDone, OnApplied, OnEnrolled)
//    2. certificate: enrol without one, renew at two thirds of its life
//    3. stream: connect when there is a certificate, no stream, and backoff is over
//    4. Status every status_interval; cache saved at most once a second
#include "agent/control/control_client.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/control/controller_call.h"
#include "common/event_queue.h"
#include "common/x509/atomic_file.h"
#include "common/x509/chain.h"

namespace espalier::control {
namespace {

constexpr absl::Duration kEnrollTimeout = absl::Seconds(10);
constexpr absl::Duration kAcceptTimeout = absl::Seconds(15);  // from the start of a stream to its acceptance
constexpr absl::Duration kOldStreamGrace = absl::Seconds(2);
constexpr absl::Duration kSaveInterval = absl::Seconds(1);
constexpr absl::Duration kSaveRetry = absl::Seconds(30);
constexpr size_t kMaxTokenFile = 4096;
constexpr size_t kMaxBundleFile = 1 << 20;

class Backoff {
 public:
  Backoff(absl::Duration first, absl::Duration most) : first_(first), most_(most), next_(first) {}

  // The next delay, with half of it left to chance, so that hundreds of agents don't come back at one moment.
  absl::Duration Next(std::mt19937_64& random) {
    absl::Duration delay = next_ * std::uniform_real_distribution<double>(0.5, 1.0)(random);
    next_ = std::min(next_ * 2, most_);
    return delay;
  }
  void Reset() { next_ = first_; }

 private:
  const absl::Duration first_, most_;
  absl::Duration next_;
};

class Client final : public ControlClient {
 public:
  explicit Client(ControlOptions options)
      : options_(std::make_shared<const ControlOptions>(std::move(options))),
        store_(options_->state_dir),
        cache_(options_->state_dir + "/view.cache", options_->max_cache_age),
        enroll_backoff_(options_->first_backoff, options_->max_backoff),
        stream_backoff_(options_->first_backoff, options_->max_backoff) {}

  ~Client() override {
    queue_->Post([this] { stopping_ = true; });
    thread_.join();
    queue_->Close();
  }

  absl::Status Begin() {
    if (absl::Status s = store_.Prepare(); !s.ok()) return s;
    {
      absl::MutexLock lock(&mutex_);
      status_.since = absl::Now();
    }
    LoadIdentity();
    LoadCache();
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  ControlStatus status() const override {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

  void SetPeers(uint32_t wanted, uint32_t up) override {
    absl::MutexLock lock(&mutex_);
    if (wanted == peers_wanted_ && up == peers_up_) return;
    peers_wanted_ = wanted;
    peers_up_ = up;
    queue_->Post([this] { peers_changed_ = true; });
  }

 private:
  // One attempt at a stream. What comes from an older one is ignored.
  struct Stream {
    std::shared_ptr<WatchCall> call;
    uint64_t generation = 0;
    absl::Time started;
    absl::Time accepted = absl::InfiniteFuture();
  };

  void Run();
  void Turn(absl::Time now);
  absl::Time NextDeadline() const;

  void LoadIdentity();
  void LoadCache();
  void Adopt(Identity identity);
  std::string Token() const;
  void StartEnroll(absl::Time now);
  void OnEnrolled(absl::Status status, v1::EnrollResponse response);
  absl::StatusOr<Identity> CheckIssued(const v1::EnrollResponse& response, absl::Time now) const;

  void Connect(absl::Time now);
  void OnAccepted(uint64_t generation);
  void OnDelta(uint64_t generation, v1::WatchResponse delta);
  void OnStreamDone(uint64_t generation, absl::Status status);
  void SendAck(uint64_t generation, const std::string& nonce, uint64_t version, const std::string& error);
  void SendStatus(absl::Time now);

  void Offer(ViewPtr view, bool from_cache, uint64_t generation, std::string nonce);
  void OnApplied(uint64_t generation, const std::string& nonce, bool from_cache, absl::Status status);
  // Anchors for the next connection.
  void TakeBundle(const std::string& pem);
  void SaveCache(absl::Time now);

  void SetState(ControlState state, std::string error);
  // Logs an error once until it changes.
  void Note(std::string* last, absl::string_view what, const absl::Status& status);

  // Shared with what was posted to the caller, which may run later than this object lives.
  const std::shared_ptr<const ControlOptions> options_;
  const IdentityStore store_;
  const ViewCache cache_;
  const std::shared_ptr<EventQueue> queue_ = std::make_shared<EventQueue>();
  std::thread thread_;

  // Of the control thread (Begin runs before it).
  bool stopping_ = false;
  bool peers_changed_ = false;
  std::mt19937_64 random_{std::random_device{}()};
  size_t endpoint_ = 0;

  std::optional<Identity> identity_;
  std::string bundle_pem_;
  std::optional<x509::PrivateKey> pending_key_;
  std::unique_ptr<EnrollCall> enroll_;
  bool enroll_by_token_ = false;
  bool rejected_ = false;  // the controller does not take our certificate: try the token again
  absl::Time enroll_at_ = absl::InfinitePast();
  absl::Time renew_at_ = absl::InfiniteFuture();
  Backoff enroll_backoff_;

  Stream stream_;
  uint64_t generation_ = 0;
  std::map<uint64_t, std::shared_ptr<WatchCall>> calls_;  // by generation: all that gRPC is not done with
  absl::Time connect_at_ = absl::InfinitePast();
  absl::Time status_at_ = absl::InfiniteFuture();
  Backoff stream_backoff_;
  bool ask_for_all_ = false;

  ViewPtr current_;
  ViewPtr offered_;  // with the caller; null: nothing is
  std::optional<v1::WatchResponse> waiting_delta_;
  uint64_t waiting_generation_ = 0;
  absl::Time save_at_ = absl::InfiniteFuture();

  std::string logged_enroll_, logged_stream_, logged_cache_;

  mutable absl::Mutex mutex_;
  ControlStatus status_ ABSL_GUARDED_BY(mutex_);
  uint32_t peers_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t peers_up_ ABSL_GUARDED_BY(mutex_) = 0;
};

void Client::Note(std::string* last, absl::string_view what, const absl::Status& status) {
  std::string text(status.message());
  if (status.ok() || *last == text) return;
  *last = text;
  LOG(WARNING) << what << " endpoint=" << options_->endpoints[endpoint_] << " cause=\"" << text << "\"";
}

void Client::SetState(ControlState state, std::string error) {
  absl::MutexLock lock(&mutex_);
  if (status_.state != state) status_.since = absl::Now();
  status_.state = state;
  status_.error = std::move(error);
  status_.endpoint = options_->endpoints[endpoint_];
}

// --- start -----------------------------------------------------------------------------------------------------------

void Client::LoadIdentity() {
  const absl::Time now = absl::Now();
  if (absl::StatusOr<std::string> own = store_.LoadBundle(); own.ok()) bundle_pem_ = *std::move(own);
  absl::StatusOr<Identity> identity = store_.LoadIdentity();
  absl::Status status = identity.status();
  if (status.ok() && identity->not_after() <= now) {
    status = absl::FailedPreconditionError(
        absl::StrCat("the certificate expired ", absl::FormatTime(identity->not_after(), absl::UTCTimeZone())));
  }
  if (status.ok()) {
    Adopt(*std::move(identity));
  } else if (!absl::IsNotFound(status)) {
    LOG(WARNING) << "certificate on disk not used cause=\"" << status.message() << "\"";
    absl::MutexLock lock(&mutex_);
    status_.renewal_error = std::string(status.message());
  }
}

void Client::LoadCache() {
  absl::StatusOr<CachedView> cached = cache_.Load(absl::Now());
  if (cached.ok()) {
    LOG(INFO) << "cached view taken version=" << absl::StrCat(cached->view.version)
              << " saved=" << absl::FormatTime(cached->saved_at, absl::UTCTimeZone());
    Offer(std::make_shared<const policy::View>(std::move(cached->view)), true, 0, "");
    return;
  }
  if (absl::IsNotFound(cached.status())) return;
  LOG(WARNING) << "cached view not used cause=\"" << cached.status().message() << "\"";
  absl::MutexLock lock(&mutex_);
  status_.cache_error = std::string(cached.status().message());
}

// --- turn ------------------------------------------------------------------------------------------------------------

void Client::Run() {
  while (true) {
    const absl::Time now = absl::Now();
    if (!stopping_) Turn(now);
    if (stopping_) {
      // Orderly: gRPC calls back once for each call; only then may this object go.
      for (const auto& [generation, call] : calls_) call->Cancel();
      if (enroll_ != nullptr) enroll_->Cancel();
      if (calls_.empty() && enroll_ == nullptr) break;
    }
    if (std::function<void()> event = queue_->Take(stopping_ ? absl::InfiniteFuture() : NextDeadline())) event();
  }
  if (save_at_ != absl::InfiniteFuture()) SaveCache(absl::Now());
}

absl::Time Client::NextDeadline() const {
  absl::Time next = std::min(status_at_, save_at_);
  if (enroll_ == nullptr) {
    const bool have = identity_.has_value() && !rejected_;
    next = std::min(next, have ? std::max(renew_at_, enroll_at_) : enroll_at_);
  }
  if (identity_) next = std::min(next, identity_->not_after());
  if (stream_.call == nullptr && identity_ && offered_ == nullptr) next = std::min(next, connect_at_);
  if (stream_.call != nullptr && stream_.accepted == absl::InfiniteFuture()) {
    next = std::min(next, stream_.started + kAcceptTimeout);
  }
  // Never a busy loop, whatever state a deadline in the past belongs to.
  return std::max(next, absl::Now() + absl::Milliseconds(10));
}

void Client::Turn(absl::Time now) {
  if (identity_ && now >= identity_->not_after()) {
    LOG(WARNING) << "certificate expired serial=" << identity_->chain[0].Serial();
    identity_.reset();
    renew_at_ = absl::InfiniteFuture();
    SetState(ControlState::kNoIdentity, "the certificate has expired: a new join token is needed");
  }
  const bool wants_certificate = !identity_ || rejected_ || now >= renew_at_;
  if (wants_certificate && enroll_ == nullptr && now >= enroll_at_) StartEnroll(now);

  if (stream_.call == nullptr && identity_ && offered_ == nullptr && now >= connect_at_) Connect(now);
  if (stream_.call != nullptr && stream_.accepted == absl::InfiniteFuture() &&
      now >= stream_.started + kAcceptTimeout) {
    stream_.call->Cancel();
    stream_.started = now;  // once
  }
  if (now >= status_at_ || (peers_changed_ && status_at_ != absl::InfiniteFuture())) SendStatus(now);
  if (now >= save_at_) SaveCache(now);
}

// --- certificate -----------------------------------------------------------------------------------------------------

std::string Client::Token() const {
  if (!options_->join_token.empty() || options_->join_token_path.empty()) return options_->join_token;
  absl::StatusOr<std::string> text = x509::ReadWholeFile(options_->join_token_path, kMaxTokenFile);
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

void Client::Adopt(Identity identity) {
  const absl::Duration life = identity.not_after() - identity.not_before();
  const double share = 2.0 / 3 + std::uniform_real_distribution<double>(-0.03, 0.03)(random_);
  renew_at_ = identity.not_before() + life * share;
  rejected_ = false;
  {
    absl::MutexLock lock(&mutex_);
    absl::StatusOr<std::vector<std::string>> names = identity.chain[0].UriNames();
    status_.spiffe_id = names.ok() && !names->empty() ? names->front() : "";
    status_.certificate_serial = identity.chain[0].Serial();
    status_.certificate_not_after = identity.not_after();
    if (status_.state == ControlState::kNoIdentity) {
      status_.state = ControlState::kDisconnected;
      status_.since = absl::Now();
    }
  }
  identity_ = identity;
  options_->post([options = options_, identity = std::move(identity), bundle = bundle_pem_]() mutable {
    options->on_identity(std::move(identity), std::move(bundle));
  });
}

void Client::StartEnroll(absl::Time now) {
  const std::string token = Token();
  enroll_by_token_ = !identity_ || rejected_;
  auto fail = [&](const absl::Status& status) {
    Note(&logged_enroll_, "no certificate", status);
    enroll_at_ = now + enroll_backoff_.Next(random_);
    absl::MutexLock lock(&mutex_);
    status_.renewal_error = std::string(status.message());
    if (!identity_) status_.error = status_.renewal_error;
  };
  if (enroll_by_token_ && token.empty()) {
    fail(absl::FailedPreconditionError(
        "no valid certificate and no join token: make one with `espalier-controller token`"));
    return;
  }
  std::string bundle = bundle_pem_;
  if (enroll_by_token_) {
    // What the operator has put beside the token counts too: the CA may have changed since we were last here.
    absl::StatusOr<std::string> bootstrap = x509::ReadWholeFile(options_->bootstrap_bundle_path, kMaxBundleFile);
    if (bootstrap.ok()) {
      absl::StrAppend(&bundle, *bootstrap);
    } else if (bundle.empty()) {
      fail(absl::Status(bootstrap.status().code(),
                        absl::StrCat("bootstrap trust bundle: ", bootstrap.status().message())));
      return;
    }
  }
  absl::StatusOr<x509::PrivateKey> key = x509::PrivateKey::Generate();
  if (!key.ok()) return fail(key.status());
  absl::StatusOr<Bytes> csr = x509::BuildCertificateRequest(*key);
  if (!csr.ok()) return fail(csr.status());
  pending_key_ = *std::move(key);
  v1::EnrollRequest request;
  request.set_node_name(options_->node_name);
  request.set_csr_der(std::string(csr->begin(), csr->end()));
  if (enroll_by_token_) request.set_join_token(token);
  enroll_ = std::make_unique<EnrollCall>(
      MakeChannel(options_->endpoints[endpoint_], bundle, enroll_by_token_ ? nullptr : &*identity_), std::move(request),
      kEnrollTimeout, [queue = queue_, this](absl::Status status, v1::EnrollResponse response) {
        queue->Post([this, status = std::move(status), response = std::move(response)]() mutable {
          OnEnrolled(std::move(status), std::move(response));
        });
      });
}

absl::StatusOr<Identity> Client::CheckIssued(const v1::EnrollResponse& response, absl::Time now) const {
  absl::StatusOr<std::vector<x509::Certificate>> chain = x509::Certificate::FromPem(response.certificate_chain_pem());
  if (!chain.ok()) return chain.status();
  if (chain->front().SpkiDer() != pending_key_->PublicSpkiDer()) {
    return absl::InvalidArgumentError("the issued certificate is for another key");
  }
  absl::StatusOr<x509::TrustStore> trust = x509::TrustStore::Create(response.trust_bundle_pem(), {});
  if (!trust.ok()) return trust.status();
  std::vector<Bytes> der;
  for (const x509::Certificate& c : *chain) der.push_back(c.ToDer());
  absl::StatusOr<x509::NodeProof> proof = x509::ValidateNodeChain(*trust, options_->trust_domain, der, now);
  if (!proof.ok()) {
    return absl::Status(proof.status().code(), absl::StrCat("the issued certificate: ", proof.status().message()));
  }
  return Identity{*pending_key_, *std::move(chain)};
}

void Client::OnEnrolled(absl::Status status, v1::EnrollResponse response) {
  enroll_.reset();
  const absl::Time now = absl::Now();
  if (stopping_ || !pending_key_) return;
  absl::StatusOr<Identity> identity = status.ok() ? CheckIssued(response, now) : absl::StatusOr<Identity>(status);
  pending_key_.reset();
  if (!identity.ok()) {
    Note(&logged_enroll_, enroll_by_token_ ? "enrolment failed" : "renewal failed", identity.status());
    // A certificate that lives for seconds is renewed with less patience than one that lives for a day.
    absl::Duration delay = enroll_backoff_.Next(random_);
    if (identity_) delay = std::min(delay, (identity_->not_after() - identity_->not_before()) / 20);
    enroll_at_ = now + delay;
    if (enroll_by_token_) rejected_ = false;  // until the stream is refused again
    endpoint_ = (endpoint_ + 1) % options_->endpoints.size();
    absl::MutexLock lock(&mutex_);
    ++status_.enrolment_failures;
    status_.renewal_error = std::string(identity.status().message());
    if (!identity_) status_.error = status_.renewal_error;
    return;
  }
  enroll_backoff_.Reset();
  logged_enroll_.clear();
  bundle_pem_ = response.trust_bundle_pem();
  absl::Status saved = store_.SaveIdentity(*identity);
  if (saved.ok()) saved = store_.SaveBundle(bundle_pem_);
  if (!saved.ok()) LOG(WARNING) << "certificate not saved cause=\"" << saved.message() << "\"";
  LOG(INFO) << "certificate received serial=" << identity->chain[0].Serial()
            << " not_after=" << absl::FormatTime(identity->not_after(), absl::UTCTimeZone());
  {
    absl::MutexLock lock(&mutex_);
    ++status_.enrolments;
    status_.renewal_error = saved.ok() ? "" : std::string(saved.message());
  }
  Adopt(*std::move(identity));
  // The stream goes on under the old certificate until the controller has taken the new one: Turn connects anew, and
  // the controller ends the older stream of the two.
  if (stream_.call != nullptr) {
    stream_ = Stream{};
    status_at_ = absl::InfiniteFuture();
  }
  connect_at_ = now;
}

// --- stream ----------------------------------------------------------------------------------------------------------

void Client::Connect(absl::Time now) {
  v1::WatchRequest request;
  v1::WatchRequest::Hello& hello = *request.mutable_hello();
  hello.set_node_name(options_->node_name);
  hello.set_boot_id(options_->boot_id);
  hello.set_agent_version(options_->agent_version);
  hello.set_mlkem(options_->mlkem);
  hello.set_datapath(options_->datapath);
  if (current_ != nullptr && !ask_for_all_) {
    hello.set_resume_epoch(current_->epoch);
    hello.set_resume_version(current_->version);
  }
  ask_for_all_ = false;
  waiting_delta_.reset();
  const uint64_t generation = ++generation_;
  auto later = [queue = queue_](std::function<void()> event) { queue->Post(std::move(event)); };
  WatchCall::Handlers handlers;
  handlers.accepted = [later, this, generation] { later([this, generation] { OnAccepted(generation); }); };
  handlers.delta = [later, this, generation](v1::WatchResponse delta) {
    later([this, generation, delta = std::move(delta)]() mutable { OnDelta(generation, std::move(delta)); });
  };
  handlers.done = [later, this, generation](absl::Status status) {
    later([this, generation, status = std::move(status)]() mutable { OnStreamDone(generation, std::move(status)); });
  };
  stream_ = Stream{nullptr, generation, now, absl::InfiniteFuture()};
  calls_[generation] = stream_.call = WatchCall::Start(
      MakeChannel(options_->endpoints[endpoint_], bundle_pem_, &*identity_), std::move(request), std::move(handlers));
}

void Client::OnAccepted(uint64_t generation) {
  if (generation != stream_.generation) return;
  stream_.accepted = absl::Now();
  logged_stream_.clear();
  SetState(ControlState::kConnected, "");
  LOG(INFO) << "controller connected endpoint=" << options_->endpoints[endpoint_];
  {
    absl::MutexLock lock(&mutex_);
    ++status_.connects;
  }
  SendStatus(stream_.accepted);
}

void Client::OnStreamDone(uint64_t generation, absl::Status status) {
  calls_.erase(generation);
  if (generation != stream_.generation) return;
  const absl::Time now = absl::Now();
  const bool was_connected = stream_.accepted != absl::InfiniteFuture();
  if (was_connected && now - stream_.accepted > options_->max_backoff) stream_backoff_.Reset();
  stream_ = Stream{};
  status_at_ = absl::InfiniteFuture();
  waiting_delta_.reset();
  if (stopping_) return;
  if (status.ok()) status = absl::UnavailableError("the controller ended the stream");
  // Certificate revoked, or of a Node object that was made anew: a join token can still help.
  rejected_ = (absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)) && !Token().empty();
  if (rejected_ && enroll_ == nullptr) enroll_at_ = now + enroll_backoff_.Next(random_);
  if (!was_connected) endpoint_ = (endpoint_ + 1) % options_->endpoints.size();
  connect_at_ = now + stream_backoff_.Next(random_);
  Note(&logged_stream_, "controller disconnected", status);
  SetState(identity_ ? ControlState::kDisconnected : ControlState::kNoIdentity, std::string(status.message()));
  absl::MutexLock lock(&mutex_);
  if (was_connected) ++status_.disconnects;
}

void Client::OnDelta(uint64_t generation, v1::WatchResponse delta) {
  if (generation != stream_.generation) return;
  if (offered_ != nullptr) {
    // The controller sends one at a time, so that this is the answer to a stray; still nothing may be lost.
    waiting_delta_ = std::move(delta);
    waiting_generation_ = generation;
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    ++status_.deltas;
  }
  if (!delta.full() && (current_ == nullptr || delta.epoch() != current_->epoch)) {
    LOG(WARNING) << "delta of another history epoch=" << delta.epoch();
    ask_for_all_ = true;
    stream_.call->Cancel();
    return;
  }
  absl::StatusOr<policy::View> view = (current_ == nullptr ? policy::View() : *current_).Apply(delta);
  if (view.ok()) {
    Offer(std::make_shared<const policy::View>(*std::move(view)), false, generation, delta.nonce());
    return;
  }
  SendAck(generation, delta.nonce(), delta.version(), std::string(view.status().message()));
}

void Client::SendAck(uint64_t generation, const std::string& nonce, uint64_t version, const std::string& error) {
  {
    absl::MutexLock lock(&mutex_);
    status_.view_error = error;
  }
  if (!error.empty()) LOG(WARNING) << "view refused version=" << absl::StrCat(version) << " cause=\"" << error << "\"";
  if (generation != stream_.generation || stream_.call == nullptr) return;
  v1::WatchRequest request;
  request.mutable_ack()->set_nonce(nonce);
  request.mutable_ack()->set_version(version);
  request.mutable_ack()->set_error(error);
  stream_.call->Send(std::move(request));
  absl::MutexLock lock(&mutex_);
  ++(error.empty() ? status_.acks : status_.nacks);
}

void Client::SendStatus(absl::Time now) {
  status_at_ = now + options_->status_interval;
  peers_changed_ = false;
  if (stream_.call == nullptr) return;
  // The controller has ended the streams that this one took over from; but they may be with another controller.
  if (now > stream_.accepted + kOldStreamGrace) {
    for (const auto& [generation, call] : calls_) {
      if (generation != stream_.generation) call->Cancel();
    }
  }
  v1::WatchRequest request;
  v1::WatchRequest::Status& message = *request.mutable_status();
  {
    absl::MutexLock lock(&mutex_);
    message.set_peers_wanted(peers_wanted_);
    message.set_peers_up(peers_up_);
  }
  if (identity_) message.set_certificate_not_after(absl::ToUnixSeconds(identity_->not_after()));
  message.set_datapath(options_->datapath);
  stream_.call->Send(std::move(request));
}

// --- view ------------------------------------------------------------------------------------------------------------

void Client::Offer(ViewPtr view, bool from_cache, uint64_t generation, std::string nonce) {
  offered_ = view;
  std::function<void(absl::Status)> done = [queue = queue_, this, generation, nonce = std::move(nonce),
                                            from_cache](absl::Status status) {
    queue->Post([this, generation, nonce, from_cache, status = std::move(status)]() mutable {
      OnApplied(generation, nonce, from_cache, std::move(status));
    });
  };
  options_->post([options = options_, view = std::move(view), from_cache, done = std::move(done)]() mutable {
    options->on_view(std::move(view), from_cache, std::move(done));
  });
}

void Client::OnApplied(uint64_t generation, const std::string& nonce, bool from_cache, absl::Status status) {
  if (offered_ == nullptr) return;  // a second answer
  ViewPtr view = std::exchange(offered_, nullptr);
  const absl::Time now = absl::Now();
  if (status.ok()) {
    current_ = view;
    if (!from_cache) TakeBundle(view->mesh.trust_bundle_pem());
    if (!from_cache && save_at_ == absl::InfiniteFuture()) save_at_ = now + kSaveInterval;
    absl::MutexLock lock(&mutex_);
    status_.view_version = view->version;
    status_.view_epoch = view->epoch;
    status_.view_applied_at = now;
    status_.view_from_cache = from_cache;
    status_.view_error.clear();
  }
  if (from_cache) {
    if (!status.ok()) {
      LOG(WARNING) << "cached view refused cause=\"" << status.message() << "\"";
      absl::MutexLock lock(&mutex_);
      status_.cache_error = absl::StrCat("the cached view was refused: ", status.message());
    }
  } else {
    SendAck(generation, nonce, view->version, std::string(status.message()));
  }
  if (waiting_delta_) OnDelta(waiting_generation_, *std::exchange(waiting_delta_, std::nullopt));
}

void Client::TakeBundle(const std::string& pem) {
  if (pem.empty() || pem == bundle_pem_ || !x509::TrustStore::Create(pem, {}).ok()) return;
  bundle_pem_ = pem;
  if (absl::Status saved = store_.SaveBundle(pem); !saved.ok()) {
    LOG(WARNING) << "trust bundle not saved cause=\"" << saved.message() << "\"";
  }
}

void Client::SaveCache(absl::Time now) {
  save_at_ = absl::InfiniteFuture();
  if (current_ == nullptr) return;
  absl::Status saved = cache_.Save(*current_, now);
  if (!saved.ok()) save_at_ = now + kSaveRetry;
  Note(&logged_cache_, "view not cached", saved);
  if (saved.ok()) logged_cache_.clear();
  absl::MutexLock lock(&mutex_);
  status_.cache_error = std::string(saved.message());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlClient>> ControlClient::Start(ControlOptions options) {
  if (options.endpoints.empty()) return absl::InvalidArgumentError("no controller endpoint");
  if (options.node_name.empty()) return absl::InvalidArgumentError("no node name");
  if (options.state_dir.empty()) return absl::InvalidArgumentError("no state folder");
  if (!options.post || !options.on_view || !options.on_identity)
    return absl::InvalidArgumentError("a callback is missing");
  auto client = std::make_unique<Client>(std::move(options));
  if (absl::Status s = client->Begin(); !s.ok()) return s;
  return client;
}

}  // namespace espalier::control
