#include "controller/identity/node_ids.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace espalier::identity {
namespace {

std::set<std::string> Uids(int n) {
  std::set<std::string> out;
  for (int i = 0; i < n; ++i) out.insert(absl::StrCat("uid-", i));
  return out;
}

TEST(NodeIds, NeverChange) { EXPECT_EQ(NodeIdAllocator().Assign({"uid-1"}).at("uid-1"), 20655u); }

TEST(NodeIds, UniqueAndInRange) {
  NodeIdAllocator allocator;
  std::set<uint32_t> seen;
  for (const auto& [uid, id] : allocator.Assign(Uids(5000))) {
    EXPECT_GE(id, 1u);
    EXPECT_LE(id, NodeIdAllocator::kMaxId);
    EXPECT_TRUE(seen.insert(id).second);
  }
  EXPECT_EQ(seen.size(), 5000u);
}

TEST(NodeIds, TwoControllersAgree) {
  NodeIdAllocator a, b;
  EXPECT_EQ(a.Assign(Uids(3000)), b.Assign(Uids(3000)));
}

// Among 3,000 nodes many collide; whoever has an id keeps it, whatever comes.
TEST(NodeIds, KeptForLife) {
  NodeIdAllocator allocator;
  const auto before = allocator.Assign(Uids(1500));
  const auto after = allocator.Assign(Uids(3000));
  for (const auto& [uid, id] : before) EXPECT_EQ(after.at(uid), id) << uid;
  EXPECT_EQ(allocator.Assign(Uids(1500)), before);
  // And over a restart.
  NodeIdAllocator next;
  allocator.Assign(Uids(3000));
  ASSERT_TRUE(next.Load(allocator.Save()).ok());
  EXPECT_EQ(next.Assign(Uids(3000)), allocator.Assign(Uids(3000)));
}

TEST(NodeIds, FullRange) {
  NodeIdAllocator allocator;
  EXPECT_EQ(allocator.Assign(Uids(66000)).size(), NodeIdAllocator::kMaxId);
}

TEST(NodeIds, LoadRefusesNonsense) {
  NodeIdAllocator allocator;
  allocator.Assign({"a"});
  const std::string saved = allocator.Save();
  for (const char* bad : {"x y", "0 a", "65536 a", "5", "5 a\n5 b", "5 a\n6 a"}) {
    EXPECT_FALSE(allocator.Load(bad).ok()) << bad;
    EXPECT_EQ(allocator.Save(), saved);
  }
  EXPECT_TRUE(allocator.Load("").ok());
}

}  // namespace
}  // namespace espalier::identity
