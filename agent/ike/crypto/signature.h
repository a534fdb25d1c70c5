// Digital signatures in AUTH, method 14: RFC 7427 and RFC 8420.
//
//  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//  | ASN.1 Length  | AlgorithmIdentifier ASN.1 object              |
//  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//  ~                         Signature Value                       ~
//  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#ifndef ESPALIER_AGENT_IKE_CRYPTO_SIGNATURE_H_
#define ESPALIER_AGENT_IKE_CRYPTO_SIGNATURE_H_

#include <vector>

#include "absl/status/status.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::crypto {

// What we announce: SHA2-256, SHA2-384, SHA2-512, Identity.
const std::vector<wire::HashAlgorithm>& SupportedHashes();

// Verifies the data of an AUTH payload of method 14 over `signed_octets` with the public key (DER
// SubjectPublicKeyInfo). The AlgorithmIdentifier must be, octet for octet, one of: ecdsa-with-SHA256/384/512, Ed25519,
// RSASSA-PSS with explicit SHA2-256/384/512 parameters (IKE-032); its hash must be among `announced`, what we sent in
// SIGNATURE_HASH_ALGORITHMS. ECDSA on P-256, P-384, P-521; RSA of 2048 to 8192 bits with e >= 65537. PermissionDenied
// otherwise; its text is for the log.
absl::Status VerifyDigitalSignature(ByteSpan auth_data, ByteSpan signed_octets, ByteSpan public_key_spki,
                                    const std::vector<wire::HashAlgorithm>& announced = SupportedHashes());

// AUTH data of an ECDSA signature with SHA2-256 (DER, as Host::Sign gives it).
Bytes EcdsaSha256AuthData(ByteSpan der_signature);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_SIGNATURE_H_
