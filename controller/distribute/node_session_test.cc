#include "controller/distribute/node_session.h"

#include <gtest/gtest.h>

namespace espalier::distribute {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

compile::NodeView NewView() {
  return {std::make_shared<const compile::ResourceMap>(), std::make_shared<const compile::ResourceMap>()};
}

TEST(NodeSessionTest, NothingIsSentWithoutAViewOrAStream) {
  NodeSession session;
  session.Connect(0);
  EXPECT_FALSE(session.Next(kNow));
  session.Disconnect();
  session.Publish(NewView(), 1);
  EXPECT_FALSE(session.Next(kNow));
}

TEST(NodeSessionTest, FirstIsFullThenDifferences) {
  NodeSession session;
  compile::NodeView one = NewView(), two = NewView();
  session.Publish(one, 1);
  session.Connect(0);
  auto first = session.Next(kNow);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->full);
  EXPECT_EQ(first->from.common, nullptr);
  EXPECT_EQ(first->to.common, one.common);
  EXPECT_EQ(session.OnAnswer(1, "", kNow), NodeSession::Answer::kAcknowledged);
  EXPECT_TRUE(session.in_sync());
  session.Publish(two, 2);
  EXPECT_FALSE(session.in_sync());
  auto second = session.Next(kNow);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->full);
  EXPECT_EQ(second->from.common, one.common);
  EXPECT_EQ(second->version, 2u);
}

TEST(NodeSessionTest, UnchangedViewKeepsItsVersion) {
  NodeSession session;
  compile::NodeView view = NewView();
  session.Publish(view, 1);
  session.Publish(view, 2);
  EXPECT_EQ(session.version(), 1u);
}

TEST(NodeSessionTest, OneUnderWayAndLaterChangesMerge) {
  NodeSession session;
  session.Publish(NewView(), 1);
  session.Connect(0);
  ASSERT_TRUE(session.Next(kNow));
  session.Publish(NewView(), 2);
  session.Publish(NewView(), 3);
  EXPECT_FALSE(session.Next(kNow));
  session.OnAnswer(1, "", kNow);
  auto next = session.Next(kNow);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->version, 3u);
}

TEST(NodeSessionTest, RefusedIsAsIfNeverSent) {
  NodeSession session;
  compile::NodeView good = NewView();
  session.Publish(good, 1);
  session.Connect(0);
  session.Next(kNow);
  session.OnAnswer(1, "", kNow);
  session.Publish(NewView(), 2);
  session.Next(kNow);
  EXPECT_EQ(session.OnAnswer(2, "no room", kNow), NodeSession::Answer::kRefused);
  EXPECT_EQ(session.refusal(), "no room");
  EXPECT_FALSE(session.Next(kNow)) << "the same view again at once";
  session.Publish(NewView(), 3);
  auto next = session.Next(kNow);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->from.common, good.common);
  session.OnAnswer(3, "", kNow);
  EXPECT_TRUE(session.refusal().empty());
}

TEST(NodeSessionTest, RefusedIsOfferedAgainLater) {
  NodeSession session;
  session.Publish(NewView(), 1);
  session.Connect(0);
  session.Next(kNow);
  session.OnAnswer(1, "no room", kNow);
  EXPECT_FALSE(session.Next(kNow + NodeSession::kRetryRefused - absl::Seconds(1)));
  EXPECT_TRUE(session.Next(kNow + NodeSession::kRetryRefused));
}

TEST(NodeSessionTest, ResumesFromAKeptVersion) {
  NodeSession session;
  compile::NodeView one = NewView();
  session.Publish(one, 1);
  session.Publish(NewView(), 2);
  session.Connect(1);
  auto next = session.Next(kNow);
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->full);
  EXPECT_EQ(next->from.common, one.common);
  session.Connect(2);
  EXPECT_TRUE(session.in_sync());
  EXPECT_FALSE(session.Next(kNow));
}

TEST(NodeSessionTest, UnknownOrForgottenVersionGetsAll) {
  NodeSession session;
  for (uint64_t v = 1; v <= NodeSession::kHistory + 1; ++v) session.Publish(NewView(), v);
  for (uint64_t version : {uint64_t{1}, uint64_t{1000}}) {
    session.Connect(version);
    auto next = session.Next(kNow);
    ASSERT_TRUE(next);
    EXPECT_TRUE(next->full);
  }
}

TEST(NodeSessionTest, StrayAnswersChangeNothing) {
  NodeSession session;
  session.Publish(NewView(), 1);
  session.Connect(0);
  EXPECT_EQ(session.OnAnswer(1, "", kNow), NodeSession::Answer::kStray);
  session.Next(kNow);
  EXPECT_EQ(session.OnAnswer(7, "", kNow), NodeSession::Answer::kStray);
  EXPECT_FALSE(session.in_sync());
  session.OnAnswer(1, "", kNow);
  EXPECT_EQ(session.OnAnswer(1, "late", kNow), NodeSession::Answer::kStray);
  EXPECT_TRUE(session.in_sync());
}

TEST(NodeSessionTest, UnansweredDeltaShows) {
  NodeSession session;
  session.Publish(NewView(), 1);
  session.Connect(0);
  EXPECT_EQ(session.waiting_since(), absl::InfiniteFuture());
  session.Next(kNow);
  EXPECT_EQ(session.waiting_since(), kNow);
  session.Disconnect();
  EXPECT_EQ(session.waiting_since(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace espalier::distribute
