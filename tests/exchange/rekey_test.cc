// CREATE_CHILD_SA: rekeys of either kind, by either end, by both.
#include "gtest/gtest.h"
#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

Config Classic() {
  Config c;
  c.post_quantum = false;
  return c;
}

void Connect(Mesh& mesh) {
  mesh.ShareView();
  mesh.SendPacket(1, 2);
  ASSERT_TRUE(mesh.RunUntil([&] { return mesh.SendPacket(1, 2) == Mesh::Packet::kOpened; }));
  mesh.Settle();
  ASSERT_TRUE(mesh.OnePair(1, 2));
}

class Rekey : public ::testing::TestWithParam<bool> {
 protected:
  Config config() const { return GetParam() ? Config() : Classic(); }
};

// CREATE_CHILD_SA { N(REKEY_SA), SA, Ni, KEi, TSi, TSr }  -->
//                               <--  { SA, Nr, KEr, TSi, TSr, N(ADDITIONAL_KEY_EXCHANGE) }
// IKE_FOLLOWUP_KE { KEi(1), N(ADDITIONAL_KEY_EXCHANGE) }  -->
//                               <--  { KEr(1) }
// INFORMATIONAL { D }  -->
//                               <--  { D }
TEST_P(Rekey, ChildByEitherEnd) {
  Mesh mesh;
  mesh.Add(1, config());
  mesh.Add(2, config());
  Connect(mesh);
  for (PeerId by : {1, 2, 2, 1}) {
    uint32_t before = mesh.node(1).current.at(2).first;
    mesh.node(by).engine().RekeyChild(mesh.now(), 3 - by);
    for (int i = 0; i < 100; ++i) {
      mesh.RunFor(absl::Milliseconds(1));
      ASSERT_TRUE(mesh.AllOpenable());
      ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
      ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
    }
    EXPECT_NE(mesh.node(1).current.at(2).first, before);
    mesh.RunFor(absl::Seconds(6));
    EXPECT_TRUE(mesh.OnePair(1, 2));
  }
}

INSTANTIATE_TEST_SUITE_P(PostQuantum, Rekey, ::testing::Bool());

}  // namespace
}  // namespace espalier::ike
