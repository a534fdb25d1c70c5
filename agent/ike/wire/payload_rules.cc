#include "agent/ike/wire/payload_rules.h"

#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

absl::Status Need(const Payloads& payloads, std::initializer_list<PayloadType> types) {
  for (PayloadType t : types) {
    if (!payloads.has(t)) return MalformedError(absl::StrCat(ToString(t), " missing"));
  }
  return absl::OkStatus();
}

absl::Status CheckAuth(bool response, bool error, const Payloads& p) {
  // A failed authentication is the notify alone (IKE-041).
  if (response && error && !p.has(PayloadType::kIdR)) return absl::OkStatus();
  const absl::Status status =
      response ? Need(p, {PayloadType::kIdR, PayloadType::kAuth}) : Need(p, {PayloadType::kIdI});
  if (!status.ok() || (response && error)) return status;
  const int child = p.has(PayloadType::kSa) + p.has(PayloadType::kTsI) + p.has(PayloadType::kTsR);
  if (child != 0 && child != 3) return MalformedError("SA, TSi, TSr: neither all nor none");  // RFC 6023 section 3
  return absl::OkStatus();
}

absl::Status CheckCreateChild(const Payloads& p) {
  const absl::Status status = Need(p, {PayloadType::kSa, PayloadType::kNonce});
  if (!status.ok()) return status;
  const bool ts_i = p.has(PayloadType::kTsI), ts_r = p.has(PayloadType::kTsR);
  if (ts_i != ts_r) return MalformedError("one TS of two");
  return ts_i ? absl::OkStatus() : Need(p, {PayloadType::kKe});  // RFC 7296 section 1.3.2
}

}  // namespace

absl::Status CheckPayloads(ExchangeType exchange, bool response, const Payloads& payloads) {
  const bool error = payloads.first_error() != nullptr;
  switch (exchange) {
    case ExchangeType::kIkeSaInit:
      if (response && (error || payloads.has(NotifyType::kCookie))) return absl::OkStatus();
      return Need(payloads, {PayloadType::kSa, PayloadType::kKe, PayloadType::kNonce});
    case ExchangeType::kIkeAuth:
      return CheckAuth(response, error, payloads);
    case ExchangeType::kCreateChildSa:
      return response && error ? absl::OkStatus() : CheckCreateChild(payloads);
    case ExchangeType::kIkeFollowupKe:
      return response && error ? absl::OkStatus() : Need(payloads, {PayloadType::kKe});
    default:
      return absl::OkStatus();
  }
}

}  // namespace espalier::ike::wire
