// IKE_SA_INIT, RFC 7296 section 1.2:
//   HDR, [N(COOKIE)], SAi1, KEi, Ni, N(NAT_DETECTION_*) x 2, N(...)  -->
//                       <--  HDR, SAr1, KEr, Nr, N(NAT_DETECTION_*) x 2, N(...), CERTREQ
#ifndef ESPALIER_AGENT_IKE_TASKS_IKE_INIT_H_
#define ESPALIER_AGENT_IKE_TASKS_IKE_INIT_H_

#include <memory>
#include <set>
#include <string>

#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/tasks/task.h"
#include "agent/ike/wire/message.h"

namespace espalier::ike {

// The initiator's lives until AUTH holds: it can take another answer to the same request (IKE-024).
class IkeInitTask : public Task {
 public:
  TaskKind kind() const override { return TaskKind::kIkeInit; }
  wire::ExchangeType exchange() const override { return wire::ExchangeType::kIkeSaInit; }

  absl::StatusOr<wire::Payloads> BuildRequest(IkeSa& sa, absl::Time now) override;
  // Answers to IKE_SA_INIT are taken with Accept, for their raw octets count.
  Progress ProcessResponse(IkeSa&, absl::Time, const wire::Payloads&) override { return Progress::kDone; }
  Verdict ProcessRequest(IkeSa& sa, absl::Time now, const wire::Payloads& in) override;
  wire::Payloads BuildResponse(IkeSa& sa, absl::Time now) override;

  enum class Result {
    kAccepted,  // the IKE SA has its first keys
    kRetried,   // the request went out again, changed
    kIgnored,   // nothing can be made of it; perhaps another one comes
  };
  Result Accept(IkeSa& sa, absl::Time now, ByteSpan raw, const wire::Message& message);

  // What an unprotected error said, and whether it stood long enough to be believed.
  const std::string& refusal() const { return refusal_; }
  bool RefusedTooLong() { return !refusal_.empty() && ++repeats_refused_ > 3; }

 private:
  wire::Payloads Request(IkeSa& sa) const;

  wire::SaPayload offer_;
  Bytes nonce_, cookie_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  std::set<uint16_t> tried_;
  int cookies_ = 0;
  std::string refusal_;
  int repeats_refused_ = 0;

  // responder
  wire::Proposal chosen_;
  Bytes ke_answer_;
  std::optional<wire::NotifyPayload> error_;
  bool peer_intermediate_ = false, peer_fragmentation_ = false, peer_hashes_ = false;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_IKE_INIT_H_
