#include "agent/ike/tasks/followup_ke.h"

#include <utility>

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

bool FollowupKe::TakeLink(const Payloads& response) {
  const NotifyPayload* link = response.notify(NotifyType::kAdditionalKeyExchange);
  if (link == nullptr || link->data.empty()) return false;
  link_ = link->data;
  return true;
}

absl::StatusOr<Payloads> FollowupKe::BuildRequest(const crypto::RandomSource& random) {
  absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke =
      crypto::KeyExchange::Create(methods_[secrets_.size()], random);
  if (!ke.ok()) return ke.status();
  ke_ = *std::move(ke);
  ByteSpan value = ke_->public_value();
  Payloads out;
  out.Add(wire::KePayload{ke_->method(), Bytes(value.begin(), value.end())});
  out.Add(NotifyPayload(NotifyType::kAdditionalKeyExchange, link_));
  return out;
}

absl::Status FollowupKe::ProcessResponse(const Payloads& in) {
  if (in.ke() == nullptr || in.ke()->method != ke_->method()) {
    return absl::InvalidArgumentError("another key exchange method than agreed on");
  }
  absl::StatusOr<Secret> secret = ke_->Finish(in.ke()->data);
  if (!secret.ok()) return secret.status();
  secrets_.push_back(*std::move(secret));
  ke_.reset();
  // The last answer has no link, every other one has.
  if (done() == TakeLink(in)) return absl::InvalidArgumentError("link where none belongs, or none where one does");
  return absl::OkStatus();
}

NotifyPayload FollowupKe::NewLink(Bytes link) {
  link_ = std::move(link);
  return NotifyPayload(NotifyType::kAdditionalKeyExchange, link_);
}

absl::Status FollowupKe::ProcessRequest(const Payloads& in, const crypto::RandomSource& random) {
  link_.clear();
  if (done() || in.ke() == nullptr || in.ke()->method != methods_[secrets_.size()]) {
    return absl::InvalidArgumentError("another key exchange method than agreed on");
  }
  absl::StatusOr<crypto::KeResponse> ke = crypto::KeRespond(in.ke()->method, in.ke()->data, random);
  if (!ke.ok()) return ke.status();
  secrets_.push_back(std::move(ke->secret));
  answer_ = {in.ke()->method, std::move(ke->public_value)};
  return absl::OkStatus();
}

}  // namespace espalier::ike
