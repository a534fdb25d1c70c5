#include "agent/ike/tasks/ike_intermediate.h"

#include <utility>

#include "agent/ike/crypto/key_material.h"
#include "agent/ike/sa/ike_sa.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

absl::StatusOr<Payloads> IkeIntermediateTask::BuildRequest(IkeSa& sa, absl::Time /*now*/) {
  if (index_ >= sa.init().additional.size()) return absl::FailedPreconditionError("no further key exchange");
  absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke =
      crypto::KeyExchange::Create(sa.init().additional[index_], sa.shared().random);
  if (!ke.ok()) return ke.status();
  ke_ = *std::move(ke);
  ByteSpan value = ke_->public_value();
  Payloads out;
  out.Add(wire::KePayload{ke_->method(), Bytes(value.begin(), value.end())});
  return out;
}

Progress IkeIntermediateTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& in) {
  if (const NotifyPayload* error = in.first_error(); error != nullptr) {
    sa.FailAuthentication(now, "the peer answered IKE_INTERMEDIATE with " + wire::ToString(error->type), false);
    return Progress::kClosed;
  }
  if (in.ke() == nullptr || in.ke()->method != ke_->method()) {
    sa.FailAuthentication(now, why(), true);
    return Progress::kClosed;
  }
  // A wrong length makes no SA (draft-ietf-ipsecme-ikev2-mlkem section 2.2); a wrong value shows as a bad ICV later.
  absl::StatusOr<Secret> secret = ke_->Finish(in.ke()->data);
  if (!secret.ok()) {
    sa.FailAuthentication(now, "bad key exchange data", true);
    return Progress::kClosed;
  }
  UseSecret(sa, *secret);
  return Progress::kDone;
}

Verdict IkeIntermediateTask::ProcessRequest(IkeSa& sa, absl::Time /*now*/, const Payloads& in) {
  if (index_ >= sa.init().additional.size() || in.ke() == nullptr || in.ke()->method != sa.init().additional[index_]) {
    return Verdict::kClose;
  }
  absl::StatusOr<crypto::KeResponse> answer = crypto::KeRespond(in.ke()->method, in.ke()->data, sa.shared().random);
  if (!answer.ok()) return Verdict::kClose;
  answer_ = *std::move(answer);
  return Verdict::kDone;
}

Payloads IkeIntermediateTask::BuildResponse(IkeSa& sa, absl::Time /*now*/) {
  Payloads out;
  if (answer_.has_value()) {
    out.Add(wire::KePayload{sa.init().additional[index_], answer_->public_value});
  } else {
    out.Add(NotifyPayload(NotifyType::kInvalidSyntax));
  }
  return out;
}

void IkeIntermediateTask::Answered(IkeSa& sa, absl::Time /*now*/) {
  if (answer_.has_value()) UseSecret(sa, answer_->secret);
}

void IkeIntermediateTask::UseSecret(IkeSa& sa, const Secret& secret) {
  const InitRecord& init = sa.init();
  const crypto::IkeSuite& suite = sa.suite();
  Secret skeyseed = crypto::AdditionalSkeyseed(suite.prf, sa.keys().d, secret, init.ni, init.nr);
  sa.NextKeys(crypto::DeriveIkeKeys(suite.prf, suite.aead, skeyseed, init.ni, init.nr, sa.spi_i(), sa.spi_r()));
}

}  // namespace espalier::ike
