#include "agent/esp/replay_window.h"

#include <random>
#include <unordered_set>

#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

TEST(ReplayWindowTest, ZeroIsNeverANumber) {
  for (const bool esn : {false, true}) {
    ReplayWindow w(64, esn);
    EXPECT_FALSE(w.Accept(0));
    EXPECT_TRUE(w.Accept(1));
    EXPECT_FALSE(w.Accept(1));
  }
}

// RFC 4303 section 3.4.3: the edges W-1, W and W+1 behind the highest.
TEST(ReplayWindowTest, EdgesAreExact) {
  for (const uint32_t size : {32u, 33u, 63u, 64u, 65u, 1000u, 4095u, 4096u}) {
    for (const uint64_t top : {uint64_t{10'000}, uint64_t{10'048}, uint64_t{0xffffffff}, uint64_t{0x5'0000'0010}}) {
      ReplayWindow w(size, true);
      ASSERT_TRUE(w.Accept(top));
      EXPECT_FALSE(w.Check(top));
      EXPECT_TRUE(w.Check(top - size + 1)) << size;
      EXPECT_FALSE(w.Check(top - size)) << size;
      EXPECT_FALSE(w.Check(top - size - 1)) << size;
      ASSERT_TRUE(w.Accept(top - size + 1));
      EXPECT_FALSE(w.Accept(top - size + 1));
      ASSERT_TRUE(w.Accept(top + 1));
      EXPECT_FALSE(w.Check(top - size + 1)) << "has left the window";
    }
  }
}

TEST(ReplayWindowTest, JumpClears) {
  ReplayWindow w(4096, true);
  for (uint64_t i = 1; i <= 9000; ++i) ASSERT_TRUE(w.Accept(i));
  for (const uint64_t jump : {4095, 4096, 4097, 8191, 8192, 8193, 100'000}) {
    const uint64_t before = w.top();
    ASSERT_TRUE(w.Accept(before + jump));
    for (uint64_t i = before + 1; i < before + jump; ++i) {
      ASSERT_EQ(w.Check(i), before + jump - i < 4096) << jump << " " << i;
    }
    ASSERT_FALSE(w.Check(before));
  }
}

// Appendix A2.2: the high half, across 2^32 in both cases.
TEST(ReplayWindowTest, InfersTheHighHalf) {
  ReplayWindow w(4096, true);
  EXPECT_EQ(w.Infer(1), 1u);
  EXPECT_EQ(w.Infer(0xfffffff0), std::nullopt) << "would lie before the first number";
  ASSERT_TRUE(w.Accept(0xffff'ff00));
  EXPECT_EQ(w.Infer(0xffff'ff80), 0xffff'ff80u);
  EXPECT_EQ(w.Infer(5), 0x1'0000'0005u) << "case A: left of the window is the next subspace";
  ASSERT_TRUE(w.Accept(0x1'0000'0005));
  EXPECT_EQ(w.Infer(0xffff'ff80), 0xffff'ff80u) << "case B: the window spans two subspaces";
  EXPECT_EQ(w.Infer(6), 0x1'0000'0006u);
  EXPECT_EQ(w.Infer(100'000), 0x1'0000'0000u + 100'000);
}

TEST(ReplayWindowTest, NothingBeyondTheLastNumber) {
  ReplayWindow w(64, true);
  ASSERT_TRUE(w.Accept(UINT64_MAX - 10));
  EXPECT_EQ(w.Infer(0xffff'ffff), UINT64_MAX);
  EXPECT_EQ(w.Infer(5), std::nullopt);
}

// The sender's real number must come out whenever it is within the window or less than 2^32 - W ahead.
TEST(ReplayWindowTest, InferenceRandom) {
  const uint64_t seed = 4303;
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200'000; ++i) {
    const uint32_t size = 32 + static_cast<uint32_t>(random() % 4065);
    ReplayWindow w(size, true);
    const uint64_t top = 1 + random() % 0x10'0000'0000 + (random() % 4 == 0 ? 0 : 0xffff'f000);
    ASSERT_TRUE(w.Accept(top));
    const uint64_t behind = std::min<uint64_t>(random() % size, top - 1);
    ASSERT_EQ(w.Infer(static_cast<uint32_t>(top - behind)), top - behind) << "seed " << seed << " step " << i;
    const uint64_t ahead = random() % (0x1'0000'0000 - size);
    ASSERT_EQ(w.Infer(static_cast<uint32_t>(top + ahead)), top + ahead) << "seed " << seed << " step " << i;
  }
}

// Against a model that remembers every number: ten million steps of loss, reordering, repetition and jumps.
TEST(ReplayWindowTest, AgreesWithASetModel) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  uint64_t steps = 0;
  while (steps < 10'000'000) {
    const uint32_t size = random() % 3 == 0 ? 4096 : 32 + static_cast<uint32_t>(random() % 4065);
    const uint64_t start = random() % 2 == 0 ? 0 : 0xffff'0000 + random() % 0x1'0000;
    ReplayWindow w(size, true);
    std::unordered_set<uint64_t> seen;
    uint64_t top = 0;
    if (start > 0) {
      ASSERT_TRUE(w.Accept(start));
      seen.insert(top = start);
    }
    for (int i = 0; i < 200'000; ++i, ++steps) {
      uint64_t number;
      switch (random() % 16) {
        case 0:
          number = top + random() % (size * 2) + 1;  // a jump
          break;
        case 1:
        case 2:
        case 3:
          number = top - std::min<uint64_t>(top, random() % (size + 70));  // late, or a replay
          break;
        default:
          number = top + 1 + random() % 3;
      }
      const bool expect = number != 0 && (number > top || top - number < size) && !seen.contains(number);
      ASSERT_EQ(w.Check(number), expect) << "step " << steps << " number " << number << " top " << top << " W " << size;
      if (random() % 8 == 0) continue;  // as if its ICV had been wrong
      ASSERT_EQ(w.Accept(number), expect) << "step " << steps << " number " << number << " top " << top;
      if (expect) {
        seen.insert(number);
        top = std::max(top, number);
      }
      ASSERT_EQ(w.top(), top);
    }
  }
}

}  // namespace
}  // namespace espalier::esp
