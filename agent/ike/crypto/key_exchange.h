// Key exchange methods: X25519 (RFC 8031), P-256, P-384, P-521 (RFC 5903) and ML-KEM-768
// (draft-ietf-ipsecme-ikev2-mlkem). A method that is a KEM has roles: who starts the exchange makes the key pair, who
// answers encapsulates; so every method is used through these two halves.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_KEY_EXCHANGE_H_
#define ESPALIER_AGENT_IKE_CRYPTO_KEY_EXCHANGE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "agent/ike/crypto/random.h"
#include "common/bytes.h"
#include "common/secret.h"

namespace espalier::ike::crypto {

// `method`: wire::ke. Of an unknown method: false and 0.
bool KeSupported(uint16_t method);
size_t KeInitiatorSize(uint16_t method);  // octets of KE data, exactly (IKE-011)
size_t KeResponderSize(uint16_t method);

// The initiator's half: a fresh key pair for one exchange, wiped with the object (IKE-026).
class KeyExchange {
 public:
  virtual ~KeyExchange() = default;
  // Unimplemented: an unknown method.
  static absl::StatusOr<std::unique_ptr<KeyExchange>> Create(uint16_t method, const RandomSource& random = {});

  virtual uint16_t method() const = 0;
  virtual ByteSpan public_value() const = 0;  // KE data to send
  // The shared secret with the responder's KE data. InvalidArgument: wrong length, a point off the curve, a secret of
  // zeros (RFC 6989 section 2, RFC 7748 section 6, FIPS 203 section 7.3). A wrong ML-KEM ciphertext of the right length
  // gives a secret that isn't shared: it shows as a bad ICV later. May be called more than once (IKE-024: several
  // answers may come before one authenticates).
  virtual absl::StatusOr<Secret> Finish(ByteSpan peer_value) = 0;
};

// The responder's half.
struct KeResponse {
  Bytes public_value;  // KE data to send
  Secret secret;
};
// InvalidArgument: the initiator's KE data is bad (length, curve, encapsulation key check of FIPS 203 section 7.2).
absl::StatusOr<KeResponse> KeRespond(uint16_t method, ByteSpan peer_value, const RandomSource& random = {});

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_KEY_EXCHANGE_H_
