// Key Exchange payload, RFC 7296 section 3.4; "method" by RFC 9370 section 3.
#ifndef ESPALIER_AGENT_IKE_WIRE_KE_H_
#define ESPALIER_AGENT_IKE_WIRE_KE_H_

#include "absl/status/statusor.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |      Key Exchange Method      |           RESERVED            |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       Key Exchange Data                       ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct KePayload {
  uint16_t method = 0;  // types.h, namespace ke
  Bytes data;           // never empty when parsed; its size for the method is checked by crypto/key_exchange.h

  static absl::StatusOr<KePayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const KePayload&, const KePayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_KE_H_
