#include "agent/ike/wire/nonce.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

absl::StatusOr<NoncePayload> NoncePayload::Parse(ByteSpan body) {
  if (body.size() < kNonceMin || body.size() > kNonceMax) return MalformedError("nonce length");
  NoncePayload out;
  out.data.assign(body.begin(), body.end());
  return out;
}

void NoncePayload::Write(Writer* out) const { out->Raw(data); }

}  // namespace espalier::ike::wire
