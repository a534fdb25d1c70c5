#include "agent/esp/fragment.h"

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Hex;
using testing::Packet;

std::vector<Bytes> Fragment(const Bytes& packet, size_t mtu, size_t tail = 0) {
  InnerPacket inner;
  EXPECT_TRUE(ParseInner(packet, &inner));
  return FragmentIpv4(packet, inner, mtu, tail);
}

// Puts the fragments of one packet together again by their offsets.
Bytes Reassemble(const std::vector<Bytes>& fragments, bool* last) {
  Bytes out;
  *last = false;
  for (const Bytes& f : fragments) {
    InnerPacket p;
    EXPECT_TRUE(ParseInner(f, &p));
    EXPECT_TRUE(Verifies(SumOf(f.data(), p.network_size)));
    const size_t at = size_t{Load16(&f[6]) & 0x1fffu} * 8;
    const size_t size = p.total_size - p.network_size;
    if (out.size() < at + size) out.resize(at + size);
    std::copy(f.begin() + p.network_size, f.begin() + p.total_size, out.begin() + at);
    if ((Load16(&f[6]) & 0x2000) == 0) *last = true;
    EXPECT_EQ(Load16(&f[4]), Load16(&fragments[0][4])) << "one id";
  }
  return out;
}

Bytes Counting(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 31 >> 3);
  return out;
}

TEST(FragmentTest, EverySizeComesTogetherAgain) {
  for (const size_t mtu : {68, 576, 1438}) {
    for (size_t size = mtu - 19; size < 4200; size += 61) {
      const Bytes upper = Counting(size);
      const auto fragments = Fragment(Packet({.fragment = 0}, upper), mtu);
      ASSERT_GT(fragments.size(), 1u);
      for (const Bytes& f : fragments) ASSERT_LE(f.size(), mtu);
      bool last;
      ASSERT_EQ(Reassemble(fragments, &last), upper) << size;
      EXPECT_TRUE(last);
    }
  }
}

TEST(FragmentTest, OnlyCopiedOptionsGoWithLaterFragments) {
  // Record route (not copied), router alert (copied), end.
  const auto fragments =
      Fragment(Packet({.fragment = 0, .options = Hex("0707040000000094 04000000")}, Counting(300)), 128);
  ASSERT_GT(fragments.size(), 2u);
  EXPECT_EQ(fragments[0][0], 0x48);
  EXPECT_EQ(fragments[1][0], 0x46);
  EXPECT_EQ(Load32(&fragments[1][20]), 0x94040000u);
  bool last;
  EXPECT_EQ(Reassemble(fragments, &last), Counting(300));
}

TEST(FragmentTest, AFragmentOfAFragment) {
  const auto fragments = Fragment(Packet({.fragment = 0x2000 | 10}, Counting(200)), 100);
  ASSERT_EQ(fragments.size(), 3u);
  EXPECT_EQ(Load16(&fragments[0][6]), 0x2000 | 10);
  EXPECT_EQ(Load16(&fragments[1][6]), 0x2000 | 20);
  EXPECT_EQ(Load16(&fragments[2][6]), 0x2000 | 30) << "more come after this one too";
}

TEST(FragmentTest, NotWithDfNorWithoutRoom) {
  EXPECT_TRUE(Fragment(Packet({.fragment = 0x4000}, Bytes(2000)), 1400).empty());
  EXPECT_TRUE(Fragment(Packet({.source = "fd00::1", .destination = "fd00::2"}, Bytes(2000)), 1400).empty());
  EXPECT_TRUE(Fragment(Packet({.fragment = 0}, Bytes(2000)), 27).empty());
  const auto tailed = Fragment(Packet({.fragment = 0}, Bytes(2000)), 1400, 16);
  ASSERT_FALSE(tailed.empty());
  EXPECT_EQ(tailed[0].size(), size_t{Load16(&tailed[0][2])} + 16);
}

}  // namespace
}  // namespace espalier::esp
