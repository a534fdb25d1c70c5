#include "agent/ike/crypto/nat_detection.h"

#include <openssl/evp.h>

#include "absl/log/check.h"

namespace espalier::ike::crypto {

Bytes NatDetectionHash(uint64_t spi_i, uint64_t spi_r, const Endpoint& endpoint) {
  Bytes in;
  Writer w(&in);
  w.U64(spi_i);
  w.U64(spi_r);
  w.Raw(endpoint.address.octets());
  w.U16(endpoint.port);
  Bytes out(20);
  CHECK_EQ(EVP_Digest(in.data(), in.size(), out.data(), nullptr, EVP_sha1(), nullptr), 1);
  return out;
}

}  // namespace espalier::ike::crypto
