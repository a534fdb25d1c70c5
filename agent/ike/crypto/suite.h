// The algorithms of an IKE SA, and their names on the wire.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_SUITE_H_
#define ESPALIER_AGENT_IKE_CRYPTO_SUITE_H_

#include <optional>
#include <string>
#include <vector>

#include "agent/ike/host.h"
#include "agent/ike/wire/sa.h"

namespace espalier::ike::crypto {

enum class PrfId : uint16_t {
  kHmacSha256 = wire::prf::kHmacSha256,
  kHmacSha384 = wire::prf::kHmacSha384,
  kHmacSha512 = wire::prf::kHmacSha512,
};

// A chosen IKE suite. The three AEADs of EspSuite are those of IKE too (RFC 5282, RFC 7634).
struct IkeSuite {
  EspSuite aead = EspSuite::kAesGcm256;
  PrfId prf = PrfId::kHmacSha256;
  uint16_t ke = wire::ke::kX25519;
  std::vector<uint16_t> additional_ke;  // in the order of their exchanges, without NONE (RFC 9370)

  friend bool operator==(const IkeSuite&, const IkeSuite&) = default;
};

// The encryption transform of a suite, with its key length where it has one (IKE-010).
wire::Transform EncrTransform(EspSuite suite);
std::optional<EspSuite> EspSuiteOf(const wire::Transform& encr);
std::optional<PrfId> PrfOf(uint16_t transform_id);

// Of an accepted IKE proposal (one transform a type); nullopt where it holds something we can't do.
std::optional<IkeSuite> SuiteOf(const wire::Proposal& chosen);

// "AES-256-GCM/PRF-HMAC-SHA2-512/X25519+ML-KEM-768", as PeerReport shows it.
std::string ToString(const IkeSuite& suite);
std::string ToString(EspSuite suite);
std::string KeMethodName(uint16_t method);

// Octets of key with the 4 octets of salt that follow it (RFC 5282 section 7.1, RFC 7634 section 2).
size_t AeadKeySize(EspSuite suite);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_SUITE_H_
