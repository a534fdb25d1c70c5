#include "agent/esp/path_mtu.h"

#include "agent/esp/icmp_too_big.h"
#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Ip;
using testing::Packet;
using testing::Udp;

// A router's answer to an ESP packet of ours, as a raw socket hands it over.
Bytes Answer(bool v6, size_t mtu) {
  Bytes udp = Udp(4500, 4500, 1400);
  Store32(&udp[8], 0x01020304);
  const Bytes outer = v6 ? Packet({.source = "2001:db8::1", .destination = "2001:db8::2"}, udp)
                         : Packet({.source = "192.0.2.1", .destination = "192.0.2.2"}, udp);
  InnerPacket p;
  EXPECT_TRUE(ParseInner(outer, &p));
  Bytes out = BuildTooBig(outer, p, Ip(v6 ? "2001:db8::9" : "192.0.2.9"), mtu);
  if (v6) out.erase(out.begin(), out.begin() + 40);
  return out;
}

TEST(PathMtuTest, ReadsBothFamilies) {
  for (const bool v6 : {false, true}) {
    OuterTooBig t;
    ASSERT_TRUE(ParseOuterTooBig(Answer(v6, 1300), v6, 4500, &t));
    EXPECT_EQ(t.mtu, 1300u);
    EXPECT_EQ(t.spi, 0x01020304u);
    EXPECT_EQ(t.destination, Ip(v6 ? "2001:db8::2" : "192.0.2.2"));
    EXPECT_FALSE(ParseOuterTooBig(Answer(v6, 1300), v6, 4501, &t)) << "another port's";
  }
}

TEST(PathMtuTest, EveryTruncationIsRefused) {
  for (const bool v6 : {false, true}) {
    const Bytes whole = Answer(v6, 1300);
    OuterTooBig t;
    const size_t least = v6 ? 8 + 40 + 12 : 20 + 8 + 20 + 12;
    for (size_t size = 0; size < least; ++size) {
      EXPECT_FALSE(ParseOuterTooBig(ByteSpan(whole).first(size), v6, 4500, &t)) << size;
    }
    EXPECT_TRUE(ParseOuterTooBig(ByteSpan(whole).first(least), v6, 4500, &t));
    for (const size_t at : v6 ? std::vector<size_t>{0, 8, 14} : std::vector<size_t>{20, 21, 28, 37}) {
      Bytes other = whole;
      other[at] ^= 0x55;  // type, code, quoted version, quoted protocol
      EXPECT_FALSE(ParseOuterTooBig(other, v6, 4500, &t)) << at;
    }
  }
}

}  // namespace
}  // namespace espalier::esp
