#include "agent/datapath/hold_queue.h"

#include "gtest/gtest.h"

namespace espalier::datapath {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(HoldQueueTest, KeepsOrderAndForgetsWhatIsTaken) {
  HoldBudget budget;
  HoldQueue<int> q({}, &budget);
  for (uint8_t i = 0; i < 5; ++i) ASSERT_TRUE(q.Add(7, Bytes{i}, i));
  ASSERT_TRUE(q.Add(8, Bytes{9}, 0));
  const auto held = q.Take(7);
  ASSERT_EQ(held.size(), 5u);
  for (uint8_t i = 0; i < 5; ++i) {
    EXPECT_EQ(held[i].frame, Bytes{i});
    EXPECT_EQ(held[i].deadline_ns, i + kSecond);
  }
  EXPECT_TRUE(q.Take(7).empty());
  EXPECT_EQ(budget.used, 1u);
  EXPECT_EQ(q.TakeAll().size(), 1u);
  EXPECT_EQ(budget.used, 0u);
}

TEST(HoldQueueTest, EveryBoundHolds) {
  HoldBudget budget{.limit = 1000};
  HoldQueue<int> q({.packets = 3, .bytes = 250, .keys = 5}, &budget);
  EXPECT_TRUE(q.Add(1, Bytes(1), 0));
  EXPECT_TRUE(q.Add(1, Bytes(1), 0));
  EXPECT_TRUE(q.Add(1, Bytes(1), 0));
  EXPECT_FALSE(q.Add(1, Bytes(1), 0)) << "packets";
  EXPECT_TRUE(q.Add(2, Bytes(200), 0));
  EXPECT_FALSE(q.Add(2, Bytes(51), 0)) << "octets of a key";
  EXPECT_FALSE(q.Add(3, Bytes(251), 0)) << "octets of a key, the first";
  EXPECT_TRUE(q.Add(3, Bytes(250), 0));
  EXPECT_TRUE(q.Add(4, Bytes(250), 0));
  EXPECT_TRUE(q.Add(5, Bytes(240), 0));
  EXPECT_EQ(q.keys(), 5u);
  EXPECT_FALSE(q.Add(6, Bytes(1), 0)) << "keys";
  EXPECT_LE(budget.used, 1000u);
  q.Take(1);
  EXPECT_FALSE(q.Add(1, Bytes(61), 0)) << "octets in all";
  EXPECT_TRUE(q.Add(1, Bytes(60), 0));
}

TEST(HoldQueueTest, ExpiresAndKeepsOldDeadlines) {
  HoldBudget budget;
  HoldQueue<int> q({}, &budget);
  q.Add(1, Bytes(1), 0);
  q.Add(1, Bytes(1), 10);
  q.Add(2, Bytes(1), 20, /*deadline_ns=*/5);
  EXPECT_EQ(q.NextDeadline(), 5);
  EXPECT_EQ(q.Expire(4), 0u);
  EXPECT_EQ(q.Expire(5), 1u);
  EXPECT_EQ(q.NextDeadline(), kSecond);
  EXPECT_EQ(q.Expire(kSecond + 9), 1u);
  EXPECT_EQ(q.Expire(kSecond + 10), 1u);
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.NextDeadline(), INT64_MAX);
  EXPECT_EQ(budget.used, 0u);
}

}  // namespace
}  // namespace espalier::datapath
