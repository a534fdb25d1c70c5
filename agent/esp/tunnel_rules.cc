#include "agent/esp/tunnel_rules.h"

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "agent/esp/outbound_sa.h"

namespace espalier::esp {
namespace {
constexpr size_t kUdpHeaderSize = 8;
}

std::optional<uint8_t> CombineEcn(uint8_t inner, uint8_t outer) {
  inner &= kEcnMask;
  outer &= kEcnMask;
  if (inner == kEcnNotEct) {
    if (outer == kEcnCe) return std::nullopt;
    return kEcnNotEct;
  }
  if (inner == kEcnCe || outer == kEcnCe) return kEcnCe;
  if (inner == kEcnEct1 || outer == kEcnEct1) return kEcnEct1;
  return kEcnEct0;
}

bool CombineEcnInPlace(uint8_t* ip, uint8_t outer_traffic_class) {
  const bool v6 = (ip[0] >> 4) == 6;
  const uint16_t first = Load16(ip);
  const uint8_t inner = v6 ? static_cast<uint8_t>(first >> 4) : static_cast<uint8_t>(first);
  const std::optional<uint8_t> ecn = CombineEcn(inner, outer_traffic_class);
  if (!ecn.has_value()) return false;
  if (*ecn == (inner & kEcnMask)) return true;
  const int shift = v6 ? 4 : 0;
  const uint16_t changed = static_cast<uint16_t>((first & ~(kEcnMask << shift)) | (*ecn << shift));
  Store16(ip, changed);
  if (!v6) AdjustChecksum(ip + 10, first, changed);
  return true;
}

size_t InnerMtu(size_t path_mtu, bool outer_v6) {
  const size_t outer = (outer_v6 ? 40 : 20) + kUdpHeaderSize;
  return path_mtu < outer ? 0 : MaxInnerSize(path_mtu - outer);
}

}  // namespace espalier::esp
