#include "agent/ike/wire/chain.h"

#include "agent/ike/wire/error.h"
#include "agent/ike/wire/payloads.h"

namespace espalier::ike::wire {

bool IsKnown(PayloadType type) {
  return (type >= PayloadType::kSa && type <= PayloadType::kEap) || type == PayloadType::kSkf;
}

absl::Status WalkChain(PayloadType first, ByteSpan chain, absl::FunctionRef<absl::Status(const RawPayload&)> visit) {
  Reader r(chain);
  PayloadType type = first;
  size_t count = 0;
  while (type != PayloadType::kNone) {
    RawPayload p;
    p.type = type;
    p.offset = r.position();
    uint8_t next = 0;
    uint16_t length = 0;
    r.U8(&next);
    r.U8(&p.flags);
    r.U16(&length);
    if (!r.ok() || length < kGenericHeaderSize || !r.Take(length - kGenericHeaderSize, &p.body)) {
      return MalformedError("payload length");
    }
    if (++count > kMaxPayloads) return MalformedError("too many payloads");
    p.next = static_cast<PayloadType>(next);
    const absl::Status status = visit(p);
    if (!status.ok()) return status;
    const bool encrypted = type == PayloadType::kSk || type == PayloadType::kSkf;
    type = encrypted ? PayloadType::kNone : p.next;
  }
  return r.AtEnd() ? absl::OkStatus() : MalformedError("octets after the last payload");
}

}  // namespace espalier::ike::wire
