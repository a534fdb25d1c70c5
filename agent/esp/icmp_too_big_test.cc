#include "agent/esp/icmp_too_big.h"

#include <algorithm>

#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Ip;
using testing::Packet;
using testing::Udp;

Bytes Build(const Bytes& packet, absl::string_view source, size_t mtu = 1400) {
  InnerPacket inner;
  EXPECT_TRUE(ParseInner(packet, &inner));
  return BuildTooBig(packet, inner, Ip(source), mtu);
}

TEST(IcmpTooBigTest, V4) {
  const Bytes packet = Packet({}, Udp(1, 2, 1450));
  const Bytes icmp = Build(packet, "192.0.2.1");
  InnerPacket p;
  ASSERT_TRUE(ParseInner(icmp, &p));
  EXPECT_EQ(icmp.size(), 576u);
  EXPECT_EQ(p.total_size, icmp.size());
  EXPECT_EQ(p.protocol, 1);
  EXPECT_EQ(p.source, Ip("192.0.2.1"));
  EXPECT_EQ(p.destination, Ip("10.1.0.1"));
  EXPECT_TRUE(Verifies(SumOf(icmp.data(), 20)));
  EXPECT_TRUE(Verifies(SumOf(icmp.data() + 20, icmp.size() - 20)));
  EXPECT_EQ(icmp[20], 3);
  EXPECT_EQ(icmp[21], 4);
  EXPECT_EQ(Load16(&icmp[26]), 1400);
  EXPECT_TRUE(std::equal(icmp.begin() + 28, icmp.end(), packet.begin()));
}

TEST(IcmpTooBigTest, V6) {
  const Bytes packet = Packet({.source = "fd00::1", .destination = "fd00::2"}, Udp(1, 2, 1450));
  const Bytes icmp = Build(packet, "2001:db8::1");
  InnerPacket p;
  ASSERT_TRUE(ParseInner(icmp, &p));
  EXPECT_EQ(icmp.size(), 1280u);
  EXPECT_EQ(p.protocol, 58);
  EXPECT_EQ(p.destination, Ip("fd00::1"));
  EXPECT_TRUE(testing::UpperChecksumHolds(icmp, 40, 58));
  EXPECT_EQ(icmp[40], 2);
  EXPECT_EQ(Load32(&icmp[44]), 1400u);
  EXPECT_TRUE(std::equal(icmp.begin() + 48, icmp.end(), packet.begin()));
}

// RFC 1122 section 3.2.2, RFC 4443 section 2.4.
TEST(IcmpTooBigTest, NotInAnswerToErrorsFragmentsOrCrowds) {
  Bytes error = {3, 4, 0, 0, 0, 0, 0, 0}, echo = {8, 0, 0, 0, 0, 0, 0, 0}, error6 = {2, 0, 0, 0, 0, 0, 0, 0},
        echo6 = {128, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_TRUE(Build(Packet({.protocol = 1}, error), "192.0.2.1").empty());
  EXPECT_FALSE(Build(Packet({.protocol = 1}, echo), "192.0.2.1").empty());
  EXPECT_TRUE(
      Build(Packet({.source = "fd00::1", .destination = "fd00::2", .protocol = 58}, error6), "fd00::9").empty());
  EXPECT_FALSE(
      Build(Packet({.source = "fd00::1", .destination = "fd00::2", .protocol = 58}, echo6), "fd00::9").empty());
  EXPECT_TRUE(Build(Packet({.fragment = 0x2010}, Bytes(64)), "192.0.2.1").empty());
  EXPECT_TRUE(Build(Packet({.source = "0.0.0.0"}, Udp(1, 2, 8)), "192.0.2.1").empty());
  EXPECT_TRUE(Build(Packet({.destination = "224.0.0.5"}, Udp(1, 2, 8)), "192.0.2.1").empty());
  EXPECT_TRUE(Build(Packet({.source = "ff02::1", .destination = "fd00::2"}, Udp(1, 2, 8)), "fd00::9").empty());
  EXPECT_TRUE(Build(Packet({}, Udp(1, 2, 8)), "fd00::9").empty()) << "the other family";
}

}  // namespace
}  // namespace espalier::esp
