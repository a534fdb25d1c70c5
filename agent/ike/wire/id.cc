#include "agent/ike/wire/id.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

IdPayload::IdPayload(IdType type, ByteSpan data) {
  body.reserve(4 + data.size());
  body.assign({static_cast<uint8_t>(type), 0, 0, 0});
  body.insert(body.end(), data.begin(), data.end());
}

absl::StatusOr<IdPayload> IdPayload::Parse(ByteSpan body) {
  if (body.size() < 5) return MalformedError("ID empty");
  IdPayload out;
  out.body.assign(body.begin(), body.end());
  return out;
}

void IdPayload::Write(Writer* out) const { out->Raw(body); }

}  // namespace espalier::ike::wire
