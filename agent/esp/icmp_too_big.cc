#include "agent/esp/icmp_too_big.h"

#include <algorithm>

#include "agent/esp/checksum.h"

namespace espalier::esp {
namespace {

constexpr uint8_t kTtl = 64;
constexpr size_t kQuoteLimitV4 = 576, kQuoteLimitV6 = 1280;

bool IsIcmpError(ByteSpan packet, const InnerPacket& inner) {
  if (inner.total_size <= inner.network_size) return false;
  const uint8_t type = packet[inner.network_size];
  if (!inner.v6 && inner.protocol == kProtocolIcmp) {
    // Everything but the queries: echo, router discovery, timestamp, information, mask, extended echo (RFC 8335).
    switch (type) {
      case 0:
      case 8:
      case 9:
      case 10:
      case 13:
      case 14:
      case 15:
      case 16:
      case 17:
      case 18:
      case 42:
      case 43:
        return false;
      default:
        return true;
    }
  }
  return inner.v6 && inner.protocol == kProtocolIcmpV6 && type < 128;
}

// Unspecified, loopback, multicast, limited broadcast: nobody to answer to, or no one host.
bool Answerable(const IpAddress& a) {
  const auto o = a.octets();
  if (a.is_v6()) {
    return o[0] != 0xff && std::any_of(o.begin(), o.begin() + 15, [](uint8_t x) { return x != 0; });
  }
  return o[0] != 0 && o[0] != 127 && o[0] < 224;
}

}  // namespace

Bytes BuildTooBig(ByteSpan packet, const InnerPacket& inner, const IpAddress& source, size_t mtu) {
  Bytes out;
  if (source.is_v6() != inner.v6 || inner.later_fragment || packet.size() < inner.total_size) return out;
  if (!Answerable(inner.source) || IsIcmpError(packet, inner)) return out;
  // ICMPv6 "too big" goes for multicast destinations too (RFC 4443 section 2.4 e.3), ICMP does not.
  if (!inner.v6 && !Answerable(inner.destination)) return out;
  const size_t header = inner.v6 ? 40 : 20;
  const size_t limit = inner.v6 ? kQuoteLimitV6 : kQuoteLimitV4;
  const size_t quote = std::min(inner.total_size, limit - header - 8);
  const uint16_t upper = static_cast<uint16_t>(8 + quote);
  Writer w(&out);
  if (inner.v6) {
    w.U32(0x60000000);
    w.U16(upper);
    w.U8(kProtocolIcmpV6);
    w.U8(kTtl);
  } else {
    w.U8(0x45);
    w.U8(0);
    w.U16(static_cast<uint16_t>(header + upper));
    w.U32(0x00004000);  // DF, no id (RFC 6864)
    w.U8(kTtl);
    w.U8(kProtocolIcmp);
    w.U16(0);
  }
  w.Raw(source.octets());
  w.Raw(inner.source.octets());
  if (inner.v6) {
    w.U8(2);  // packet too big
    w.U8(0);
    w.U16(0);
    w.U32(static_cast<uint32_t>(mtu));
  } else {
    w.U8(3);  // destination unreachable: fragmentation needed and DF set
    w.U8(4);
    w.U16(0);
    w.U16(0);
    w.U16(static_cast<uint16_t>(std::min<size_t>(mtu, 65535)));
  }
  w.Raw(packet.first(quote));
  Sum sum = SumOf(out.data() + header, upper);
  if (inner.v6) {
    sum = sum + PseudoHeader(out.data(), kProtocolIcmpV6, upper);
  } else {
    FixIpv4Checksum(out.data(), header);
  }
  StoreChecksum(out.data() + header + 2, sum);
  return out;
}

}  // namespace espalier::esp
