// Lowers the MSS that a TCP SYN announces to what fits into the tunnel, so that TCP never has to find it out.
#ifndef ESPALIER_AGENT_ESP_MSS_CLAMP_H_
#define ESPALIER_AGENT_ESP_MSS_CLAMP_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "agent/esp/inner_packet.h"

namespace espalier::esp {

// `packet` was parsed into `inner`, its TCP checksum is complete. A SYN whose MSS option (RFC 9293 section 3.7.1) is
// larger than inner_mtu less IP and TCP header gets that; anything else is left alone. True if changed.
bool ClampMss(std::span<uint8_t> packet, const InnerPacket& inner, size_t inner_mtu);

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_MSS_CLAMP_H_
