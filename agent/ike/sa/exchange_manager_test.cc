#include "agent/ike/sa/exchange_manager.h"

#include "gtest/gtest.h"

namespace espalier::ike {
namespace {

TEST(ExchangeManager, RepeatsWithGrowingWaitsThenGivesUp) {
  RetransmitPolicy policy{absl::Milliseconds(500), 1.8, 12};
  ExchangeManager exchanges;
  absl::Time start = absl::FromUnixSeconds(1000), now = start;
  exchanges.Sent(now, 37, {{1, 2, 3}}, policy, 0);
  absl::Duration before;
  int repeats = 0;
  for (;;) {
    absl::Time due = exchanges.deadline();
    EXPECT_EQ(exchanges.OnTimer(due - absl::Nanoseconds(1), policy, 0), ExchangeManager::Tick::kNothing);
    EXPECT_GE(due - now, before);
    before = due - now;
    now = due;
    if (exchanges.OnTimer(now, policy, 0) == ExchangeManager::Tick::kGiveUp) break;
    ++repeats;
  }
  EXPECT_EQ(repeats, 12);
  EXPECT_EQ(now - start, policy.Total());
  EXPECT_GT(policy.Total(), absl::Minutes(3));  // RFC 7296 section 2.4: several minutes
}

TEST(ExchangeManager, AnswersOnlyWhatIsOut) {
  RetransmitPolicy policy{absl::Milliseconds(500)};
  ExchangeManager exchanges;
  EXPECT_FALSE(exchanges.Answers(0, 37));
  exchanges.Sent(absl::UnixEpoch(), 37, {{1}}, policy, 0);
  EXPECT_TRUE(exchanges.Answers(0, 37));
  EXPECT_FALSE(exchanges.Answers(0, 36));
  EXPECT_FALSE(exchanges.Answers(1, 37));
  exchanges.Answered();
  EXPECT_FALSE(exchanges.Answers(0, 37));
  EXPECT_EQ(exchanges.next_request_id(), 1u);
  EXPECT_EQ(exchanges.deadline(), absl::InfiniteFuture());
}

TEST(ExchangeManager, WindowOfOne) {
  ExchangeManager exchanges;
  using Incoming = ExchangeManager::Incoming;
  EXPECT_EQ(exchanges.Classify(0), Incoming::kNew);
  EXPECT_EQ(exchanges.Classify(1), Incoming::kOutside);
  EXPECT_EQ(exchanges.Classify(0xffffffff), Incoming::kOutside);
  exchanges.Responded({{7}});
  EXPECT_EQ(exchanges.Classify(0), Incoming::kRepeat);
  EXPECT_EQ(exchanges.Classify(1), Incoming::kNew);
  exchanges.Responded({{8}});
  EXPECT_EQ(exchanges.Classify(0), Incoming::kOutside);
  EXPECT_EQ(exchanges.response(), (std::vector<Bytes>{{8}}));
}

}  // namespace
}  // namespace espalier::ike
