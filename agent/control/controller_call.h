// The two calls to a controller, on gRPC's callback API.
#ifndef ESPALIER_AGENT_CONTROL_CONTROLLER_CALL_H_
#define ESPALIER_AGENT_CONTROL_CONTROLLER_CALL_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/control/identity_store.h"
#include "espalier/v1/control.grpc.pb.h"

namespace espalier::control {

// A channel to one controller. Its certificate must be under `bundle_pem` and bear the controller's DNS name; a node's
// certificate bears none. `identity` may be null (enrolment by token).
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint, const std::string& bundle_pem,
                                           const Identity* identity);

absl::Status FromGrpc(const grpc::Status& status);

// One Enroll. Destroying it cancels; `done` is called exactly once, from gRPC's thread.
class EnrollCall {
 public:
  using Done = std::function<void(absl::Status, v1::EnrollResponse)>;
  EnrollCall(std::shared_ptr<grpc::Channel> channel, v1::EnrollRequest request, absl::Duration timeout, Done done);
  ~EnrollCall();
  EnrollCall(const EnrollCall&) = delete;
  EnrollCall& operator=(const EnrollCall&) = delete;
  void Cancel();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

// One Watch stream. Thread-safe. It keeps itself until gRPC is done with it.
class WatchCall : public grpc::ClientBidiReactor<v1::WatchRequest, v1::WatchResponse>,
                  public std::enable_shared_from_this<WatchCall> {
 public:
  // Called from gRPC's threads: accepted at most once and before the first delta; done once, as the last.
  struct Handlers {
    std::function<void()> accepted;
    std::function<void(v1::WatchResponse)> delta;
    std::function<void(absl::Status)> done;
  };
  static std::shared_ptr<WatchCall> Start(std::shared_ptr<grpc::Channel> channel, v1::WatchRequest hello,
                                          Handlers handlers);

  // Queued behind what is being written; dropped where the stream has ended.
  void Send(v1::WatchRequest request);
  void Cancel();

  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  explicit WatchCall(std::shared_ptr<grpc::Channel> channel, Handlers handlers);

 private:
  static constexpr size_t kMaxQueued = 64;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Control::Stub> stub_;
  const Handlers handlers_;
  grpc::ClientContext context_;
  std::shared_ptr<WatchCall> self_;
  v1::WatchResponse incoming_;

  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::WatchRequest> queue_ ABSL_GUARDED_BY(mutex_);  // the first is being written
};

}  // namespace espalier::control

#endif  // ESPALIER_AGENT_CONTROL_CONTROLLER_CALL_H_
