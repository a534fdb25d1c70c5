// Nonce payload, RFC 7296 section 3.9: the body is the nonce.
#ifndef ESPALIER_AGENT_IKE_WIRE_NONCE_H_
#define ESPALIER_AGENT_IKE_WIRE_NONCE_H_

#include "absl/status/statusor.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

inline constexpr size_t kNonceMin = 16;  // RFC 7296 section 3.9
inline constexpr size_t kNonceMax = 256;
inline constexpr size_t kNonceSent = 32;  // ours: half the key of HMAC-SHA2-512 (RFC 7296 section 2.10)

struct NoncePayload {
  Bytes data;

  static absl::StatusOr<NoncePayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const NoncePayload&, const NoncePayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_NONCE_H_
