#include "controller/identity/stable_hash.h"

#include <openssl/sha.h>

#include <algorithm>

namespace espalier::identity {

StableHash HashOf(absl::string_view text) {
  StableHash out;
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data());
  return out;
}

uint32_t FoldHash(const StableHash& hash, uint32_t n, uint32_t first, uint32_t end) {
  std::array<uint8_t, 36> in;
  std::copy(hash.begin(), hash.end(), in.begin());
  for (int i = 0; i < 4; ++i) in[32 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
  StableHash folded;
  SHA256(in.data(), in.size(), folded.data());
  uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = (number << 8) | folded[i];
  return first + static_cast<uint32_t>(number % (end - first));
}

}  // namespace espalier::identity
