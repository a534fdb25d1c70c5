#include "agent/ike/wire/cert.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

absl::StatusOr<CertPayload> CertPayload::Parse(ByteSpan body) {
  if (body.size() < 2) return MalformedError("CERT empty");
  CertPayload out;
  out.encoding = static_cast<CertEncoding>(body[0]);
  out.data.assign(body.begin() + 1, body.end());
  return out;
}

void CertPayload::Write(Writer* out) const {
  out->U8(static_cast<uint8_t>(encoding));
  out->Raw(data);
}

}  // namespace espalier::ike::wire
