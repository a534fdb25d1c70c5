// Certificate Request payload, RFC 7296 section 3.7.
#ifndef ESPALIER_AGENT_IKE_WIRE_CERTREQ_H_
#define ESPALIER_AGENT_IKE_WIRE_CERTREQ_H_

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Cert Encoding |                                               |
// +-+-+-+-+-+-+-+-+                                               |
// ~                    Certification Authority                    ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct CertReqPayload {
  CertEncoding encoding = CertEncoding::kX509Signature;
  Bytes authorities;  // SHA-1 hashes of SubjectPublicKeyInfo, 20 octets each; empty: any. Another length: a hint lost

  // Whether the hash is among `authorities`, none was asked for, or the list makes no sense (IKE-035).
  bool Accepts(ByteSpan spki_sha1) const;

  static absl::StatusOr<CertReqPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const CertReqPayload&, const CertReqPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_CERTREQ_H_
