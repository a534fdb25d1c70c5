#include "agent/ike/wire/payloads.h"

#include <set>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/wire/chain.h"
#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

// At most one in a message (IKE-007).
bool IsSingle(PayloadType type) {
  switch (type) {
    case PayloadType::kSa:
    case PayloadType::kKe:
    case PayloadType::kIdI:
    case PayloadType::kIdR:
    case PayloadType::kAuth:
    case PayloadType::kNonce:
    case PayloadType::kTsI:
    case PayloadType::kTsR:
      return true;
    default:
      return false;
  }
}

template <typename T>
absl::StatusOr<PayloadBody> ParseAs(ByteSpan body) {
  absl::StatusOr<T> parsed = T::Parse(body);
  if (!parsed.ok()) return parsed.status();
  return PayloadBody(*std::move(parsed));
}

absl::StatusOr<PayloadBody> ParseBody(PayloadType type, ByteSpan body) {
  switch (type) {
    case PayloadType::kSa:
      return ParseAs<SaPayload>(body);
    case PayloadType::kKe:
      return ParseAs<KePayload>(body);
    case PayloadType::kIdI:
    case PayloadType::kIdR:
      return ParseAs<IdPayload>(body);
    case PayloadType::kCert:
      return ParseAs<CertPayload>(body);
    case PayloadType::kCertReq:
      return ParseAs<CertReqPayload>(body);
    case PayloadType::kAuth:
      return ParseAs<AuthPayload>(body);
    case PayloadType::kNonce:
      return ParseAs<NoncePayload>(body);
    case PayloadType::kNotify:
      return ParseAs<NotifyPayload>(body);
    case PayloadType::kDelete:
      return ParseAs<DeletePayload>(body);
    case PayloadType::kTsI:
    case PayloadType::kTsR:
      return ParseAs<TsPayload>(body);
    default:
      return PayloadBody(OpaquePayload{Bytes(body.begin(), body.end())});
  }
}

// The alternative of PayloadBody in which a type is held.
bool BodyFits(PayloadType type, const PayloadBody& body) {
  switch (type) {
    case PayloadType::kSa:
      return std::holds_alternative<SaPayload>(body);
    case PayloadType::kKe:
      return std::holds_alternative<KePayload>(body);
    case PayloadType::kIdI:
    case PayloadType::kIdR:
      return std::holds_alternative<IdPayload>(body);
    case PayloadType::kCert:
      return std::holds_alternative<CertPayload>(body);
    case PayloadType::kCertReq:
      return std::holds_alternative<CertReqPayload>(body);
    case PayloadType::kAuth:
      return std::holds_alternative<AuthPayload>(body);
    case PayloadType::kNonce:
      return std::holds_alternative<NoncePayload>(body);
    case PayloadType::kNotify:
      return std::holds_alternative<NotifyPayload>(body);
    case PayloadType::kDelete:
      return std::holds_alternative<DeletePayload>(body);
    case PayloadType::kTsI:
    case PayloadType::kTsR:
      return std::holds_alternative<TsPayload>(body);
    default:
      return type != PayloadType::kNone && std::holds_alternative<OpaquePayload>(body);
  }
}

// Whether the counts of a payload fit their one- and two-octet fields.
bool CountsFit(const PayloadBody& body) {
  if (const auto* sa = std::get_if<SaPayload>(&body)) {
    for (const Proposal& p : sa->proposals) {
      if (p.transforms.size() > 255 || p.spi.size() > 255) return false;
    }
    return !sa->proposals.empty();
  }
  if (const auto* ts = std::get_if<TsPayload>(&body)) return ts->selectors.size() <= 255;
  if (const auto* n = std::get_if<NotifyPayload>(&body)) return n->spi.size() <= 255;
  return true;
}

struct WriteBody {
  Writer* out;
  void operator()(const OpaquePayload& v) const { out->Raw(v.body); }
  template <typename T>
  void operator()(const T& v) const {
    v.Write(out);
  }
};

}  // namespace

void Payloads::Add(PayloadType type, PayloadBody body) {
  CHECK(BodyFits(type, body)) << ToString(type);
  list_.push_back({type, std::move(body)});
}

const NotifyPayload* Payloads::notify(NotifyType type) const {
  for (const Payload& p : list_) {
    const auto* n = std::get_if<NotifyPayload>(&p.body);
    if (n != nullptr && n->type == type) return n;
  }
  return nullptr;
}

const NotifyPayload* Payloads::first_error() const {
  for (const Payload& p : list_) {
    const auto* n = std::get_if<NotifyPayload>(&p.body);
    if (n != nullptr && n->is_error()) return n;
  }
  return nullptr;
}

bool Payloads::has(PayloadType type) const {
  for (const Payload& p : list_) {
    if (p.type == type) return true;
  }
  return false;
}

std::vector<const NotifyPayload*> Payloads::notifies(NotifyType type) const {
  std::vector<const NotifyPayload*> out;
  for (const NotifyPayload* n : notifies()) {
    if (n->type == type) out.push_back(n);
  }
  return out;
}

absl::StatusOr<Payloads> ParsePayloads(PayloadType first, ByteSpan chain) {
  Payloads out;
  std::set<PayloadType> seen;
  const absl::Status status = WalkChain(first, chain, [&](const RawPayload& p) -> absl::Status {
    if (p.type == PayloadType::kSk || p.type == PayloadType::kSkf) return MalformedError("encrypted payload inside");
    if (!IsKnown(p.type) && p.critical()) return CriticalError(p.type);
    if (IsSingle(p.type) && !seen.insert(p.type).second) {
      return MalformedError(absl::StrCat(ToString(p.type), " doubled"));
    }
    absl::StatusOr<PayloadBody> body = ParseBody(p.type, p.body);
    if (!body.ok()) return body.status();
    out.Add(p.type, *std::move(body));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return out;
}

absl::StatusOr<Bytes> WritePayloads(const Payloads& payloads) {
  Bytes out;
  Writer w(&out);
  const std::vector<Payload>& list = payloads.list();
  for (size_t i = 0; i < list.size(); ++i) {
    const size_t start = out.size();
    if (!CountsFit(list[i].body)) return absl::InvalidArgumentError("payload with too many parts");
    w.U8(static_cast<uint8_t>(i + 1 < list.size() ? list[i + 1].type : PayloadType::kNone));
    w.U8(0);  // the critical bit is never set (IKE-006)
    w.U16(0);
    std::visit(WriteBody{&w}, list[i].body);
    const size_t length = out.size() - start;
    if (length > 0xffff) return absl::InvalidArgumentError(absl::StrCat(ToString(list[i].type), " too long"));
    w.PatchU16(start + 2, static_cast<uint16_t>(length));
  }
  return out;
}

}  // namespace espalier::ike::wire
