// What a tunnel's ends do to headers (RFC 4301 section 5.1.2, RFC 6040) and how much room a tunnel leaves.
//
// Inner TTL: the node's own stack forwards between pod and tunnel and decrements there, so sealing and opening don't.
// Outer DSCP and ECN are copied from the inner header when sealing (RFC 6040 section 4.1, normal mode); when opening,
// DSCP is never copied in, ECN is combined as below.
#ifndef ESPALIER_AGENT_ESP_TUNNEL_RULES_H_
#define ESPALIER_AGENT_ESP_TUNNEL_RULES_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace espalier::esp {

inline constexpr uint8_t kEcnMask = 3, kEcnNotEct = 0, kEcnEct1 = 1, kEcnEct0 = 2, kEcnCe = 3;

// RFC 6040 section 4.2, figure 4: the ECN field to go on with; none: drop. Two low bits of each are looked at.
std::optional<uint8_t> CombineEcn(uint8_t inner, uint8_t outer);

// Combines the outer traffic class into the inner IP header at `ip` (whole header in bounds) and mends the IPv4
// checksum. False: drop.
bool CombineEcnInPlace(uint8_t* ip, uint8_t outer_traffic_class);

// The largest inner packet that one outer packet of `path_mtu` octets carries: outer IP header without options, UDP
// (RFC 3948), ESP, padding, ICV, to the octet.
size_t InnerMtu(size_t path_mtu, bool outer_v6);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_TUNNEL_RULES_H_
