#include "agent/ike/wire/ke.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

absl::StatusOr<KePayload> KePayload::Parse(ByteSpan body) {
  KePayload out;
  Reader r(body);
  r.U16(&out.method);
  r.Skip(2);
  const ByteSpan data = r.Rest();
  if (!r.ok() || data.empty()) return MalformedError("KE too short");
  out.data.assign(data.begin(), data.end());
  return out;
}

void KePayload::Write(Writer* out) const {
  out->U16(method);
  out->U16(0);
  out->Raw(data);
}

}  // namespace espalier::ike::wire
