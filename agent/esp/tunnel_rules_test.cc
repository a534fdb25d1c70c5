#include "agent/esp/tunnel_rules.h"

#include "agent/esp/checksum.h"
#include "agent/esp/inner_packet.h"
#include "agent/esp/outbound_sa.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Packet;
using testing::Udp;

// RFC 6040 figure 4, row by row; -1: drop. Columns: outer Not-ECT, ECT(0), ECT(1), CE.
constexpr int kFigure4[4][4] = {{0, 0, 0, -1}, {2, 2, 1, 3}, {1, 1, 1, 3}, {3, 3, 3, 3}};
constexpr uint8_t kOrder[4] = {kEcnNotEct, kEcnEct0, kEcnEct1, kEcnCe};

TEST(TunnelRulesTest, AllSixteenEcnPairs) {
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) {
      const int want = kFigure4[row][column];
      const auto got = CombineEcn(kOrder[row], kOrder[column]);
      EXPECT_EQ(got.has_value() ? *got : -1, want) << row << " " << column;
      for (const bool v6 : {false, true}) {
        const uint8_t inner_class = static_cast<uint8_t>(0xb8 | kOrder[row]);
        Bytes packet =
            v6 ? Packet({.source = "fd00::1", .destination = "fd00::2", .traffic_class = inner_class}, Udp(1, 2, 4))
               : Packet({.traffic_class = inner_class}, Udp(1, 2, 4));
        const bool kept = CombineEcnInPlace(packet.data(), static_cast<uint8_t>(0x28 | kOrder[column]));
        EXPECT_EQ(kept, want >= 0);
        if (!kept) continue;
        InnerPacket p;
        ASSERT_TRUE(ParseInner(packet, &p));
        EXPECT_EQ(p.traffic_class, 0xb8 | want) << "DSCP is never copied in";
        EXPECT_TRUE(v6 || Verifies(SumOf(packet.data(), 20)));
      }
    }
  }
}

TEST(TunnelRulesTest, MtuToTheOctet) {
  EXPECT_EQ(InnerMtu(1500, false), 1438u);
  EXPECT_EQ(InnerMtu(1500, true), 1418u);
  EXPECT_EQ(InnerMtu(20, false), 0u);
  for (size_t mtu = 576; mtu < 9100; ++mtu) {
    for (const bool v6 : {false, true}) {
      const size_t outer = (v6 ? 40 : 20) + 8;
      const size_t inner = InnerMtu(mtu, v6);
      EXPECT_LE(outer + SealedSize(inner), mtu);
      EXPECT_GT(outer + SealedSize(inner + 1), mtu);
    }
  }
}

}  // namespace
}  // namespace espalier::esp
