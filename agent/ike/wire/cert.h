// Certificate payload, RFC 7296 section 3.6.
#ifndef ESPALIER_AGENT_IKE_WIRE_CERT_H_
#define ESPALIER_AGENT_IKE_WIRE_CERT_H_

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Cert Encoding |                                               |
// +-+-+-+-+-+-+-+-+                                               |
// ~                       Certificate Data                        ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct CertPayload {
  CertEncoding encoding = CertEncoding::kX509Signature;  // unknown ones are skipped by the reader (IKE-016)
  Bytes data;                                            // DER

  static absl::StatusOr<CertPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const CertPayload&, const CertPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_CERT_H_
