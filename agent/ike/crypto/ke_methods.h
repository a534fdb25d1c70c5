// The implementations behind key_exchange.h; internal to this library.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_KE_METHODS_H_
#define ESPALIER_AGENT_IKE_CRYPTO_KE_METHODS_H_

#include <openssl/evp.h>

#include <memory>

#include "agent/ike/crypto/key_exchange.h"

namespace espalier::ike::crypto {

struct PkeyDeleter {
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
};
using Pkey = std::unique_ptr<EVP_PKEY, PkeyDeleter>;
struct PkeyContextDeleter {
  void operator()(EVP_PKEY_CTX* c) const { EVP_PKEY_CTX_free(c); }
};
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, PkeyContextDeleter>;

// Diffie-Hellman: both ends do the same.
absl::StatusOr<std::unique_ptr<KeyExchange>> CreateX25519(const RandomSource& random);
absl::StatusOr<std::unique_ptr<KeyExchange>> CreateEcp(uint16_t method, const RandomSource& random);

absl::StatusOr<std::unique_ptr<KeyExchange>> CreateMlKem768(const RandomSource& random);
absl::StatusOr<KeResponse> RespondMlKem768(ByteSpan encapsulation_key, const RandomSource& random);

// EVP_PKEY_derive. InvalidArgument where OpenSSL refuses the peer's value.
absl::StatusOr<Secret> Derive(EVP_PKEY* own, EVP_PKEY* peer);

inline constexpr size_t kX25519Size = 32;
inline constexpr size_t kMlKem768KeySize = 1184;  // FIPS 203, table 3
inline constexpr size_t kMlKem768CiphertextSize = 1088;

// Octets of a coordinate; 0: no such curve.
size_t EcpFieldSize(uint16_t method);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_KE_METHODS_H_
