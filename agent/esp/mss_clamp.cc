#include "agent/esp/mss_clamp.h"

#include <algorithm>

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"

namespace espalier::esp {
namespace {
constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionMss = 2;
constexpr size_t kTcpHeaderSize = 20;
}  // namespace

bool ClampMss(std::span<uint8_t> packet, const InnerPacket& inner, size_t inner_mtu) {
  if (inner.protocol != kProtocolTcp || inner.fragment || packet.size() < inner.total_size) return false;
  if (inner.total_size - inner.network_size < kTcpHeaderSize) return false;
  uint8_t* tcp = packet.data() + inner.network_size;
  if ((tcp[13] & kSyn) == 0) return false;
  const size_t header = static_cast<size_t>(tcp[12] >> 4) * 4;
  if (header < kTcpHeaderSize || header > inner.total_size - inner.network_size) return false;
  const size_t overhead = (inner.v6 ? 40 : 20) + kTcpHeaderSize;
  if (inner_mtu <= overhead) return false;
  const uint16_t limit = static_cast<uint16_t>(std::min<size_t>(inner_mtu - overhead, 65535));
  for (size_t at = kTcpHeaderSize; at < header;) {
    if (tcp[at] == kOptionEnd) return false;
    if (tcp[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (header - at < 2 || tcp[at + 1] < 2 || tcp[at + 1] > header - at) return false;
    if (tcp[at] == kOptionMss && tcp[at + 1] == 4) {
      const uint16_t before = Load16(tcp + at + 2);
      if (before <= limit) return false;
      if (at % 2 == 0) {
        AdjustChecksum(tcp + 16, before, limit);
        Store16(tcp + at + 2, limit);
      } else {  // the option lies across two words of the checksum
        const uint16_t first = Load16(tcp + at + 1), second = Load16(tcp + at + 3);
        Store16(tcp + at + 2, limit);
        AdjustChecksum(tcp + 16, first, Load16(tcp + at + 1));
        AdjustChecksum(tcp + 16, second, Load16(tcp + at + 3));
      }
      return true;
    }
    at += tcp[at + 1];
  }
  return false;
}

}  // namespace espalier::esp
