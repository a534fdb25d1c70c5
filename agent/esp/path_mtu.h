// Reads the ICMP errors by which a router says that our outer packets are too large (RFC 1191, RFC 8201).
#ifndef ESPALIER_AGENT_ESP_PATH_MTU_H_
#define ESPALIER_AGENT_ESP_PATH_MTU_H_

#include <cstddef>
#include <cstdint>

#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::esp {

// Whoever can send us packets can send such an error: it is worth something only if `spi` is that of a live outbound SA
// to `destination` (RFC 4301 section 8.2.1), never below the floor, and only for a while.
struct OuterTooBig {
  IpAddress destination;  // of the packet that was too large
  uint32_t spi = 0;
  size_t mtu = 0;
};

inline constexpr size_t kMinPathMtuV4 = 576, kMinPathMtuV6 = 1280;  // ours; RFC 8200 section 5

// `message` as a raw socket gives it: with its IP header for ICMP, from its type on for ICMPv6. False: anything but
// "too big" about ESP in UDP from our `port` that quotes enough of the packet to name its SPI.
bool ParseOuterTooBig(ByteSpan message, bool v6, uint16_t port, OuterTooBig* out);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_PATH_MTU_H_
