#include "agent/esp/fragment.h"

#include <algorithm>

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"

namespace espalier::esp {
namespace {

constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kOffsetMask = 0x1fff;

// The header of later fragments: only options with the copied flag (RFC 791 section 3.1), padded to 4 octets.
Bytes LaterHeader(ByteSpan header) {
  Bytes out(header.begin(), header.begin() + 20);
  for (size_t at = 20; at < header.size() && header[at] != 0;) {
    if (header[at] == 1) {
      ++at;
      continue;
    }
    if (header.size() - at < 2) break;
    const size_t size = header[at + 1];
    if (size < 2 || size > header.size() - at) break;
    if ((header[at] & 0x80) != 0) out.insert(out.end(), header.begin() + at, header.begin() + at + size);
    at += size;
  }
  while (out.size() % 4 != 0) out.push_back(0);
  out[0] = static_cast<uint8_t>(0x40 | (out.size() / 4));
  return out;
}

}  // namespace

std::vector<Bytes> FragmentIpv4(ByteSpan packet, const InnerPacket& inner, size_t mtu, size_t tail) {
  std::vector<Bytes> out;
  if (inner.v6 || inner.dont_fragment || packet.size() < inner.total_size || inner.network_size < 20) return out;
  const ByteSpan first = packet.first(inner.network_size);
  if (mtu < inner.network_size + 8) return out;
  const Bytes later = LaterHeader(first);
  const uint16_t field = Load16(packet.data() + 6);
  const size_t start = field & kOffsetMask;
  size_t at = inner.network_size;
  while (at < inner.total_size) {
    const ByteSpan header = at == inner.network_size ? first : ByteSpan(later);
    const size_t left = inner.total_size - at;
    const size_t room = mtu - header.size();
    const bool last = left <= room;
    const size_t size = last ? left : room & ~size_t{7};
    const size_t offset = start + (at - inner.network_size) / 8;
    const uint16_t flags = !last || (field & kMoreFragments) != 0 ? kMoreFragments : 0;
    Bytes fragment;
    fragment.reserve(header.size() + size + tail);
    fragment.insert(fragment.end(), header.begin(), header.end());
    fragment.insert(fragment.end(), packet.begin() + at, packet.begin() + at + size);
    Store16(fragment.data() + 2, static_cast<uint16_t>(fragment.size()));
    Store16(fragment.data() + 6, static_cast<uint16_t>(flags | (offset & kOffsetMask)));
    FixIpv4Checksum(fragment.data(), header.size());
    fragment.resize(fragment.size() + tail);
    out.push_back(std::move(fragment));
    at += size;
  }
  return out;
}

}  // namespace espalier::esp
