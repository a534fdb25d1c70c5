// CREATE_CHILD_SA that puts a Child SA in place of another, RFC 7296 sections 1.3.3 and 2.8:
//   HDR, SK {N(REKEY_SA), SA, Ni, KEi, TSi, TSr}  -->
//                       <--  HDR, SK {SA, Nr, KEr, TSi, TSr [, N(ADDITIONAL_KEY_EXCHANGE)]}
// Both ends at once: section 2.8.1. The lowest of the four nonces marks the exchange that loses.
#ifndef ESPALIER_AGENT_IKE_TASKS_CHILD_REKEY_H_
#define ESPALIER_AGENT_IKE_TASKS_CHILD_REKEY_H_

#include <optional>

#include "agent/ike/tasks/child_create.h"

namespace espalier::ike {

class ChildRekeyTask : public ChildCreateTask {
 public:
  ChildRekeyTask() = default;  // responder
  explicit ChildRekeyTask(ChildId old) : old_(old) {}
  TaskKind kind() const override { return TaskKind::kChildRekey; }
  void Abandon(IkeSa& sa, absl::Time now) override;

  const ChildId& old() const { return old_; }

 protected:
  absl::Status Prepare(IkeSa& sa, absl::Time now) override;
  std::optional<wire::NotifyPayload> FirstPayload() const override;
  TrafficSelectors OfferedLocal(IkeSa& sa) const override;
  TrafficSelectors OfferedRemote(IkeSa& sa) const override;
  bool Lost(IkeSa& sa, absl::Time now) override;
  void Refused(IkeSa& sa, absl::Time now, wire::NotifyType error) override;
  void Made(IkeSa& sa, absl::Time now, ChildSa* child) override;
  std::optional<wire::NotifyPayload> Admit(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  void Accepted(IkeSa& sa) override;
  ChildSa* Predecessor(IkeSa& sa) const override;

 private:
  // Of the exchange by which the peer rekeys the same child, and which we have answered.
  std::optional<Bytes> rival_nonce_;
  ChildId old_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_CHILD_REKEY_H_
