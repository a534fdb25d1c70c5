// Authenticated encryption of IKE messages: AES-GCM-16 (RFC 5282) and ChaCha20-Poly1305 (RFC 7634).
#ifndef ESPALIER_AGENT_IKE_CRYPTO_AEAD_H_
#define ESPALIER_AGENT_IKE_CRYPTO_AEAD_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/ike/crypto/suite.h"
#include "common/bytes.h"
#include "common/secret.h"

struct evp_cipher_ctx_st;

namespace espalier::ike::crypto {

inline constexpr size_t kIvSize = 8;
inline constexpr size_t kIcvSize = 16;

// One key, one direction. Not thread-safe. The nonce is salt | IV; the caller never repeats an IV for a key (IKE-014).
class Aead {
 public:
  // `key_and_salt`: SK_ei or SK_er, AeadKeySize() octets.
  static absl::StatusOr<Aead> Create(EspSuite suite, ByteSpan key_and_salt);
  Aead(Aead&&) noexcept;
  Aead& operator=(Aead&&) noexcept;
  ~Aead();

  // Appends IV | ciphertext | ICV.
  absl::Status Seal(uint64_t iv, ByteSpan aad, ByteSpan plaintext, Bytes* out) const;
  // `body`: IV | ciphertext | ICV. Nothing of the plaintext comes out unless the ICV holds (IKE-013): DataLoss
  // otherwise.
  absl::StatusOr<Bytes> Open(ByteSpan aad, ByteSpan body) const;

 private:
  struct ContextDeleter {
    void operator()(evp_cipher_ctx_st* c) const;
  };
  Aead() = default;

  Secret salt_;
  std::unique_ptr<evp_cipher_ctx_st, ContextDeleter> seal_, open_;  // keyed once
};

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_AEAD_H_
