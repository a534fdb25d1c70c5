// IKE_FOLLOWUP_KE: the additional key exchanges of a CREATE_CHILD_SA, RFC 9370 section 2.2.4:
//   HDR, SK {KEi(n), N(ADDITIONAL_KEY_EXCHANGE)(link n)}  -->
//                       <--  HDR, SK {KEr(n) [, N(ADDITIONAL_KEY_EXCHANGE)(link n+1)]}
// Part of the tasks that make or rekey an SA.
#ifndef ESPALIER_AGENT_IKE_TASKS_FOLLOWUP_KE_H_
#define ESPALIER_AGENT_IKE_TASKS_FOLLOWUP_KE_H_

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/wire/payloads.h"
#include "common/secret.h"

namespace espalier::ike {

class FollowupKe {
 public:
  void Begin(std::vector<uint16_t> methods) { methods_ = std::move(methods); }
  bool done() const { return secrets_.size() == methods_.size(); }
  const std::vector<Secret>& secrets() const { return secrets_; }

  // Initiator. TakeLink: of the response that told us to go on; false: there was none.
  bool TakeLink(const wire::Payloads& response);
  absl::StatusOr<wire::Payloads> BuildRequest(const crypto::RandomSource& random);
  absl::Status ProcessResponse(const wire::Payloads& in);

  // Responder. A fresh link names the state that the next request continues.
  wire::NotifyPayload NewLink(Bytes link);
  bool Awaits(ByteSpan link) const { return !link_.empty() && std::ranges::equal(link, link_); }
  absl::Status ProcessRequest(const wire::Payloads& in, const crypto::RandomSource& random);
  wire::KePayload Answer() const { return answer_; }

 private:
  std::vector<uint16_t> methods_;
  std::vector<Secret> secrets_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  Bytes link_;
  wire::KePayload answer_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_FOLLOWUP_KE_H_
