// INFORMATIONAL, RFC 7296 sections 1.4 and 1.4.1: liveness, notifications, Delete of Child SAs and of the IKE SA.
//   HDR, SK {[N,] [D(ESP, SPIs),] [D(IKE)]}  -->
//                       <--  HDR, SK {[D(ESP, SPIs)]}
#ifndef ESPALIER_AGENT_IKE_TASKS_INFORM_H_
#define ESPALIER_AGENT_IKE_TASKS_INFORM_H_

#include <optional>
#include <string>
#include <vector>

#include "agent/ike/host.h"
#include "agent/ike/tasks/task.h"

namespace espalier::ike {

// As the initiator: a notification, or nothing at all, which is a liveness check. As the responder: whatever comes.
class InformTask : public Task {
 public:
  InformTask() = default;
  explicit InformTask(wire::NotifyPayload notify) : notify_(std::move(notify)) {}
  TaskKind kind() const override { return TaskKind::kInform; }
  wire::ExchangeType exchange() const override { return wire::ExchangeType::kInformational; }

  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;
  bool failed() const override { return failed_; }
  std::string why() const override { return why_; }

 private:
  void ProcessDelete(IkeSa& sa, absl::Time now, uint32_t spi_out);
  void ProcessInvalidSpi(IkeSa& sa, absl::Time now, const wire::NotifyPayload& notify);

  std::optional<wire::NotifyPayload> notify_;
  std::vector<uint32_t> deleted_;  // our halves of what the peer deleted
  bool failed_ = false;
  std::string why_;
};

// Deletes Child SAs. Nothing is sent on them from the moment the Delete goes out; what is on the way to us is still
// taken some seconds after the answer (IKE-061).
class ChildDeleteTask : public InformTask {
 public:
  explicit ChildDeleteTask(std::vector<ChildId> children) : children_(std::move(children)) {}
  TaskKind kind() const override { return TaskKind::kChildDelete; }
  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  // Whether the child whose other half this is is one of them (COL-06).
  bool Deletes(uint32_t spi_out) const;

 private:
  std::vector<ChildId> children_;
};

// Deletes the IKE SA: its last request.
class IkeDeleteTask : public InformTask {
 public:
  TaskKind kind() const override { return TaskKind::kIkeDelete; }
  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_INFORM_H_
