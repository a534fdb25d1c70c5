// CREATE_CHILD_SA for a new Child SA, RFC 7296 section 1.3.1, with additional key exchanges by RFC 9370:
//   HDR, SK {SA, Ni, KEi, TSi, TSr}  -->
//                       <--  HDR, SK {SA, Nr, KEr, TSi, TSr [, N(ADDITIONAL_KEY_EXCHANGE)]}
//   [IKE_FOLLOWUP_KE, followup_ke.h]
#ifndef ESPALIER_AGENT_IKE_TASKS_CHILD_CREATE_H_
#define ESPALIER_AGENT_IKE_TASKS_CHILD_CREATE_H_

#include <memory>
#include <optional>
#include <set>

#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/child_setup.h"
#include "agent/ike/tasks/followup_ke.h"
#include "agent/ike/tasks/task.h"

namespace espalier::ike {

class ChildCreateTask : public Task {
 public:
  TaskKind kind() const override { return TaskKind::kChildCreate; }
  wire::ExchangeType exchange() const override {
    return in_chain_ ? wire::ExchangeType::kIkeFollowupKe : wire::ExchangeType::kCreateChildSa;
  }
  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  Progress ProcessResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;
  bool Awaits(ByteSpan link) const override { return followup_.Awaits(link); }
  void Abandon(IkeSa& sa, absl::Time now) override;

  // The peer deleted a child with this SPI that we don't know: perhaps the one that is being made (COL-03).
  void Doom(uint32_t spi_out) {
    if (doomed_.size() < 8) doomed_.insert(spi_out);
  }

 protected:
  // What a rekey adds. Initiator: whether it is still wanted, the first payload, the selectors.
  virtual absl::Status Prepare(IkeSa& /*sa*/, absl::Time /*now*/) { return absl::OkStatus(); }
  virtual std::optional<wire::NotifyPayload> FirstPayload() const { return std::nullopt; }
  virtual TrafficSelectors OfferedLocal(IkeSa& /*sa*/) const { return AllTraffic(); }
  virtual TrafficSelectors OfferedRemote(IkeSa& /*sa*/) const { return AllTraffic(); }
  // Initiator: after CREATE_CHILD_SA succeeded; true: the peer's crossing exchange wins.
  virtual bool Lost(IkeSa& /*sa*/, absl::Time /*now*/) { return false; }
  virtual void Refused(IkeSa& sa, absl::Time now, wire::NotifyType error);
  virtual void Made(IkeSa& sa, absl::Time now, ChildSa* child) { UseChild(sa, now, child); }
  // Responder: a reason to refuse the request.
  virtual std::optional<wire::NotifyPayload> Admit(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  virtual void Accepted(IkeSa& /*sa*/) {}
  // The child that is replaced, if it is still there.
  virtual ChildSa* Predecessor(IkeSa& /*sa*/) const { return nullptr; }

  const Bytes& lowest_nonce() const { return std::min(ni_, nr_); }
  // Our CREATE_CHILD_SA was answered and its IKE_FOLLOWUP_KE run.
  bool in_chain() const { return in_chain_; }

 private:
  Progress ProcessFirstResponse(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  Progress Fail(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  Progress FinishInitiator(IkeSa& sa, absl::Time now);
  Verdict ProcessFirstRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in);
  Verdict FinishResponder(IkeSa& sa, absl::Time now);
  // The answer made no sense: what the peer has of it is deleted (IKE-059).
  Progress Senseless(IkeSa& sa, absl::Time now, bool peer_is_done);
  void DeletePeersHalf(IkeSa& sa, absl::Time now, bool peer_is_done);
  void Release(IkeSa& sa);

  bool in_chain_ = false;
  bool we_initiate_ = false;
  Bytes ni_, nr_;
  Secret shared_;
  FollowupKe followup_;
  ChildAgreement agreement_;
  uint32_t reserved_spi_ = 0;

  // initiator
  wire::SaPayload offer_;
  TrafficSelectors ts_local_, ts_remote_;
  uint16_t method_ = 0;
  std::set<uint16_t> tried_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  std::set<uint32_t> doomed_;

  // responder
  std::optional<wire::NotifyPayload> error_;
  std::optional<wire::KePayload> ke_answer_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_CHILD_CREATE_H_
