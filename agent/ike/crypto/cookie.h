// Stateless cookies, RFC 7296 section 2.6; IKE-021.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_COOKIE_H_
#define ESPALIER_AGENT_IKE_CRYPTO_COOKIE_H_

#include "absl/time/time.h"
#include "agent/ike/crypto/random.h"
#include "common/bytes.h"
#include "common/ip.h"
#include "common/secret.h"

namespace espalier::ike::crypto {

// Cookie = version of secret (1 octet) | HMAC-SHA2-256(secret, Ni | address | port | SPIi) : 33 octets. Two secrets are
// kept; the former is good for as long as it was current.
class CookieJar {
 public:
  explicit CookieJar(RandomSource random = {}, absl::Duration rotation = absl::Minutes(2));

  Bytes Make(absl::Time now, ByteSpan ni, const Endpoint& source, uint64_t spi_i);
  // A wrong, too old or ill-formed cookie is as none: false. Constant time in the hash.
  bool Check(absl::Time now, ByteSpan cookie, ByteSpan ni, const Endpoint& source, uint64_t spi_i);

 private:
  void Rotate(absl::Time now);
  Bytes Hash(const Secret& secret, ByteSpan ni, const Endpoint& source, uint64_t spi_i) const;

  RandomSource random_;
  absl::Duration rotation_;
  uint8_t version_ = 0;
  Secret current_, former_;
  absl::Time since_ = absl::InfinitePast();
};

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_COOKIE_H_
