// Identification payloads, RFC 7296 section 3.5.
#ifndef ESPALIER_AGENT_IKE_WIRE_ID_H_
#define ESPALIER_AGENT_IKE_WIRE_ID_H_

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   ID Type     |                 RESERVED                      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                   Identification Data                         ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct IdPayload {
  // The whole body as it was received or will be sent, RESERVED octets included: this is what AUTH covers
  // (RFC 7296 section 2.15; IKE-008). At least 5 octets.
  Bytes body;

  IdPayload() = default;
  IdPayload(IdType type, ByteSpan data);

  IdType type() const { return body.empty() ? IdType{0} : static_cast<IdType>(body[0]); }
  ByteSpan data() const { return body.size() < 4 ? ByteSpan() : ByteSpan(body).subspan(4); }

  static absl::StatusOr<IdPayload> Parse(ByteSpan body);  // empty identities are malformed
  void Write(Writer* out) const;
  friend bool operator==(const IdPayload&, const IdPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_ID_H_
