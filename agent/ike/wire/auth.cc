#include "agent/ike/wire/auth.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

absl::StatusOr<AuthPayload> AuthPayload::Parse(ByteSpan body) {
  if (body.size() < 4) return MalformedError("AUTH too short");
  AuthPayload out;
  out.method = static_cast<AuthMethod>(body[0]);
  out.data.assign(body.begin() + 4, body.end());
  return out;
}

void AuthPayload::Write(Writer* out) const {
  out->U8(static_cast<uint8_t>(method));
  out->U8(0);
  out->U16(0);
  out->Raw(data);
}

}  // namespace espalier::ike::wire
