// IKE_INTERMEDIATE with an additional key exchange, RFC 9242 and RFC 9370 section 2.2.2:
//   HDR, SK {KEi(n)}  -->
//                       <--  HDR, SK {KEr(n)}
#ifndef ESPALIER_AGENT_IKE_TASKS_IKE_INTERMEDIATE_H_
#define ESPALIER_AGENT_IKE_TASKS_IKE_INTERMEDIATE_H_

#include <memory>
#include <optional>

#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/tasks/task.h"

namespace espalier::ike {

class IkeIntermediateTask : public Task {
 public:
  // `index`: into the additional methods of the IKE SA, from 0.
  explicit IkeIntermediateTask(size_t index) : index_(index) {}
  TaskKind kind() const override { return TaskKind::kIntermediate; }
  wire::ExchangeType exchange() const override { return wire::ExchangeType::kIkeIntermediate; }

  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;
  // The new keys serve from the next exchange on; this answer still has the old ones.
  void Answered(IkeSa& sa, absl::Time now) override;
  std::string why() const override { return "IKE_INTERMEDIATE without the key exchange agreed on"; }

 private:
  void UseSecret(IkeSa& sa, const Secret& secret);

  size_t index_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  std::optional<crypto::KeResponse> answer_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_IKE_INTERMEDIATE_H_
