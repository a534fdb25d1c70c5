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

class Rekey : public ::testing::TestWithParam<bool> {
 protected:
  Config config() const { return GetParam() ? Config() : Classic(); }
  void Connect(Mesh& mesh) {
    mesh.Add(1, config());
    mesh.Add(2, config());
    mesh.ShareView();
    ASSERT_TRUE(mesh.Connect(1, 2));
  }
  // Packets both ways each millisecond: every one is opened.
  void Traffic(Mesh& mesh, int milliseconds) {
    for (int i = 0; i < milliseconds; ++i) {
      mesh.RunFor(absl::Milliseconds(1));
      ASSERT_TRUE(mesh.AllOpenable());
      ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
      ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
    }
  }
};

// CREATE_CHILD_SA { N(REKEY_SA), SA, Ni, KEi, TSi, TSr }  -->
//                               <--  { SA, Nr, KEr, TSi, TSr, N(ADDITIONAL_KEY_EXCHANGE) }
// IKE_FOLLOWUP_KE { KEi(1), N(ADDITIONAL_KEY_EXCHANGE) }  -->
//                               <--  { KEr(1) }
// INFORMATIONAL { D }  -->
//                               <--  { D }
TEST_P(Rekey, ChildByEitherEnd) {
  Mesh mesh;
  Connect(mesh);
  for (PeerId by : {1, 2, 2, 1}) {
    uint32_t before = mesh.node(1).current.at(2).first;
    mesh.node(by).engine().RekeyChild(mesh.now(), 3 - by);
    Traffic(mesh, 100);
    EXPECT_NE(mesh.node(1).current.at(2).first, before);
    mesh.RunFor(absl::Seconds(6));
    EXPECT_TRUE(mesh.OnePair(1, 2));
  }
}

// The responder of a rekey has no packet from the initiator to tell it that the new SA is in use: the Delete does.
TEST_P(Rekey, ChildWithoutTrafficFromTheInitiator) {
  Mesh mesh;
  Connect(mesh);
  mesh.node(1).engine().RekeyChild(mesh.now(), 2);
  for (int i = 0; i < 100; ++i) {
    mesh.RunFor(absl::Milliseconds(1));
    ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
  }
  mesh.RunFor(absl::Seconds(6));
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// CREATE_CHILD_SA { SA, Ni, KEi }  -->
//                               <--  { SA, Nr, KEr [, N(ADDITIONAL_KEY_EXCHANGE)] }
// [IKE_FOLLOWUP_KE]
// INFORMATIONAL { D(IKE) }  -->
//                               <--  { }
TEST_P(Rekey, IkeByEitherEnd) {
  Mesh mesh;
  Connect(mesh);
  uint32_t child = mesh.node(1).current.at(2).first;
  for (PeerId by : {1, 2, 2, 1}) {
    uint64_t before = mesh.node(1).engine().Report().front().spi_local;
    mesh.node(by).engine().RekeyIke(mesh.now(), 3 - by);
    Traffic(mesh, 50);
    EXPECT_NE(mesh.node(1).engine().Report().front().spi_local, before);
    EXPECT_EQ(mesh.node(1).engine().Report().front().initiator, by == 1);
    mesh.RunFor(absl::Seconds(6));
    EXPECT_TRUE(mesh.OnePair(1, 2));
  }
  EXPECT_EQ(mesh.node(1).current.at(2).first, child) << "children move, they are not made anew";
  // And the child rekeys under the keys of the youngest.
  mesh.node(2).engine().RekeyChild(mesh.now(), 1);
  Traffic(mesh, 50);
  mesh.RunFor(absl::Seconds(6));
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// Two rekeys begun up to 12 ms apart, the message that is `lag`th held back by 0, 3, 9 ms: COL-01 to COL-05, COL-09 to
// COL-15, COL-18, whichever that makes.
class Collision : public Rekey {
 protected:
  void Cross(bool child_by_1, bool child_by_2) {
    for (int skew = 0; skew <= 12; ++skew) {
      for (int lag = -1; lag < 10; ++lag) {
        for (int hold : {3, 9}) {
          SCOPED_TRACE(::testing::Message() << "skew " << skew << " lag " << lag << " hold " << hold);
          Mesh mesh(static_cast<uint64_t>(1 + skew * 1000 + (lag + 1) * 10 + hold));
          Connect(mesh);
          mesh.delay = absl::Milliseconds(3);
          int n = 0;
          mesh.filter = [&](const Datagram& d) {
            if (n++ != lag) return true;
            mesh.Inject(d, mesh.delay + absl::Milliseconds(hold));
            return false;
          };
          Begin(mesh, 1, child_by_1);
          Traffic(mesh, skew);
          Begin(mesh, 2, child_by_2);
          Traffic(mesh, 100);
          // What was refused is tried again.
          for (int i = 0; i < 60; ++i) {
            mesh.RunFor(absl::Milliseconds(500));
            ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
            ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
          }
          mesh.RunFor(absl::Seconds(6));
          ASSERT_TRUE(mesh.OnePair(1, 2));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  static void Begin(Mesh& mesh, PeerId by, bool child) {
    if (child) {
      mesh.node(by).engine().RekeyChild(mesh.now(), 3 - by);
    } else {
      mesh.node(by).engine().RekeyIke(mesh.now(), 3 - by);
    }
  }
};

TEST_P(Collision, ChildAndChild) { Cross(true, true); }
TEST_P(Collision, IkeAndIke) { Cross(false, false); }
TEST_P(Collision, ChildAndIke) { Cross(true, false); }
TEST_P(Collision, IkeAndChild) { Cross(false, true); }

// RFC 7296 section 2.8.1: both rekeys cross on the wire exactly; the counters show that the rule was used.
TEST_P(Collision, IsDecidedByTheLowestNonce) {
  for (uint64_t seed = 1; seed < 40; ++seed) {
    Mesh mesh(seed);
    Connect(mesh);
    for (bool child : {true, false}) {
      Begin(mesh, 1, child);
      Begin(mesh, 2, child);
      mesh.RunFor(absl::Milliseconds(100));
      mesh.SendPacket(1, 2);
      mesh.SendPacket(2, 1);
      mesh.RunFor(absl::Seconds(6));
      ASSERT_TRUE(mesh.OnePair(1, 2)) << "seed " << seed << " child " << child;
    }
    EXPECT_EQ(mesh.node(1).engine().Counters()["ike_collisions"], 2u);
    EXPECT_EQ(mesh.node(2).engine().Counters()["ike_collisions"], 2u);
    EXPECT_EQ(mesh.node(1).engine().Counters()["ike_rekeyed"], 1u) << "seed " << seed;
  }
}

// Each datagram of a rekey lost, once and three times.
TEST_P(Rekey, LossOfEachMessage) {
  for (bool child : {true, false}) {
    for (size_t lost = 0; lost < 9; ++lost) {
      for (size_t times : {1, 3}) {
        SCOPED_TRACE(::testing::Message() << (child ? "child" : "ike") << " datagram " << lost << " x" << times);
        Mesh mesh(lost + 1);
        Connect(mesh);
        size_t at = 0;
        mesh.filter = [&](const Datagram&) {
          size_t i = at++;
          return i < lost || i >= lost + times;
        };
        if (child) {
          mesh.node(1).engine().RekeyChild(mesh.now(), 2);
        } else {
          mesh.node(1).engine().RekeyIke(mesh.now(), 2);
        }
        Traffic(mesh, 3000);
        mesh.RunFor(absl::Seconds(20));
        ASSERT_TRUE(mesh.OnePair(1, 2));
      }
    }
  }
}

// Children of 2 s and IKE SAs of 4 s under traffic for an hour.
TEST_P(Rekey, VeryShortLifetimesForAnHour) {
  Mesh mesh;
  Config c = config();
  c.child_lifetime = absl::Seconds(2);
  c.ike_lifetime = absl::Seconds(4);
  mesh.Add(1, c);
  mesh.Add(2, c);
  mesh.ShareView();
  mesh.jitter = absl::Milliseconds(1);
  ASSERT_TRUE(mesh.Connect(1, 2));
  for (int i = 0; i < 3600 * 20; ++i) {
    mesh.RunFor(absl::Milliseconds(50));
    ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened) << i;
    ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened) << i;
    if (i % 20 == 0) {
      mesh.ReportTraffic();
      ASSERT_LE(mesh.node(1).inbound.size(), 8u);
    }
  }
  EXPECT_GT(mesh.node(1).engine().Counters()["child_rekeyed"], 1800u);
  EXPECT_GT(mesh.node(1).engine().Counters()["ike_rekeyed"], 900u);
  EXPECT_EQ(mesh.node(1).engine().Counters()["ike_established"], 1u);
}

// IKE-069: by bytes, and by packets.
TEST_P(Rekey, ByTraffic) {
  Mesh mesh;
  Config c = config();
  c.child_packets = 1000;
  mesh.Add(1, c);
  mesh.Add(2, c);
  mesh.ShareView();
  ASSERT_TRUE(mesh.Connect(1, 2));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
    if (i % 50 == 0) mesh.ReportTraffic();
    mesh.RunFor(absl::Milliseconds(1));
  }
  EXPECT_GE(mesh.node(2).engine().Counters()["child_rekeyed"], 5u);
  EXPECT_LE(mesh.node(2).engine().Counters()["child_rekeyed"], 12u);
}

// ERR-07 in a rekey: refused by the datapath at either end, the old SA goes on.
TEST_P(Rekey, DatapathRefusesTheNewOne) {
  for (PeerId who : {1, 2}) {
    Mesh mesh;
    Connect(mesh);
    mesh.node(who).refuse_inbound = true;
    mesh.node(1).engine().RekeyChild(mesh.now(), 2);
    Traffic(mesh, 150);
    mesh.node(who).refuse_inbound = false;
    mesh.RunFor(absl::Seconds(6));
    EXPECT_TRUE(mesh.OnePair(1, 2)) << "node " << who;
  }
}

INSTANTIATE_TEST_SUITE_P(PostQuantum, Rekey, ::testing::Bool());
INSTANTIATE_TEST_SUITE_P(PostQuantum, Collision, ::testing::Bool());

}  // namespace
}  // namespace espalier::ike
