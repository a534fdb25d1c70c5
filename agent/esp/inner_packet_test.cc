#include "agent/esp/inner_packet.h"

#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Hex;
using testing::Ip;
using testing::IpFields;
using testing::Packet;
using testing::Tcp;
using testing::Udp;

IpFields V6(uint8_t protocol, Bytes extensions = {}) {
  return {.source = "fd00::1", .destination = "fd00::2", .protocol = protocol, .options = std::move(extensions)};
}

TEST(InnerPacketTest, ReadsBothFamilies) {
  InnerPacket p;
  ASSERT_TRUE(ParseInner(Packet({.protocol = 6, .traffic_class = 0xb9}, Tcp({}, {})), &p));
  EXPECT_FALSE(p.v6);
  EXPECT_EQ(p.source, Ip("10.1.0.1"));
  EXPECT_EQ(p.destination, Ip("10.2.0.2"));
  EXPECT_EQ(p.protocol, 6);
  EXPECT_EQ(p.source_port, 1000);
  EXPECT_EQ(p.destination_port, 80);
  EXPECT_TRUE(p.dont_fragment);
  EXPECT_FALSE(p.fragment);
  EXPECT_EQ(p.traffic_class, 0xb9);
  EXPECT_EQ(p.network_size, 20u);
  EXPECT_EQ(p.total_size, 40u);
  IpFields f = V6(17);
  f.traffic_class = 0xb9;
  ASSERT_TRUE(ParseInner(Packet(f, Udp(5, 53, 10)), &p));
  EXPECT_TRUE(p.v6);
  EXPECT_EQ(p.destination, Ip("fd00::2"));
  EXPECT_EQ(p.destination_port, 53);
  EXPECT_EQ(p.traffic_class, 0xb9);
  EXPECT_EQ(p.total_size, 58u);
}

TEST(InnerPacketTest, OptionsAndExtensionHeaders) {
  InnerPacket p;
  ASSERT_TRUE(ParseInner(Packet({.options = Hex("0101010194040000")}, Udp(1, 2, 4)), &p));
  EXPECT_EQ(p.network_size, 28u);
  EXPECT_EQ(p.destination_port, 2);
  // Hop-by-hop, destination options, routing (type 4, nothing left), AH, then UDP.
  const Bytes chain = Hex("3c00010400000000 2b00010400000000 3300040000000000 1102000000000100 00000001deadbeef");
  ASSERT_TRUE(ParseInner(Packet(V6(0, chain), Udp(1, 2, 4)), &p));
  EXPECT_EQ(p.protocol, 17);
  EXPECT_EQ(p.network_size, 40u + chain.size());
  EXPECT_EQ(p.destination_port, 2);
}

TEST(InnerPacketTest, Fragments) {
  InnerPacket p;
  ASSERT_TRUE(ParseInner(Packet({.fragment = 0x2000}, Udp(1, 2, 100)), &p));
  EXPECT_TRUE(p.fragment);
  EXPECT_FALSE(p.later_fragment);
  EXPECT_EQ(p.destination_port, 2);
  ASSERT_TRUE(ParseInner(Packet({.fragment = 0x2010}, Udp(1, 2, 100)), &p));
  EXPECT_TRUE(p.later_fragment);
  EXPECT_EQ(p.destination_port, 0) << "has no ports, whatever its octets look like";
  ASSERT_TRUE(ParseInner(Packet(V6(44, Hex("1100000100000001")), Udp(1, 2, 8)), &p));
  EXPECT_TRUE(p.fragment);
  EXPECT_FALSE(p.later_fragment);
  EXPECT_EQ(p.destination_port, 2);
  ASSERT_TRUE(ParseInner(Packet(V6(44, Hex("1100000900000001")), Udp(1, 2, 8)), &p));
  EXPECT_TRUE(p.later_fragment);
  EXPECT_EQ(p.protocol, 17);
  EXPECT_EQ(p.destination_port, 0);
  ASSERT_TRUE(ParseInner(Packet(V6(44, Hex("1100000000000001")), Udp(1, 2, 8)), &p)) << "an atomic fragment";
  EXPECT_FALSE(p.fragment);
}

TEST(InnerPacketTest, RefusesWhatHidesPortsOrGoesTooFar) {
  InnerPacket p;
  EXPECT_FALSE(ParseInner(Packet({.protocol = 6, .fragment = 0x2000}, Bytes(8)), &p)) << "a tiny first fragment";
  EXPECT_FALSE(ParseInner(Packet({.protocol = 6, .fragment = 0x2001}, Bytes(24)), &p)) << "RFC 1858";
  EXPECT_FALSE(ParseInner(Packet({.fragment = 0x1fff}, Bytes(100)), &p)) << "beyond 65535 octets";
  EXPECT_FALSE(ParseInner(Packet(V6(44, Hex("060000090000000106")), Bytes(24)), &p)) << "RFC 1858";
  EXPECT_FALSE(ParseInner(Packet(V6(44, Hex("2c00000100000001 1100000100000001")), Udp(1, 2, 8)), &p)) << "nested";
  EXPECT_FALSE(ParseInner(Packet(V6(43, Hex("1102000100000000 00000000000000000000000000000000")), Udp(1, 2, 8)), &p))
      << "type 0 routing, one left";
  EXPECT_FALSE(ParseInner(Packet(V6(60, Hex("0000010400000000 1100010400000000")), Udp(1, 2, 8)), &p))
      << "hop-by-hop not first";
  Bytes chain;
  for (int i = 0; i < 8; ++i) {
    const Bytes next = Hex(i == 7 ? "1100010400000000" : "3c00010400000000");
    chain.insert(chain.end(), next.begin(), next.end());
  }
  EXPECT_TRUE(ParseInner(Packet(V6(60, chain), Udp(1, 2, 8)), &p));
  chain.insert(chain.begin(), {0x3c, 0, 1, 4, 0, 0, 0, 0});
  EXPECT_FALSE(ParseInner(Packet(V6(60, chain), Udp(1, 2, 8)), &p)) << "nine headers";
}

TEST(InnerPacketTest, EveryTruncationIsRefused) {
  const Bytes packets[] = {
      Packet({.protocol = 6, .options = Hex("01010101")}, Tcp({}, Bytes(9))),
      Packet({}, Udp(1, 2, 9)),
      Packet(V6(0, Hex("3c00010400000000 1100010400000000")), Udp(1, 2, 9)),
      Packet(V6(44, Hex("1100000100000001")), Udp(1, 2, 8)),
  };
  InnerPacket p;
  for (const Bytes& packet : packets) {
    ASSERT_TRUE(ParseInner(packet, &p));
    for (size_t size = 0; size < packet.size(); ++size) {
      EXPECT_FALSE(ParseInner(ByteSpan(packet).first(size), &p)) << size << " of " << packet.size();
    }
    Bytes longer = packet;
    longer.resize(packet.size() + 77);
    ASSERT_TRUE(ParseInner(longer, &p)) << "TFC padding";
    EXPECT_EQ(p.total_size, packet.size());
  }
}

}  // namespace
}  // namespace espalier::esp
