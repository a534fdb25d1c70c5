// Random networks: thousands of seeds, each a few minutes of two nodes that rekey often while datagrams are lost,
// repeated and overtaken. When the network is good again all must end in one IKE SA and one child.
#include "gtest/gtest.h"
#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

void RunSeed(uint64_t seed, bool post_quantum) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed << " post_quantum " << post_quantum);
  std::mt19937_64 random(seed);
  auto uniform = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
  Mesh mesh(seed);
  Config c;
  c.post_quantum = post_quantum;
  c.child_lifetime = absl::Seconds(10 + 20 * uniform());
  c.ike_lifetime = absl::Seconds(20 + 40 * uniform());
  c.dpd_interval = absl::Seconds(5);
  c.retransmit_tries = 6;
  mesh.Add(1, c);
  mesh.Add(2, c);
  mesh.ShareView();
  mesh.loss = 0.4 * uniform() * uniform();
  mesh.duplicate = 0.2 * uniform();
  mesh.delay = absl::Milliseconds(1 + 10 * uniform());
  mesh.jitter = absl::Milliseconds(40 * uniform());
  for (int i = 0; i < 100; ++i) {
    if (uniform() < 0.6) mesh.SendPacket(1, 2);
    if (uniform() < 0.6) mesh.SendPacket(2, 1);
    double what = uniform();
    PeerId by = uniform() < 0.5 ? 1 : 2;
    if (what < 0.05) mesh.node(by).engine().RekeyChild(mesh.now(), 3 - by);
    if (what > 0.97) mesh.node(by).engine().RekeyIke(mesh.now(), 3 - by);
    if (i % 5 == 0) mesh.ReportTraffic();
    mesh.RunFor(absl::Milliseconds(300 * uniform()));
  }
  // A good network from here on.
  mesh.loss = mesh.duplicate = 0;
  mesh.jitter = absl::ZeroDuration();
  int bad_key = 0;
  for (int i = 0; i < 120; ++i) {
    for (auto [from, to] : {std::pair<PeerId, PeerId>(1, 2), std::pair<PeerId, PeerId>(2, 1)}) {
      bad_key += mesh.SendPacket(from, to) == Mesh::Packet::kBadKey;
    }
    mesh.ReportTraffic();
    mesh.RunFor(absl::Milliseconds(500));
  }
  EXPECT_EQ(bad_key, 0);
  // No rekey may be half done now: look for a moment of rest.
  bool rest = false;
  for (int i = 0; i < 100 && !rest; ++i) {
    mesh.SendPacket(1, 2);
    mesh.SendPacket(2, 1);
    rest = static_cast<bool>(mesh.OnePair(1, 2));
    mesh.ReportTraffic();
    mesh.RunFor(absl::Milliseconds(250));
  }
  EXPECT_TRUE(rest) << mesh.OnePair(1, 2).message();
}

TEST(Chaos, ClassicSeeds) {
  for (uint64_t seed = 1; seed <= 1000 && !::testing::Test::HasFailure(); ++seed) RunSeed(seed, false);
}
TEST(Chaos, PostQuantumSeeds) {
  for (uint64_t seed = 1001; seed <= 2000 && !::testing::Test::HasFailure(); ++seed) RunSeed(seed, true);
}

}  // namespace
}  // namespace espalier::ike
