#include "agent/ike/crypto/random.h"

#include <openssl/rand.h>

#include "absl/log/check.h"

namespace espalier::ike::crypto {

void FillRandom(const RandomSource& source, std::span<uint8_t> out) {
  if (source) {
    source(out);
  } else {
    CHECK_EQ(RAND_priv_bytes(out.data(), static_cast<int>(out.size())), 1) << "no randomness";
  }
}

}  // namespace espalier::ike::crypto
