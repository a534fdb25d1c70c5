// The Internet checksum (RFC 1071), its incremental form (RFC 1624) and pseudo-headers.
#ifndef ESPALIER_AGENT_ESP_CHECKSUM_H_
#define ESPALIER_AGENT_ESP_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

#include "common/bytes.h"

namespace espalier::esp {

// A ones' complement sum, not yet folded. Sums of parts add up if every part but the last has an even length.
// Held in the octet order of memory: only Fold() makes it a number that goes into a header.
struct Sum {
  uint64_t value = 0;

  Sum operator+(Sum o) const { return Sum{Carry(value, o.value)}; }
  static uint64_t Carry(uint64_t a, uint64_t b) {
    uint64_t s = a + b;
    return s + (s < a);
  }
};

// The sum of `size` octets (odd: padded with zero).
Sum SumOf(const uint8_t* data, size_t size);
// The sum of a number that stands in a packet in network order.
Sum SumOf16(uint16_t host_order);
// The pseudo-header's sum for an IPv4 or IPv6 header at `ip` (RFC 9293 section 3.1, RFC 8200 section 8.1).
Sum PseudoHeader(const uint8_t* ip, uint8_t protocol, size_t upper_size);

// Folds and complements; writes the checksum at `place` as it goes onto the wire.
void StoreChecksum(uint8_t* place, Sum sum);
// True if the sum of something that contains its checksum is right.
bool Verifies(Sum sum);

// Recomputes an IPv4 header's checksum in place. `header_size` within the packet.
void FixIpv4Checksum(uint8_t* ip, size_t header_size);
// RFC 1624 section 3: the checksum at `place` after a 16-bit field changed from `before` to `after` (host order).
void AdjustChecksum(uint8_t* place, uint16_t before, uint16_t after);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_CHECKSUM_H_
