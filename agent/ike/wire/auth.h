// Authentication payload, RFC 7296 section 3.8.
#ifndef ESPALIER_AGENT_IKE_WIRE_AUTH_H_
#define ESPALIER_AGENT_IKE_WIRE_AUTH_H_

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Auth Method   |                RESERVED                       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                      Authentication Data                      ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct AuthPayload {
  AuthMethod method = AuthMethod::kDigitalSignature;
  Bytes data;  // method 14: crypto/signature.h reads and builds it

  static absl::StatusOr<AuthPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const AuthPayload&, const AuthPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_AUTH_H_
