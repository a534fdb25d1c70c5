// Tells a sender that its packet is larger than the tunnel takes (RFC 1191 section 4, RFC 8201, RFC 4443 section 3.2).
#ifndef ESPALIER_AGENT_ESP_ICMP_TOO_BIG_H_
#define ESPALIER_AGENT_ESP_ICMP_TOO_BIG_H_

#include <cstddef>

#include "agent/esp/inner_packet.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::esp {

// The whole ICMP or ICMPv6 packet from `source` (of the packet's family) to its sender, quoting it: up to 576 octets in
// all (RFC 1812 section 4.3.2.3) or 1280 (RFC 4443). Empty where none may be sent (RFC 1122 section 3.2.2, RFC 4443
// section 2.4): for an ICMP error, a later fragment, a multicast or unspecified address, or a source of another family.
Bytes BuildTooBig(ByteSpan packet, const InnerPacket& inner, const IpAddress& source, size_t mtu);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_ICMP_TOO_BIG_H_
