// Who gets a certificate: the decision behind Control.Enroll, without gRPC.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_ENROLLER_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_ENROLLER_H_

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/x509/chain.h"
#include "controller/ca/authority.h"
#include "controller/ca/join_tokens.h"
#include "controller/compile/compiler.h"
#include "espalier/v1/control.pb.h"

namespace espalier::distribute {

// Thread-safe.
class Enroller {
 public:
  // By a node's name; NotFound where it is no node of the mesh.
  using FindNode = std::function<absl::StatusOr<compile::MeshNode>(const std::string& name)>;

  // `authority` outlives this object.
  Enroller(ca::Authority* authority, FindNode find_node);

  // `peer` is what the channel's client certificate proved (its error, where there is none or a bad one). A join token,
  // where there is one, is the proof; else the certificate is. Errors as control.proto says.
  absl::StatusOr<v1::EnrollResponse> Enroll(const v1::EnrollRequest& request,
                                            const absl::StatusOr<x509::NodeProof>& peer, absl::Time now);

  // Enrolments by result: "issued", "renewed", or the error's code in lower case.
  std::map<std::string, uint64_t> counters() const;

 private:
  absl::StatusOr<v1::EnrollResponse> Decide(const v1::EnrollRequest& request,
                                            const absl::StatusOr<x509::NodeProof>& peer, absl::Time now);

  ca::Authority* const authority_;
  const FindNode find_node_;
  ca::JoinTokens tokens_;
  mutable absl::Mutex mutex_;
  std::map<std::string, uint64_t> counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_ENROLLER_H_
