// The pseudorandom function and prf+, RFC 7296 section 2.13; RFC 4868.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_PRF_H_
#define ESPALIER_AGENT_IKE_CRYPTO_PRF_H_

#include <initializer_list>

#include "absl/status/statusor.h"
#include "agent/ike/crypto/suite.h"
#include "common/bytes.h"
#include "common/secret.h"

namespace espalier::ike::crypto {

size_t PrfSize(PrfId prf);  // of output and of preferred key, octets

// prf(key, parts concatenated). Dies only where OpenSSL can't do HMAC-SHA2 at all. Any thread.
Secret Prf(PrfId prf, ByteSpan key, std::initializer_list<ByteSpan> parts);

// The first `size` octets of prf+(key, seed). InvalidArgument above 255 blocks.
absl::StatusOr<Secret> PrfPlus(PrfId prf, ByteSpan key, ByteSpan seed, size_t size);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_PRF_H_
