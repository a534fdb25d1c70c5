// Control (proto/espalier/v1/control.proto) on gRPC's callback API: no thread waits for an agent.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVICE_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVICE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/telemetry/cause_limiter.h"
#include "common/x509/chain.h"
#include "controller/ca/authority.h"
#include "controller/distribute/distributor.h"
#include "controller/distribute/enroller.h"
#include "espalier/v1/control.grpc.pb.h"

namespace espalier::distribute {

class WatchStream;

// Thread-safe. What it is made with outlives it, and it outlives the server.
class ControlService : public v1::Control::CallbackService {
 public:
  // An agent that has opened a stream says Hello within this.
  static constexpr absl::Duration kHelloTimeout = absl::Seconds(10);

  ControlService(ca::Authority* authority, Distributor* distributor, Enroller* enroller);
  ~ControlService() override;

  grpc::ServerUnaryReactor* Enroll(grpc::CallbackServerContext* context, const v1::EnrollRequest* request,
                                   v1::EnrollResponse* response) override;
  grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse>* Watch(grpc::CallbackServerContext* context) override;

  // Closes streams without a Hello.
  void Sweep(absl::Time now);
  // Streams refused, by the error's code in lower case.
  std::map<std::string, uint64_t> refused() const;

 private:
  friend class WatchStream;

  // What the channel's client certificate proves.
  absl::StatusOr<x509::NodeProof> Authenticate(const grpc::CallbackServerContext& context, absl::Time now) const;
  // The first message of a stream.
  absl::StatusOr<uint64_t> Hello(const std::shared_ptr<WatchStream>& stream, const v1::WatchRequest::Hello& hello,
                                 std::string* uid);
  void Forget(WatchStream* stream);
  void NoteRefusal(const absl::Status& why, absl::string_view peer, absl::string_view what);

  ca::Authority* const authority_;
  Distributor* const distributor_;
  Enroller* const enroller_;
  telemetry::CauseLimiter log_{absl::Minutes(10)};

  struct Silent {
    std::weak_ptr<WatchStream> stream;
    absl::Time since;
  };
  mutable absl::Mutex mutex_;
  std::map<WatchStream*, Silent> silent_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> refused_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVICE_H_
