#include "agent/datapath/segmenter.h"

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::datapath {
namespace {

using esp::Load16;
using esp::Load32;
using esp::testing::Packet;
using esp::testing::Tcp;
using esp::testing::Udp;
using esp::testing::UpperChecksumHolds;

Bytes Counting(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 31 >> 2);
  return out;
}

// The segments, copied; each one's trailer is overwritten as sealing does.
std::vector<Bytes> Cut(const VirtioHeader& header, Bytes packet, size_t mtu) {
  const size_t size = packet.size();
  packet.resize(size + Segmenter::kTrailer, 0xcc);
  esp::InnerPacket inner;
  EXPECT_TRUE(esp::ParseInner(packet, &inner));
  Segmenter s;
  std::vector<Bytes> out;
  if (!s.Start(header, std::span(packet).first(size), inner, mtu)) return out;
  std::span<uint8_t> segment;
  while (s.Next(&segment)) {
    out.emplace_back(segment.begin(), segment.end());
    for (size_t i = 0; i < 5; ++i) segment.data()[segment.size() + i] = 0xaa;
    for (size_t i = 0; i < segment.size(); ++i) segment[i] ^= 0x5a;  // the sealed text may lie here too
  }
  EXPECT_EQ(out.size(), s.count());
  return out;
}

TEST(SegmenterTest, TcpSegmentsAreWhatTheKernelWouldHaveMade) {
  for (const bool v6 : {false, true}) {
    for (const size_t payload : {1u, 500u, 1386u, 1387u, 5000u, 60000u}) {
      for (const uint16_t gso : {500, 1386, 1448}) {
        const size_t network = v6 ? 40 : 20, mtu = 1438;
        const Bytes data = Counting(payload);
        const Bytes options = esp::testing::Hex("0101080a0000000100000002");
        const Bytes tcp = Tcp({.sequence = 0xfffffff0, .flags = 0x10 | 0x08 | 0x01 | 0x80, .options = options}, data);
        const Bytes packet = v6 ? Packet({.source = "fd00::1", .destination = "fd00::2", .protocol = 6}, tcp)
                                : Packet({.protocol = 6, .id = 65535}, tcp);
        VirtioHeader h{kVirtioNeedsChecksum,
                       static_cast<uint8_t>((v6 ? kVirtioGsoTcpV6 : kVirtioGsoTcpV4) | kVirtioGsoEcn),
                       0,
                       gso,
                       static_cast<uint16_t>(network),
                       16};
        const auto segments = Cut(h, packet, mtu);
        ASSERT_FALSE(segments.empty());
        Bytes joined;
        for (size_t i = 0; i < segments.size(); ++i) {
          const Bytes& s = segments[i];
          const bool last = i + 1 == segments.size();
          ASSERT_LE(s.size(), mtu);
          esp::InnerPacket p;
          ASSERT_TRUE(esp::ParseInner(s, &p));
          EXPECT_EQ(p.total_size, s.size());
          EXPECT_TRUE(UpperChecksumHolds(s, network, 6));
          EXPECT_EQ(Load32(&s[network + 4]), 0xfffffff0u + static_cast<uint32_t>(joined.size()));
          EXPECT_EQ(s[network + 13], 0x10 | (last ? 0x09 : 0) | (i == 0 ? 0x80 : 0));
          if (!v6) {
            EXPECT_TRUE(esp::Verifies(esp::SumOf(s.data(), 20)));
            EXPECT_EQ(Load16(&s[4]), static_cast<uint16_t>(65535 + i));
          }
          joined.insert(joined.end(), s.begin() + network + 32, s.end());
          EXPECT_TRUE(last || s.size() == std::min<size_t>(network + 32 + gso, mtu)) << s.size();
        }
        EXPECT_EQ(joined, data);
      }
    }
  }
}

TEST(SegmenterTest, UdpDatagramsKeepTheirSize) {
  for (const bool v6 : {false, true}) {
    const size_t network = v6 ? 40 : 20;
    const Bytes data = Counting(3333);
    Bytes udp = Udp(1, 2, 0);
    udp.insert(udp.end(), data.begin(), data.end());
    const Bytes packet = v6 ? Packet({.source = "fd00::1", .destination = "fd00::2"}, udp) : Packet({}, udp);
    const auto segments =
        Cut({kVirtioNeedsChecksum, kVirtioGsoUdpL4, 0, 100, static_cast<uint16_t>(network), 6}, packet, 1438);
    ASSERT_EQ(segments.size(), 34u);
    Bytes joined;
    for (const Bytes& s : segments) {
      EXPECT_TRUE(UpperChecksumHolds(s, network, 17));
      EXPECT_EQ(Load16(&s[network + 4]), s.size() - network);
      joined.insert(joined.end(), s.begin() + network + 8, s.end());
    }
    EXPECT_EQ(joined, data);
  }
}

TEST(SegmenterTest, RefusesHeadersThatDoNotFit) {
  const Bytes tcp = Packet({.protocol = 6}, Tcp({}, Counting(3000)));
  const Bytes udp = Packet({}, Udp(1, 2, 3000));
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV4, 0, 0, 20, 16}, tcp, 1438).empty()) << "no segment size";
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV6, 0, 1000, 20, 16}, tcp, 1438).empty()) << "the other family";
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV4, 0, 1000, 20, 16}, udp, 1438).empty()) << "the other protocol";
  EXPECT_TRUE(Cut({0, kVirtioGsoUdpL4, 0, 1000, 20, 16}, tcp, 1438).empty());
  EXPECT_TRUE(Cut({0, 3, 0, 1000, 20, 16}, tcp, 1438).empty()) << "a type that isn't offered";
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV4, 0, 1000, 20, 16}, tcp, 40).empty()) << "no room";
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV4, 0, 1000, 20, 16},
                  Packet({.protocol = 6, .fragment = 0x2000}, Tcp({}, Counting(800))), 1438)
                  .empty());
  Bytes broken = tcp;
  broken[32] = 0xf0;  // a TCP header of 60 octets is fine here, of 16 is not
  EXPECT_FALSE(Cut({0, kVirtioGsoTcpV4, 0, 1000, 20, 16}, broken, 1438).empty());
  broken[32] = 0x40;
  EXPECT_TRUE(Cut({0, kVirtioGsoTcpV4, 0, 1000, 20, 16}, broken, 1438).empty());
}

TEST(SegmenterTest, CompletesChecksums) {
  Bytes packet = Packet({}, Udp(1, 2, 33));
  // As the kernel leaves it: the pseudo-header's sum, not complemented.
  esp::StoreChecksum(&packet[26], esp::PseudoHeader(packet.data(), 17, packet.size() - 20));
  esp::Store16(&packet[26], static_cast<uint16_t>(~Load16(&packet[26])));
  const Bytes before = packet;
  EXPECT_TRUE(CompleteChecksum({kVirtioNeedsChecksum, 0, 0, 0, 20, 6}, packet));
  EXPECT_TRUE(UpperChecksumHolds(packet, 20, 17));
  Bytes untouched = before;
  EXPECT_TRUE(CompleteChecksum({0, 0, 0, 0, 20, 6}, untouched));
  EXPECT_EQ(untouched, before);
  EXPECT_FALSE(CompleteChecksum({kVirtioNeedsChecksum, 0, 0, 0, 60, 16}, packet));
  EXPECT_FALSE(CompleteChecksum({kVirtioNeedsChecksum, 0, 0, 0, 20, 60000}, packet));
}

}  // namespace
}  // namespace espalier::datapath
