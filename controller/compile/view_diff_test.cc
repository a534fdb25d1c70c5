#include "controller/compile/view_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace espalier::compile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ResourcePtr Node(uint32_t id, const std::string& name) {
  v1::Resource out;
  out.mutable_node()->set_id(id);
  out.mutable_node()->set_name(name);
  return std::make_shared<const v1::Resource>(std::move(out));
}

std::vector<std::string> Names(const ViewDelta& delta) {
  std::vector<std::string> out;
  for (const ResourcePtr& r : delta.changed) out.push_back(r->node().name());
  return out;
}

TEST(ViewDiff, Maps) {
  const ResourceMap from = {{"node/1", Node(1, "a")}, {"node/2", Node(2, "b")}, {"node/4", Node(4, "d")}};
  // Equal content in another pointer is no change.
  const ResourceMap to = {{"node/1", Node(1, "a")}, {"node/2", Node(2, "B")}, {"node/3", Node(3, "c")}};
  const ViewDelta delta = Diff(from, to);
  EXPECT_THAT(Names(delta), ElementsAre("B", "c"));
  EXPECT_THAT(delta.removed, ElementsAre("node/4"));
  EXPECT_TRUE(Diff(from, from).empty());
  EXPECT_THAT(Diff(from, {}).removed, ElementsAre("node/1", "node/2", "node/4"));
}

TEST(ViewDiff, Views) {
  ViewDiffer differ;
  const auto common = std::make_shared<const ResourceMap>(ResourceMap{{"node/1", Node(1, "a")}});
  const auto common2 = std::make_shared<const ResourceMap>(ResourceMap{{"node/1", Node(1, "A")}});
  const auto own = std::make_shared<const ResourceMap>(ResourceMap{{"x", Node(9, "x")}});
  const auto own2 = std::make_shared<const ResourceMap>(ResourceMap{{"y", Node(9, "y")}});
  EXPECT_THAT(Names(differ.Diff({}, {common, own})), ElementsAre("a", "x"));
  EXPECT_TRUE(differ.Diff({common, own}, {common, own}).empty());
  const ViewDelta delta = differ.Diff({common, own}, {common2, own2});
  EXPECT_THAT(Names(delta), ElementsAre("A", "y"));
  EXPECT_THAT(delta.removed, ElementsAre("x"));
  // More common halves than it remembers, and back.
  for (int round = 0; round < 2; ++round) {
    for (uint32_t i = 0; i < 50; ++i) {
      const auto other = std::make_shared<const ResourceMap>(ResourceMap{{"node/1", Node(1, std::to_string(i))}});
      EXPECT_THAT(Names(differ.Diff({common, own}, {other, own})), ElementsAre(std::to_string(i)));
    }
  }
  EXPECT_THAT(Names(differ.Diff({common, own}, {common2, own})), ElementsAre("A"));
}

}  // namespace
}  // namespace espalier::compile
