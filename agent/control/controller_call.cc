#include "agent/control/controller_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/x509/atomic_file.h"

namespace espalier::control {
namespace {

constexpr char kControllerName[] = "espalier-controller";  // the DNS name in the controller's certificate
constexpr char kAcceptedKey[] = "espalier-epoch";          // initial metadata of a Watch that was accepted
constexpr int kMaxDelta = 256 << 20;

// gRPC has one completion queue, with its own threads, for all callbacks of the process; it lives while a channel
// exists that has made a call. Should the last such channel go with a callback, one of these threads would tear the
// queue down under its own feet and abort (seen with gRPC 1.51). A channel that never goes, with one call that is over
// before it is sent, keeps the queue.
void KeepCallbackQueue() {
  struct Anchor {
    std::shared_ptr<grpc::Channel> channel =
        grpc::CreateChannel("unix:/nonexistent", grpc::InsecureChannelCredentials());
    std::unique_ptr<v1::Control::Stub> stub = v1::Control::NewStub(channel);
    grpc::ClientContext context;
    v1::EnrollRequest request;
    v1::EnrollResponse response;
  };
  static Anchor* const anchor = [] {
    auto* made = new Anchor;
    made->context.set_deadline(absl::ToChronoTime(absl::UnixEpoch()));
    made->stub->async()->Enroll(&made->context, &made->request, &made->response, [](grpc::Status) {});
    return made;
  }();
  (void)anchor;
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint, const std::string& bundle_pem,
                                           const Identity* identity) {
  KeepCallbackQueue();
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = bundle_pem;
  if (identity != nullptr) {
    absl::StatusOr<std::string> key = identity->key.ToPem();
    if (key.ok()) {
      tls.pem_private_key = *std::move(key);
      tls.pem_cert_chain = identity->chain_pem();
    }
  }
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kControllerName);
  arguments.SetMaxReceiveMessageSize(kMaxDelta);
  // A controller that hangs, or a path that is cut without a word, is noticed within 15 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto channel = grpc::CreateCustomChannel(endpoint, grpc::SslCredentials(tls), arguments);
  x509::WipeText(&tls.pem_private_key);
  return channel;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

struct EnrollCall::Shared {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Control::Stub> stub;
  grpc::ClientContext context;
  v1::EnrollRequest request;
  v1::EnrollResponse response;
  Done done;
};

EnrollCall::EnrollCall(std::shared_ptr<grpc::Channel> channel, v1::EnrollRequest request, absl::Duration timeout,
                       Done done)
    : shared_(std::make_shared<Shared>()) {
  shared_->channel = std::move(channel);
  shared_->stub = v1::Control::NewStub(shared_->channel);
  shared_->context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  shared_->request = std::move(request);
  shared_->done = std::move(done);
  shared_->stub->async()->Enroll(
      &shared_->context, &shared_->request, &shared_->response,
      [shared = shared_](grpc::Status status) { shared->done(FromGrpc(status), std::move(shared->response)); });
}

EnrollCall::~EnrollCall() { Cancel(); }

void EnrollCall::Cancel() { shared_->context.TryCancel(); }

WatchCall::WatchCall(std::shared_ptr<grpc::Channel> channel, Handlers handlers)
    : channel_(std::move(channel)), stub_(v1::Control::NewStub(channel_)), handlers_(std::move(handlers)) {}

std::shared_ptr<WatchCall> WatchCall::Start(std::shared_ptr<grpc::Channel> channel, v1::WatchRequest hello,
                                            Handlers handlers) {
  auto call = std::make_shared<WatchCall>(std::move(channel), std::move(handlers));
  call->self_ = call;
  call->stub_->async()->Watch(&call->context_, call.get());
  call->AddHold();  // for writes that don't come from gRPC's callbacks; until a read fails
  call->StartRead(&call->incoming_);
  call->Send(std::move(hello));
  call->StartCall();
  return call;
}

void WatchCall::Send(v1::WatchRequest request) {
  absl::MutexLock lock(&mutex_);
  if (ended_ || queue_.size() >= kMaxQueued) return;
  queue_.push_back(std::move(request));
  if (queue_.size() == 1) StartWrite(&queue_.front());
}

void WatchCall::Cancel() { context_.TryCancel(); }

void WatchCall::OnReadInitialMetadataDone(bool ok) {
  // A stream that is refused at once also ends up here; the key tells them apart.
  if (ok && context_.GetServerInitialMetadata().count(kAcceptedKey) > 0) handlers_.accepted();
}

void WatchCall::OnReadDone(bool ok) {
  if (ok) {
    handlers_.delta(std::move(incoming_));
    incoming_.Clear();
    StartRead(&incoming_);
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(ended_, true)) return;
  }
  RemoveHold();
}

void WatchCall::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  queue_.pop_front();
  if (ok && !ended_ && !queue_.empty()) StartWrite(&queue_.front());
}

void WatchCall::OnDone(const grpc::Status& status) {
  handlers_.done(FromGrpc(status));
  std::shared_ptr<WatchCall> last = std::move(self_);
}

}  // namespace espalier::control
