#include "agent/esp/mss_clamp.h"

#include <algorithm>

#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::FixUpper;
using testing::Hex;
using testing::Packet;
using testing::Tcp;
using testing::UpperChecksumHolds;

Bytes Syn(bool v6, Bytes options, uint8_t flags = 0x02) {
  Bytes p = v6 ? Packet({.source = "fd00::1", .destination = "fd00::2", .protocol = 6},
                        Tcp({.flags = flags, .options = std::move(options)}, {}))
               : Packet({.protocol = 6}, Tcp({.flags = flags, .options = std::move(options)}, {}));
  FixUpper(&p, v6 ? 40 : 20, 6);
  return p;
}

bool Clamp(Bytes* packet, size_t mtu) {
  InnerPacket inner;
  EXPECT_TRUE(ParseInner(*packet, &inner));
  return ClampMss(*packet, inner, mtu);
}

TEST(MssClampTest, LowersToWhatFits) {
  for (const bool v6 : {false, true}) {
    for (const char* options :
         {"020405b4", "0101020405b40000", "01020405b4000000", "0402080a0000000100000000020405b4"}) {
      const size_t at = v6 ? 40 : 20;
      for (const uint8_t flags : {0x02, 0x12}) {  // SYN, SYN and ACK
        Bytes p = Syn(v6, Hex(options), flags);
        EXPECT_TRUE(Clamp(&p, 1438));
        EXPECT_TRUE(UpperChecksumHolds(p, at, 6)) << options;
        const Bytes want = Hex(v6 ? "02040562" : "02040576");  // 1378, 1398
        EXPECT_NE(std::search(p.begin(), p.end(), want.begin(), want.end()), p.end()) << options;
        EXPECT_FALSE(Clamp(&p, 1438)) << "fits now";
      }
    }
  }
}

TEST(MssClampTest, LeavesEverythingElseAlone) {
  for (const auto& [options, flags] : {std::pair{"02040100", 0x02},          // small already
                                       std::pair{"020405b4", 0x10},          // not a SYN
                                       std::pair{"00000000020405b4", 0x02},  // behind the end of options
                                       std::pair{"020305b4", 0x02},          // not an MSS option's length
                                       std::pair{"0100000002", 0x02},        // cut off
                                       std::pair{"01010002", 0x02}, std::pair{"08000000", 0x02},  // length 0
                                       std::pair{"010101fe", 0x02}}) {
    Bytes o = Hex(options);
    o.resize((o.size() + 3) / 4 * 4);
    Bytes p = Syn(false, o, static_cast<uint8_t>(flags));
    const Bytes before = p;
    EXPECT_FALSE(Clamp(&p, 1438)) << options;
    EXPECT_EQ(p, before);
  }
}

}  // namespace
}  // namespace espalier::esp
