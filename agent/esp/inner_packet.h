// A strict reader of the packets inside a tunnel: IPv4 with options, IPv6 with extension headers, fragments. It finds
// what policy needs (addresses, protocol, ports) and where the upper layer begins, and refuses what it can't be sure
// of.
#ifndef ESPALIER_AGENT_ESP_INNER_PACKET_H_
#define ESPALIER_AGENT_ESP_INNER_PACKET_H_

#include <cstddef>
#include <cstdint>

#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::esp {

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpV6 = 58;
inline constexpr uint8_t kProtocolSctp = 132;

struct InnerPacket {
  bool v6 = false;
  IpAddress source, destination;
  uint8_t protocol = 0;      // the upper layer's; of a later IPv6 fragment, the fragment header's next header
  uint16_t source_port = 0;  // TCP, UDP, UDP-Lite, SCTP, DCCP; else 0
  uint16_t destination_port = 0;
  bool fragment = false;        // any fragment of several
  bool later_fragment = false;  // not the first: has no ports
  bool dont_fragment = false;   // IPv4's DF; always true of IPv6
  uint8_t traffic_class = 0;    // DSCP and ECN
  size_t network_size = 0;      // the IP header with options, or with extension headers
  size_t total_size = 0;        // by the header's length field: never more than what was given
};

// False: not a well-formed packet: truncated, a length that exceeds the octets given, a header chain that is too long
// or broken, a first fragment without its ports, a TCP fragment at offset 8 (RFC 1858), a type 0 routing header
// (RFC 5095). Octets behind total_size are allowed (TFC padding, RFC 4303 section 2.7).
bool ParseInner(ByteSpan packet, InnerPacket* out);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_INNER_PACKET_H_
