// One operation of the protocol, as its initiator or as its responder: one class an operation, which lives as long as
// the operation does. It builds and reads payloads; message IDs, sealing and repeats are the IKE SA's.
#ifndef ESPALIER_AGENT_IKE_TASKS_TASK_H_
#define ESPALIER_AGENT_IKE_TASKS_TASK_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/ike/wire/payloads.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike {

class IkeSa;

enum class TaskKind {
  kIkeInit,
  kIntermediate,
  kAuth,
  kChildCreate,
  kChildRekey,
  kChildDelete,
  kIkeRekey,
  kIkeDelete,
  kInform
};

// What follows from a response.
enum class Progress {
  kDone,    // the operation is over, well or not
  kMore,    // another request of the same operation follows
  kClosed,  // the IKE SA is closed (the task did it)
};

// What follows from a request, once it is answered.
enum class Verdict {
  kDone,
  kMore,   // IKE_FOLLOWUP_KE is awaited; the IKE SA keeps the task
  kClose,  // the IKE SA goes after the answer; it answers repeats for a while
  kDrop,   // no answer at all
};

class Task {
 public:
  virtual ~Task() = default;
  virtual TaskKind kind() const = 0;
  // Of the next request.
  virtual wire::ExchangeType exchange() const = 0;

  // Initiator. An error from BuildRequest: the operation has become pointless and is dropped; Unavailable: later.
  virtual absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) = 0;
  virtual Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) = 0;

  // Responder. Everything that can fail happens in ProcessRequest; BuildResponse says how it went.
  virtual Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) = 0;
  virtual wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) = 0;
  // Whether an IKE_FOLLOWUP_KE request with this link continues this operation (RFC 9370 section 2.2.4).
  virtual bool Awaits(ByteSpan /*link*/) const { return false; }
  // After Verdict::kClose: whether that is a failure, and its cause, for the log.
  virtual bool failed() const { return true; }
  virtual std::string why() const { return ""; }
  // The answer is sealed and kept.
  virtual void Answered(IkeSa& /*sa*/, absl::Time /*now*/) {}

  // The operation ends here without its end: whatever it holds is undone.
  virtual void Abandon(IkeSa& /*sa*/, absl::Time /*now*/) {}
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_TASK_H_
