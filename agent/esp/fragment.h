// IPv4 fragmentation before ESP (RFC 791 section 3.2, RFC 4301 section 8.2.1: fragments of packets without DF).
#ifndef ESPALIER_AGENT_ESP_FRAGMENT_H_
#define ESPALIER_AGENT_ESP_FRAGMENT_H_

#include <cstddef>
#include <vector>

#include "agent/esp/inner_packet.h"
#include "common/bytes.h"

namespace espalier::esp {

// The fragments of an IPv4 packet (itself perhaps a fragment) that are at most `mtu` octets long, each with `tail`
// unused octets behind it. Its upper-layer checksum must be complete. Empty: IPv6, DF is set, or the mtu is too small.
std::vector<Bytes> FragmentIpv4(ByteSpan packet, const InnerPacket& inner, size_t mtu, size_t tail);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_FRAGMENT_H_
