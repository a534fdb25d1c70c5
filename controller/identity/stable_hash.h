// The hash that identities and node ids come from: the same on every machine and in every release.
#ifndef ESPALIER_CONTROLLER_IDENTITY_STABLE_HASH_H_
#define ESPALIER_CONTROLLER_IDENTITY_STABLE_HASH_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace espalier::identity {

using StableHash = std::array<uint8_t, 32>;

// SHA-256.
StableHash HashOf(absl::string_view text);

// Candidate `n` of a text for a number in [first, end): the leading 8 octets (network order) of
// SHA-256(hash, n as 4 octets in network order), modulo the range.
uint32_t FoldHash(const StableHash& hash, uint32_t n, uint32_t first, uint32_t end);

}  // namespace espalier::identity

#endif  // ESPALIER_CONTROLLER_IDENTITY_STABLE_HASH_H_
