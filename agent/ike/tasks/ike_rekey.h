// CREATE_CHILD_SA that puts an IKE SA in place of another, RFC 7296 sections 1.3.2, 2.8 and 2.18:
//   HDR, SK {SA, Ni, KEi}  -->
//                       <--  HDR, SK {SA, Nr, KEr [, N(ADDITIONAL_KEY_EXCHANGE)]}
//   [IKE_FOLLOWUP_KE, followup_ke.h]
//   HDR, SK {D(IKE)}  -->                    of the old one, by who began
//                       <--  HDR, SK {}
// Both ends at once: section 2.8.2. The lowest of the four nonces marks the exchange that loses.
#ifndef ESPALIER_AGENT_IKE_TASKS_IKE_REKEY_H_
#define ESPALIER_AGENT_IKE_TASKS_IKE_REKEY_H_

#include <memory>
#include <optional>
#include <set>

#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/followup_ke.h"
#include "agent/ike/tasks/task.h"

namespace espalier::ike {

class IkeRekeyTask : public Task {
 public:
  TaskKind kind() const override { return TaskKind::kIkeRekey; }
  wire::ExchangeType exchange() const override {
    return in_chain_ ? wire::ExchangeType::kIkeFollowupKe : wire::ExchangeType::kCreateChildSa;
  }
  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;
  void Answered(IkeSa& sa, absl::Time now) override;
  bool Awaits(ByteSpan link) const override { return followup_.Awaits(link); }
  void Abandon(IkeSa& sa, absl::Time now) override;

 private:
  // What the peer's crossing exchange has come to.
  struct Rival {
    Bytes lowest_nonce;
    uint64_t own_spi = 0;  // of the IKE SA that it made already; 0: its IKE_FOLLOWUP_KE is to come
  };

  const Bytes& lowest_nonce() const { return std::min(ni_, nr_); }
  Progress Fail(IkeSa& sa, absl::Time now, const wire::NotifyPayload& error);
  Progress CloseFor(IkeSa& sa, absl::Time now, const std::string& why);
  Progress FinishInitiator(IkeSa& sa, absl::Time now);
  // The new IKE SA, registered; our role in it is our role here.
  IkeSa* MakeSuccessor(IkeSa& sa, absl::Time now);
  // The peer's crossing exchange decides: its IKE SA, if it has made one already, is the successor.
  void YieldToRival(IkeSa& sa, absl::Time now);

  bool we_initiate_ = false;
  bool in_chain_ = false;
  uint64_t own_spi_ = 0, peer_spi_ = 0;
  Bytes ni_, nr_;
  wire::SaPayload offer_;
  wire::Proposal chosen_;
  Secret shared_;
  FollowupKe followup_;

  // initiator
  uint16_t method_ = 0;
  std::set<uint16_t> tried_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  std::optional<Rival> rival_;

  // responder
  std::optional<wire::NotifyPayload> error_;
  wire::KePayload ke_answer_;
  uint64_t made_ = 0;  // own SPI of the IKE SA that this exchange made
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_IKE_REKEY_H_
