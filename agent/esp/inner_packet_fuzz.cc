// Arbitrary octets as inner packets, and everything that is done to one that parses.
#include <cstdlib>

#include "agent/esp/checksum.h"
#include "agent/esp/fragment.h"
#include "agent/esp/icmp_too_big.h"
#include "agent/esp/inner_packet.h"
#include "agent/esp/mss_clamp.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes packet(data, data + size);
  esp::InnerPacket inner;
  if (!esp::ParseInner(packet, &inner)) return 0;
  if (inner.total_size > size || inner.network_size > inner.total_size) std::abort();
  if (inner.later_fragment && (inner.source_port != 0 || inner.destination_port != 0)) std::abort();
  const size_t mtu = 68 + size % 1500;
  const Bytes answer = esp::BuildTooBig(packet, inner, inner.destination, mtu);
  esp::InnerPacket parsed;
  if (!answer.empty() && (!esp::ParseInner(answer, &parsed) || parsed.total_size != answer.size())) std::abort();
  size_t octets = 0;
  for (const Bytes& f : esp::FragmentIpv4(packet, inner, mtu, 0)) {
    if (f.size() > mtu || !esp::Verifies(esp::SumOf(f.data(), size_t{f[0] & 0x0fu} * 4))) std::abort();
    octets += f.size();
  }
  if (octets > 0 && octets < inner.total_size) std::abort();
  esp::ClampMss(packet, inner, mtu);
  return 0;
}
