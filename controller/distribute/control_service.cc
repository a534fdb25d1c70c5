#include "controller/distribute/control_service.h"

#include <grpcpp/grpcpp.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/x509/certificate.h"

namespace espalier::distribute {
namespace {

constexpr char kAcceptedKey[] = "espalier-epoch";         // initial metadata of a stream that is accepted
constexpr char kLeafProperty[] = "x509_pem_cert";         // GRPC_X509_PEM_CERT_PROPERTY_NAME
constexpr char kChainProperty[] = "x509_pem_cert_chain";  // GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME

grpc::Status ToGrpc(const absl::Status& status) {
  // The codes are the same numbers by design.
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

std::optional<std::string> Property(const grpc::CallbackServerContext& context, const char* name) {
  auto auth = context.auth_context();
  if (auth == nullptr) return std::nullopt;
  std::vector<grpc::string_ref> values = auth->FindPropertyValues(name);
  if (values.empty()) return std::nullopt;
  return std::string(values[0].data(), values[0].size());
}

}  // namespace

// One agent's stream. It owns itself until gRPC has called OnDone; the distributor may hold it longer.
//
// gRPC allows one outstanding write. The distributor sends one delta at a time, but an agent's answer can arrive before
// gRPC has reported the write done: then the next delta waits in `next_`.
class WatchStream final : public grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse>, public AgentStream {
 public:
  static WatchStream* Make(ControlService* service, grpc::CallbackServerContext* context,
                           std::shared_ptr<WatchStream>* shared) {
    auto stream = std::make_shared<WatchStream>(service, context);
    stream->self_ = stream;
    *shared = stream;
    return stream.get();
  }

  WatchStream(ControlService* service, grpc::CallbackServerContext* context)
      : service_(service), context_(context), peer_(context->peer()) {}

  void Begin() { StartRead(&request_); }
  // Tells the agent that it is accepted, also where there is no delta to send. Before the first Send.
  void Accept(const std::string& epoch) {
    context_->AddInitialMetadata(kAcceptedKey, epoch);
    absl::MutexLock lock(&mutex_);
    if (!finished_) StartSendInitialMetadata();
  }
  grpc::CallbackServerContext* context() { return context_; }
  const std::string& peer() const { return peer_; }

  void Send(v1::WatchResponse delta) override {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    if (writing_) {
      next_ = std::move(delta);
      return;
    }
    Write(std::move(delta));
  }

  void Close(absl::Status why) override {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    finished_ = true;
    next_.reset();
    // An agent that does not read would keep the final status waiting behind its delta.
    if (writing_) context_->TryCancel();
    Finish(ToGrpc(why));
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Close(absl::OkStatus());
      return;
    }
    if (absl::Status status = Handle(); !status.ok()) {
      Close(std::move(status));
      return;
    }
    StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      message_.Clear();
      if (ok && !finished_ && next_) {
        Write(*std::exchange(next_, std::nullopt));
        return;
      }
    }
    if (!ok) Close(absl::CancelledError("the stream is broken"));
  }

  void OnCancel() override { Close(absl::CancelledError("the agent went away")); }

  void OnDone() override {
    service_->Forget(this);
    if (stream_id_ != 0) service_->distributor_->Disconnect(stream_id_, uid_, absl::Now());
    std::shared_ptr<WatchStream> last = std::move(self_);
  }

 private:
  void Write(v1::WatchResponse delta) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = true;
    message_ = std::move(delta);
    StartWrite(&message_);
  }

  absl::Status Handle() {
    switch (request_.message_case()) {
      case v1::WatchRequest::kHello: {
        if (stream_id_ != 0) return absl::InvalidArgumentError("Hello is the first message only");
        absl::StatusOr<uint64_t> id = service_->Hello(self_, request_.hello(), &uid_);
        if (!id.ok()) return id.status();
        stream_id_ = *id;
        return absl::OkStatus();
      }
      case v1::WatchRequest::kAck:
        if (stream_id_ == 0) break;
        service_->distributor_->OnAnswer(stream_id_, uid_, request_.ack(), absl::Now());
        return absl::OkStatus();
      case v1::WatchRequest::kStatus:
        if (stream_id_ == 0) break;
        service_->distributor_->OnStatus(stream_id_, uid_, request_.status());
        return absl::OkStatus();
      case v1::WatchRequest::MESSAGE_NOT_SET:
        return absl::OkStatus();  // of a later version
    }
    return absl::InvalidArgumentError("the first message is a Hello");
  }

  ControlService* const service_;
  grpc::CallbackServerContext* const context_;
  const std::string peer_;
  std::shared_ptr<WatchStream> self_;
  // Of the read side: gRPC calls OnReadDone one at a time, and OnDone after the last.
  v1::WatchRequest request_;
  uint64_t stream_id_ = 0;
  std::string uid_;

  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  v1::WatchResponse message_ ABSL_GUARDED_BY(mutex_);  // the one under way
  std::optional<v1::WatchResponse> next_ ABSL_GUARDED_BY(mutex_);
};

ControlService::ControlService(ca::Authority* authority, Distributor* distributor, Enroller* enroller)
    : authority_(authority), distributor_(distributor), enroller_(enroller) {}

ControlService::~ControlService() = default;

absl::StatusOr<x509::NodeProof> ControlService::Authenticate(const grpc::CallbackServerContext& context,
                                                             absl::Time now) const {
  std::optional<std::string> leaf = Property(context, kLeafProperty);
  if (!leaf) return absl::UnauthenticatedError("no client certificate");
  absl::StatusOr<std::vector<x509::Certificate>> certificates = x509::Certificate::FromPem(*leaf);
  if (!certificates.ok()) return absl::UnauthenticatedError(certificates.status().message());
  std::vector<Bytes> chain = {certificates->front().ToDer()};
  if (std::optional<std::string> others = Property(context, kChainProperty)) {
    absl::StatusOr<std::vector<x509::Certificate>> more = x509::Certificate::FromPem(*others);
    if (more.ok()) {
      for (const x509::Certificate& c : *more) {
        if (Bytes der = c.ToDer(); der != chain[0]) chain.push_back(std::move(der));
      }
    }
  }
  return x509::ValidateNodeChain(*authority_->trust(), authority_->options().trust_domain, chain, now);
}

grpc::ServerUnaryReactor* ControlService::Enroll(grpc::CallbackServerContext* context, const v1::EnrollRequest* request,
                                                 v1::EnrollResponse* response) {
  const absl::Time now = absl::Now();
  absl::StatusOr<v1::EnrollResponse> issued = enroller_->Enroll(*request, Authenticate(*context, now), now);
  if (issued.ok()) {
    *response = *std::move(issued);
  } else {
    NoteRefusal(issued.status(), context->peer(), "enrolment refused");
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(issued.status()));
  return reactor;
}

grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse>* ControlService::Watch(
    grpc::CallbackServerContext* context) {
  std::shared_ptr<WatchStream> stream;
  WatchStream* reactor = WatchStream::Make(this, context, &stream);
  if (!Property(*context, kLeafProperty)) {
    absl::Status why = absl::UnauthenticatedError("Watch needs a client certificate");
    NoteRefusal(why, context->peer(), "stream refused");
    stream->Close(why);
    return reactor;
  }
  {
    absl::MutexLock lock(&mutex_);
    silent_[reactor] = {stream, absl::Now()};
  }
  stream->Begin();
  return reactor;
}

absl::StatusOr<uint64_t> ControlService::Hello(const std::shared_ptr<WatchStream>& stream,
                                               const v1::WatchRequest::Hello& hello, std::string* uid) {
  Forget(stream.get());
  const absl::Time now = absl::Now();
  absl::Status why;
  absl::StatusOr<x509::NodeProof> proof = Authenticate(*stream->context(), now);
  if (!proof.ok()) {
    why = proof.status();
  } else if (absl::StatusOr<compile::MeshNode> node = distributor_->FindByUid(proof->uid); !node.ok()) {
    why = absl::PermissionDeniedError("the certificate's node is not in the mesh");
  } else if (node->name != hello.node_name()) {
    why = absl::PermissionDeniedError("the certificate is another node's");
  }
  if (why.ok()) {
    *uid = proof->uid;
    stream->Accept(distributor_->epoch());
    absl::StatusOr<uint64_t> id = distributor_->Connect(*proof, stream->peer(), hello, stream, now);
    if (id.ok()) return id;
    why = absl::PermissionDeniedError("the certificate's node is not in the mesh");
  }
  NoteRefusal(why, stream->peer(), "stream refused");
  return why;
}

void ControlService::Forget(WatchStream* stream) {
  absl::MutexLock lock(&mutex_);
  silent_.erase(stream);
}

void ControlService::Sweep(absl::Time now) {
  std::vector<std::shared_ptr<WatchStream>> late;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, silent] : silent_) {
      if (now < silent.since + kHelloTimeout) continue;
      if (std::shared_ptr<WatchStream> stream = silent.stream.lock()) late.push_back(std::move(stream));
    }
  }
  for (const std::shared_ptr<WatchStream>& stream : late)
    stream->Close(absl::DeadlineExceededError("no Hello in time"));
}

void ControlService::NoteRefusal(const absl::Status& why, absl::string_view peer, absl::string_view what) {
  {
    absl::MutexLock lock(&mutex_);
    ++refused_[absl::AsciiStrToLower(absl::StatusCodeToString(why.code()))];
  }
  // By address without its port: one line for an agent that keeps trying.
  absl::string_view address = peer.substr(0, peer.rfind(':'));
  if (auto skipped = log_.Admit(absl::StrCat(what, address, why.message()), absl::Now())) {
    LOG(WARNING) << what << " peer=" << address << " cause=\"" << why.message()
                 << "\" skipped=" << absl::StrCat(*skipped);
  }
}

std::map<std::string, uint64_t> ControlService::refused() const {
  absl::MutexLock lock(&mutex_);
  return refused_;
}

}  // namespace espalier::distribute
