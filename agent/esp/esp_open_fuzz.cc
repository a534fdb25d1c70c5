// Arbitrary octets as ESP packets, in sequence at one SA, and authentic packets around arbitrary plaintext.
#include <cstdlib>

#include "agent/esp/inbound_sa.h"
#include "agent/esp/inner_packet.h"
#include "agent/esp/octets.h"
#include "agent/esp/outbound_sa.h"
#include "agent/esp/tunnel_rules.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  ike::EspSa sa;
  sa.spi = 0x01020304;
  sa.suite = static_cast<ike::EspSuite>(1 + data[0] % 3);
  sa.esn = (data[0] & 4) != 0;
  sa.replay_window = 32 + data[1];
  sa.key = Secret(esp::KeyMaterialSize(sa.suite));
  auto in = esp::InboundSa::Create(sa);
  auto out = esp::OutboundSa::Create(sa, data[1] + uint64_t{1});
  if (!in.ok() || !out.ok()) std::abort();
  Reader r(ByteSpan(data + 2, size - 2));
  while (r.remaining() > 2) {
    uint8_t kind = 0, length = 0;
    ByteSpan octets;
    r.U8(&kind);
    r.U8(&length);
    if (!r.Take(std::min<size_t>(length, r.remaining()), &octets)) break;
    Bytes packet;
    if (kind % 4 == 0) {
      packet.assign(octets.begin(), octets.end());
    } else {
      Bytes inner(octets.begin(), octets.end());
      inner.resize(inner.size() + esp::kTrailerMax);
      packet.resize(esp::SealedSize(octets.size()));
      const size_t n = (*out)->Seal(inner.data(), octets.size(),
                                    kind % 4 == 1   ? 4
                                    : kind % 4 == 2 ? 41
                                                    : kind,
                                    packet.data());
      packet.resize(n);
      if (kind & 0x40 && !packet.empty()) packet[kind % packet.size()] ^= length;
    }
    Bytes plain(esp::InboundSa::PlainSize(packet.size()));
    esp::Opened opened;
    const uint64_t before = (*in)->sequence();
    switch ((*in)->Open(packet, plain.data(), &opened)) {
      case esp::OpenResult::kOk: {
        if (opened.size > plain.size() || opened.sequence == 0) std::abort();
        esp::InnerPacket inner;
        plain.resize(opened.size);
        if (esp::ParseInner(plain, &inner) && !plain.empty()) esp::CombineEcnInPlace(plain.data(), length);
        if ((*in)->Open(packet, Bytes(packet.size()).data(), &opened) != esp::OpenResult::kReplay) std::abort();
        break;
      }
      case esp::OpenResult::kIcv:
      case esp::OpenResult::kReplay:
        if ((*in)->sequence() != before) std::abort();
        break;
      default:
        break;
    }
  }
  return 0;
}
