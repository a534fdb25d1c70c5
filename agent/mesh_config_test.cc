#include "agent/mesh_config.h"

#include <gtest/gtest.h>

namespace espalier {
namespace {

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

policy::View ViewOfThree() {
  policy::View view;
  view.mesh.set_trust_domain("example.org");
  view.mesh.set_self_node_id(1);
  for (uint32_t id : {1, 2, 3}) {
    v1::Node& n = view.nodes[id];
    n.set_id(id);
    n.set_name("n" + std::to_string(id));
    n.set_uid("uid-" + std::to_string(id));
    if (id != 2) n.add_addresses("fd00::" + std::to_string(id));
    if (id != 3) n.add_addresses("192.0.2." + std::to_string(id));
  }
  return view;
}

TEST(EnginePeers, TakesTheFamilyThatBothHaveAndNeverItself) {
  const auto peers = EnginePeers(ViewOfThree(), {Ip("192.0.2.1"), Ip("fd00::1")}, 4500);
  ASSERT_EQ(peers.size(), 2u);
  EXPECT_EQ(peers[0].remote.ToString(), "192.0.2.2:4500");
  EXPECT_EQ(std::string(peers[0].key_id.begin(), peers[0].key_id.end()), "spiffe://example.org/node/uid-2");
  EXPECT_EQ(peers[1].remote.ToString(), "[fd00::3]:4500");
  EXPECT_EQ(peers[1].local.address, Ip("fd00::1"));
  EXPECT_TRUE(EnginePeers(ViewOfThree(), {Ip("fd00::1")}, 4500).size() == 1);
}

TEST(EngineConfig, TakesTheProfileAndRefusesUnknownSuites) {
  auto view = ViewOfThree();
  v1::Profile& p = view.profiles["default"];
  p.add_esp("CHACHA20-POLY1305");
  p.set_rekey_seconds(5);
  auto config = EngineConfig(view);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->self, 1u);
  EXPECT_EQ(config->esp, std::vector<ike::EspSuite>{ike::EspSuite::kChaCha20Poly1305});
  EXPECT_EQ(config->child_lifetime, absl::Seconds(5));
  EXPECT_FALSE(config->post_quantum);
  p.add_esp("3DES");
  config = EngineConfig(view);
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.status().message().find("profile/default esp: \"3DES\""), std::string::npos);
}

TEST(OuterMtu, NamesAnAddressThatNoDeviceHas) {
  EXPECT_TRUE(OuterMtu({Ip("127.0.0.1")}).ok());
  const auto mtu = OuterMtu({Ip("203.0.113.77")});
  ASSERT_FALSE(mtu.ok());
  EXPECT_NE(mtu.status().message().find("203.0.113.77"), std::string::npos);
}

}  // namespace
}  // namespace espalier
