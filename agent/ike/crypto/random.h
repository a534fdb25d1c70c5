// Where random octets come from.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_RANDOM_H_
#define ESPALIER_AGENT_IKE_CRYPTO_RANDOM_H_

#include <cstdint>
#include <functional>
#include <span>

namespace espalier::ike::crypto {

// Fills the span. Empty: OpenSSL's private generator, which is what runs outside of tests.
using RandomSource = std::function<void(std::span<uint8_t>)>;

void FillRandom(const RandomSource& source, std::span<uint8_t> out);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_RANDOM_H_
