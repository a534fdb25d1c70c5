#include "agent/esp/inner_packet.h"

#include "agent/esp/octets.h"

namespace espalier::esp {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAh = 51, kDestinationOptions = 60, kMobility = 135,
                  kHip = 139, kShim6 = 140;
constexpr uint8_t kDccp = 33, kUdpLite = 136;
constexpr int kMaxExtensionHeaders = 8;  // ours

bool HasPorts(uint8_t protocol) {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp || protocol == kDccp ||
         protocol == kUdpLite;
}

// Ports, once protocol, network_size and the fragment fields are known. `upper`: octets of the packet behind them.
bool ReadPorts(const uint8_t* at, size_t upper, InnerPacket* out) {
  if (out->later_fragment || !HasPorts(out->protocol)) return true;
  // A whole TCP or UDP header, also in a first fragment: a shorter one hides ports or flags (RFC 1858).
  const size_t need = out->protocol == kProtocolTcp ? 20 : out->protocol == kProtocolUdp ? 8 : 4;
  if (upper < need) return false;
  out->source_port = Load16(at);
  out->destination_port = Load16(at + 2);
  return true;
}

bool ParseV4(ByteSpan packet, InnerPacket* out) {
  const uint8_t* p = packet.data();
  if (packet.size() < 20) return false;
  const size_t header = size_t{p[0] & 0x0fu} * 4;
  const size_t total = Load16(p + 2);
  if (header < 20 || total < header || total > packet.size()) return false;
  const uint16_t fragment = Load16(p + 6);
  const size_t offset = size_t{fragment & 0x1fffu} * 8;
  const bool more = (fragment & 0x2000) != 0;
  out->v6 = false;
  out->source = IpAddress::V4(std::span<const uint8_t, 4>(p + 12, 4));
  out->destination = IpAddress::V4(std::span<const uint8_t, 4>(p + 16, 4));
  out->protocol = p[9];
  out->dont_fragment = (fragment & 0x4000) != 0;
  out->fragment = more || offset != 0;
  out->later_fragment = offset != 0;
  out->traffic_class = p[1];
  out->network_size = header;
  out->total_size = total;
  if (out->fragment && offset + (total - header) > 65535) return false;
  if (out->later_fragment && out->protocol == kProtocolTcp && offset == 8) return false;
  return ReadPorts(p + header, total - header, out);
}

bool ParseV6(ByteSpan packet, InnerPacket* out) {
  const uint8_t* p = packet.data();
  if (packet.size() < 40) return false;
  const size_t total = 40 + size_t{Load16(p + 4)};
  if (total > packet.size()) return false;
  out->v6 = true;
  out->source = IpAddress::V6(std::span<const uint8_t, 16>(p + 8, 16));
  out->destination = IpAddress::V6(std::span<const uint8_t, 16>(p + 24, 16));
  out->dont_fragment = true;
  out->traffic_class = static_cast<uint8_t>((p[0] << 4) | (p[1] >> 4));
  out->total_size = total;
  uint8_t next = p[6];
  size_t at = 40;
  for (int i = 0;; ++i) {
    size_t size = 0;
    switch (next) {
      case kHopByHop:
        if (i != 0) return false;  // RFC 8200 section 4.1: only right behind the IPv6 header
        [[fallthrough]];
      case kRouting:
      case kDestinationOptions:
      case kMobility:
      case kHip:
      case kShim6:
        if (total - at < 8) return false;
        size = 8 + size_t{p[at + 1]} * 8;
        break;
      case kAh:
        if (total - at < 8) return false;
        size = 8 + size_t{p[at + 1]} * 4;
        break;
      case kFragment: {
        if (total - at < 8) return false;
        const uint16_t field = Load16(p + at + 2);
        const bool later = (field & 0xfff8) != 0;
        if (out->fragment) return false;  // one within another
        out->fragment = later || (field & 1) != 0;
        out->later_fragment = later;
        if (later) {
          out->protocol = p[at];
          out->network_size = at + 8;
          if ((field & 0xfff8u) + (total - at - 8) > 65535) return false;
          return !(p[at] == kProtocolTcp && (field & 0xfff8) == 8);
        }
        size = 8;
        break;
      }
      default:
        out->protocol = next;
        out->network_size = at;
        return ReadPorts(p + at, total - at, out);
    }
    if (i >= kMaxExtensionHeaders || size > total - at) return false;
    if (next == kRouting && p[at + 2] == 0 && p[at + 3] != 0) return false;  // RFC 5095
    next = p[at];
    at += size;
  }
}

}  // namespace

bool ParseInner(ByteSpan packet, InnerPacket* out) {
  *out = InnerPacket();
  if (packet.empty()) return false;
  switch (packet[0] >> 4) {
    case 4:
      return ParseV4(packet, out);
    case 6:
      return ParseV6(packet, out);
    default:
      return false;
  }
}

}  // namespace espalier::esp
