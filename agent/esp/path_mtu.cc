#include "agent/esp/path_mtu.h"

namespace espalier::esp {
namespace {

constexpr uint8_t kUdp = 17;

// UDP header and SPI of the quoted packet.
bool ReadUdp(Reader* r, uint16_t port, OuterTooBig* out) {
  uint16_t source = 0;
  return r->U16(&source) && r->Skip(6) && r->U32(&out->spi) && source == port && out->spi != 0;
}

bool ReadV4(Reader* r, uint16_t port, OuterTooBig* out) {
  uint8_t first = 0, type = 0, code = 0, quoted = 0, protocol = 0;
  uint16_t mtu = 0, fragment = 0;
  ByteSpan destination;
  if (!r->U8(&first) || (first & 0x0f) < 5 || !r->Skip(size_t{first & 0x0fu} * 4 - 1)) return false;
  if (!r->U8(&type) || !r->U8(&code) || !r->Skip(4) || !r->U16(&mtu) || type != 3 || code != 4) return false;
  if (!r->U8(&quoted) || quoted >> 4 != 4 || (quoted & 0x0f) < 5) return false;
  if (!r->Skip(5) || !r->U16(&fragment) || !r->Skip(1) || !r->U8(&protocol) || !r->Skip(6)) return false;
  if (!r->Take(4, &destination) || !r->Skip(size_t{quoted & 0x0fu} * 4 - 20)) return false;
  if (protocol != kUdp || (fragment & 0x1fff) != 0) return false;
  out->destination = IpAddress::V4(std::span<const uint8_t, 4>(destination.data(), 4));
  out->mtu = mtu;
  return ReadUdp(r, port, out);
}

bool ReadV6(Reader* r, uint16_t port, OuterTooBig* out) {
  uint8_t type = 0, quoted = 0, next = 0;
  uint32_t mtu = 0;
  ByteSpan destination;
  if (!r->U8(&type) || !r->Skip(3) || !r->U32(&mtu) || type != 2) return false;
  if (!r->U8(&quoted) || quoted >> 4 != 6 || !r->Skip(5) || !r->U8(&next) || !r->Skip(17)) return false;
  if (!r->Take(16, &destination) || next != kUdp) return false;
  out->destination = IpAddress::V6(std::span<const uint8_t, 16>(destination.data(), 16));
  out->mtu = mtu;
  return ReadUdp(r, port, out);
}

}  // namespace

bool ParseOuterTooBig(ByteSpan message, bool v6, uint16_t port, OuterTooBig* out) {
  Reader r(message);
  return v6 ? ReadV6(&r, port, out) : ReadV4(&r, port, out);
}

}  // namespace espalier::esp
