// Packets for tests: hex to octets, and small IPv4 and IPv6 packets with right checksums.
#ifndef ESPALIER_AGENT_ESP_TESTING_PACKETS_H_
#define ESPALIER_AGENT_ESP_TESTING_PACKETS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::esp::testing {

// Blanks are ignored.
inline Bytes Hex(absl::string_view hex) {
  Bytes out;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (high >= 0) out.push_back(static_cast<uint8_t>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return out;
}

inline IpAddress Ip(absl::string_view text) { return *IpAddress::Parse(text); }

// An IP packet around `upper`; the upper layer's checksum is left alone.
struct IpFields {
  std::string source = "10.1.0.1", destination = "10.2.0.2";
  uint8_t protocol = 17;
  uint8_t traffic_class = 0;
  uint16_t id = 1;
  uint16_t fragment = 0x4000;  // flags and offset
  uint8_t ttl = 64;
  Bytes options;  // IPv4, a multiple of 4 octets; IPv6: extension headers, `protocol` is the first's type
};
inline Bytes Packet(const IpFields& f, ByteSpan upper) {
  const IpAddress source = Ip(f.source), destination = Ip(f.destination);
  Bytes out;
  Writer w(&out);
  if (source.is_v6()) {
    w.U32(0x60000000u | uint32_t{f.traffic_class} << 20);
    w.U16(static_cast<uint16_t>(f.options.size() + upper.size()));
    w.U8(f.protocol);
    w.U8(f.ttl);
    w.Raw(source.octets());
    w.Raw(destination.octets());
    w.Raw(f.options);
    w.Raw(upper);
    return out;
  }
  const size_t header = 20 + f.options.size();
  w.U8(static_cast<uint8_t>(0x40 | header / 4));
  w.U8(f.traffic_class);
  w.U16(static_cast<uint16_t>(header + upper.size()));
  w.U16(f.id);
  w.U16(f.fragment);
  w.U8(f.ttl);
  w.U8(f.protocol);
  w.U16(0);
  w.Raw(source.octets());
  w.Raw(destination.octets());
  w.Raw(f.options);
  FixIpv4Checksum(out.data(), header);
  w.Raw(upper);
  return out;
}

inline Bytes Udp(uint16_t source, uint16_t destination, size_t payload, uint8_t fill = 0x55) {
  Bytes out;
  Writer w(&out);
  w.U16(source), w.U16(destination), w.U16(static_cast<uint16_t>(8 + payload)), w.U16(0);
  out.resize(8 + payload, fill);
  return out;
}

struct TcpFields {
  uint16_t source = 1000, destination = 80;
  uint32_t sequence = 1, acknowledgement = 1;
  uint8_t flags = 0x10;
  uint16_t window = 1000;
  Bytes options;  // a multiple of 4 octets
};
inline Bytes Tcp(const TcpFields& f, ByteSpan payload) {
  Bytes out;
  Writer w(&out);
  w.U16(f.source), w.U16(f.destination), w.U32(f.sequence), w.U32(f.acknowledgement);
  w.U8(static_cast<uint8_t>((20 + f.options.size()) / 4 << 4));
  w.U8(f.flags), w.U16(f.window), w.U16(0), w.U16(0);
  w.Raw(f.options);
  w.Raw(payload);
  return out;
}

// Fills in the TCP or UDP checksum of a packet whose upper layer begins at `at`.
inline void FixUpper(Bytes* packet, size_t at, uint8_t protocol) {
  uint8_t* place = packet->data() + at + (protocol == 6 ? 16 : 6);
  place[0] = place[1] = 0;
  StoreChecksum(place, SumOf(packet->data() + at, packet->size() - at) +
                           PseudoHeader(packet->data(), protocol, packet->size() - at));
}
inline bool UpperChecksumHolds(ByteSpan packet, size_t at, uint8_t protocol) {
  return Verifies(SumOf(packet.data() + at, packet.size() - at) +
                  PseudoHeader(packet.data(), protocol, packet.size() - at));
}

}  // namespace espalier::esp::testing

#endif  // ESPALIER_AGENT_ESP_TESTING_PACKETS_H_
