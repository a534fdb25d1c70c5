// Encrypted payload (SK), RFC 7296 section 3.14, and Encrypted Fragment payload (SKF), RFC 7383 section 2.5. The wire
// layer only finds them: crypto/sealed_message.h opens and seals.
#ifndef ESPALIER_AGENT_IKE_WIRE_ENCRYPTED_H_
#define ESPALIER_AGENT_IKE_WIRE_ENCRYPTED_H_

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |        Fragment Number        |        Total Fragments        |  SKF only
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                     Initialization Vector                     |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                    Encrypted IKE Payloads                     ~
// +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |               |             Padding (0-255 octets)            |
// +-+-+-+-+-+-+-+-+                               +-+-+-+-+-+-+-+-+
// |                                               |  Pad Length   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                    Integrity Checksum Data                    ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

// Where it lies in its datagram. Nothing here is authenticated.
struct EncryptedPayload {
  PayloadType type = PayloadType::kSk;           // or kSkf
  PayloadType first_inner = PayloadType::kNone;  // of the inner chain; in SKF of fragment 1 only
  uint8_t flags = 0;                             // the critical bit and RESERVED, as received
  size_t header_offset = 0;                      // of its generic header
  // Octets [0, body_offset) of the datagram are the AEAD's associated data: IKE header, clear payloads, generic header,
  // and for SKF the two numbers (RFC 5282 section 5.1, RFC 7383 section 2.5).
  size_t body_offset = 0;  // of the IV; the body (IV, ciphertext, ICV) goes to the datagram's end
  size_t body_size = 0;
  uint16_t fragment = 0;  // SKF: 1 to total; SK: 0 and 0
  uint16_t total = 0;

  friend bool operator==(const EncryptedPayload&, const EncryptedPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_ENCRYPTED_H_
