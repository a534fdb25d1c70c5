// Packets for tests, header by header from the inside out: Ip(Udp(...)), Vxlan(Ip(...)).
#ifndef ESPALIER_AGENT_STEERING_PACKET_BUILDER_H_
#define ESPALIER_AGENT_STEERING_PACKET_BUILDER_H_

#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::steering {

inline IpAddress Ip(const std::string& text) { return *IpAddress::Parse(text); }

inline Bytes Join(Bytes head, const Bytes& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

// The first eight octets of TCP, UDP, SCTP and the like: ports and zeros; `more` follows.
inline Bytes Ports(uint16_t source, uint16_t destination, const Bytes& more = {}) {
  Bytes out;
  Writer w(&out);
  w.U16(source);
  w.U16(destination);
  w.U32(0);
  w.Raw(more);
  return out;
}

struct IpFields {
  uint8_t protocol = 6;
  uint16_t fragment = 0;  // IPv4: flags and offset, as on the wire
  Bytes options = {};     // IPv4: a multiple of 4 octets
  int total_length = -1;  // IPv4: if it is to lie
};

// An IPv4 or IPv6 packet, as the addresses say. In IPv6 `protocol` is the first next header.
inline Bytes Packet(const IpAddress& source, const IpAddress& destination, const IpFields& f, const Bytes& payload) {
  Bytes out;
  Writer w(&out);
  if (!source.is_v6()) {
    const size_t header = 20 + f.options.size();
    w.U8(static_cast<uint8_t>(0x40 | (header / 4)));
    w.U8(0);
    w.U16(static_cast<uint16_t>(f.total_length >= 0 ? f.total_length : static_cast<int>(header + payload.size())));
    w.U16(1);
    w.U16(f.fragment);
    w.U8(64);
    w.U8(f.protocol);
    w.U16(0);
    w.Raw(source.octets());
    w.Raw(destination.octets());
    w.Raw(f.options);
  } else {
    w.U32(0x60000000);
    w.U16(static_cast<uint16_t>(payload.size()));
    w.U8(f.protocol);
    w.U8(64);
    w.Raw(source.octets());
    w.Raw(destination.octets());
  }
  w.Raw(payload);
  return out;
}

// An IPv6 extension header of 8 octets with `next` after it.
inline Bytes Extension(uint8_t next, const Bytes& after) {
  return Join({next, 0, 1, 4, 0, 0, 0, 0}, after);  // PadN
}

// An IPv6 fragment header (RFC 8200, section 4.5); `offset` in units of 8 octets.
inline Bytes Fragment6(uint8_t next, uint16_t offset, const Bytes& after) {
  return Join({next, 0, static_cast<uint8_t>(offset >> 5), static_cast<uint8_t>((offset << 3) | 1), 0, 0, 0, 1}, after);
}

inline Bytes Ethernet(uint16_t type, const Bytes& payload, const std::vector<uint16_t>& vlans = {}) {
  Bytes out;
  Writer w(&out);
  w.Raw(Bytes{0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2});
  for (uint16_t vlan : vlans) {
    w.U16(0x8100);
    w.U16(vlan);
  }
  w.U16(type);
  w.Raw(payload);
  return out;
}

// The frame of an IP packet.
inline Bytes Frame(const Bytes& packet, const std::vector<uint16_t>& vlans = {}) {
  return Ethernet(packet[0] >> 4 == 6 ? 0x86dd : 0x0800, packet, vlans);
}

inline Bytes Vxlan(const Bytes& frame) { return Join({0x08, 0, 0, 0, 0, 0, 1, 0}, frame); }
inline Bytes Geneve(const Bytes& frame, const Bytes& options = {}) {
  return Join(Join({static_cast<uint8_t>(options.size() / 4), 0, 0x65, 0x58, 0, 0, 1, 0}, options), frame);
}
inline Bytes Gre(uint16_t type, const Bytes& payload, bool key = false) {
  Bytes out = {static_cast<uint8_t>(key ? 0x20 : 0), 0, static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)};
  if (key) out.insert(out.end(), {0, 0, 0, 7});
  return Join(out, payload);
}

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_PACKET_BUILDER_H_
