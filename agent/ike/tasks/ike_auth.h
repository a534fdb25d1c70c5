// IKE_AUTH with certificates, RFC 7296 sections 1.2 and 2.15, RFC 7427; with the first Child SA:
//   HDR, SK {IDi, CERT+, [N(INITIAL_CONTACT),] CERTREQ, IDr, AUTH, SAi2, TSi, TSr, V}  -->
//                       <--  HDR, SK {IDr, CERT+, [N(INITIAL_CONTACT),] AUTH, SAr2, TSi, TSr, V}
#ifndef ESPALIER_AGENT_IKE_TASKS_IKE_AUTH_H_
#define ESPALIER_AGENT_IKE_TASKS_IKE_AUTH_H_

#include <optional>

#include "agent/ike/auth/authenticator.h"
#include "agent/ike/sa/traffic_selectors.h"
#include "agent/ike/tasks/task.h"

namespace espalier::ike {

struct ChildSa;

class IkeAuthTask : public Task {
 public:
  TaskKind kind() const override { return TaskKind::kAuth; }
  wire::ExchangeType exchange() const override { return wire::ExchangeType::kIkeAuth; }

  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;
  void Answered(IkeSa& sa, absl::Time now) override;
  void Abandon(IkeSa& sa, absl::Time now) override;
  std::string why() const override { return why_; }

 private:
  // The Child SA's part of either end. The responder's returns the notify that refuses it.
  std::optional<wire::NotifyPayload> AnswerChild(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  void FinishChild(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  void AddBootId(IkeSa& sa, wire::Payloads* out) const;

  uint32_t spi_in_ = 0;  // reserved
  wire::SaPayload offer_;
  TrafficSelectors ts_offered_;

  // responder
  bool authenticated_ = false;
  bool childless_ = false;
  bool initial_contact_ = false;
  std::optional<LocalProof> own_;
  std::optional<wire::NotifyPayload> child_error_;
  wire::Proposal chosen_;
  TrafficSelectors ts_i_, ts_r_;
  std::string why_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_IKE_AUTH_H_
