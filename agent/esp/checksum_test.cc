#include "agent/esp/checksum.h"

#include <random>

#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

// RFC 1071 section 1, word by word.
uint16_t Plain(ByteSpan data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2) {
    sum += uint32_t{data[i]} << 8 | (i + 1 < data.size() ? data[i + 1] : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

TEST(ChecksumTest, AgreesWithTheDefinitionAtEverySizeAndAlignment) {
  std::mt19937 random(7);
  Bytes data(9100);
  for (uint8_t& b : data) b = static_cast<uint8_t>(random() % 3 == 0 ? 0xff : random());
  for (size_t size = 0; size < 9000; size += size < 400 ? 1 : 97) {
    for (const size_t at : {0, 1, 7, 33}) {
      const ByteSpan part = ByteSpan(data).subspan(at, size);
      uint8_t out[2];
      StoreChecksum(out, SumOf(part.data(), part.size()));
      ASSERT_EQ(Load16(out), Plain(part)) << size << " at " << at;
    }
  }
}

TEST(ChecksumTest, AllOnesDoNotOverflow) {
  const Bytes data(65535, 0xff);
  uint8_t out[2];
  StoreChecksum(out, SumOf(data.data(), data.size()));
  EXPECT_EQ(Load16(out), Plain(data));
}

TEST(ChecksumTest, IncrementalEqualsWhole) {
  std::mt19937 random(8);
  for (int i = 0; i < 20000; ++i) {
    Bytes packet = testing::Packet({.id = static_cast<uint16_t>(random())}, testing::Udp(1, 2, 8));
    const uint16_t before = Load16(&packet[4]), after = static_cast<uint16_t>(i % 5 == 0 ? 0 : random());
    Store16(&packet[4], after);
    AdjustChecksum(&packet[10], before, after);
    ASSERT_TRUE(Verifies(SumOf(packet.data(), 20)));
  }
}

}  // namespace
}  // namespace espalier::esp
