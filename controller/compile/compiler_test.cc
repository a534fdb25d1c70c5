#include "controller/compile/compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "controller/compile/profile.h"
#include "controller/compile/test_mesh.h"
#include "controller/compile/view_diff.h"

namespace espalier::compile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class CompilerTest : public ::testing::Test {
 protected:
  CompilerTest() {
    for (int n = 1; n <= 3; ++n) {
      mesh_.AddNode(absl::StrCat("n", n), absl::StrCat("192.168.1.", n), absl::StrCat("10.244.", n, ".0/24"));
    }
    mesh_.AddPod("web-1", "n1", "10.244.1.5", "web");
    mesh_.AddPod("web-2", "n2", "10.244.2.5", "web");
    mesh_.AddPod("db", "n2", "10.244.2.6", "db");
    mesh_.AddPod("lone", "n3", "10.244.3.5", "lone");
  }
  static std::vector<std::string> Keys(const ResourceMap& map, const std::string& prefix) {
    std::vector<std::string> out;
    for (const auto& [key, resource] : map) {
      if (key.compare(0, prefix.size(), prefix) == 0) out.push_back(key.substr(prefix.size()));
    }
    return out;
  }

  TestMesh mesh_;
};

TEST_F(CompilerTest, CommonHalf) {
  mesh_.input.mesh.controller_addresses = {"192.168.1.100:7443", "[fd00::1]:7443"};
  mesh_.input.agents["uid-n2"] = {77, true};
  const auto compiled = mesh_.Compile();
  const NodeView view = *compiled->View("n1");
  EXPECT_EQ(view.common, compiled->View("n2")->common);
  EXPECT_THAT(Keys(*view.common, "address/"), ElementsAre("10.244.1.5", "10.244.2.5", "10.244.2.6", "10.244.3.5"));
  EXPECT_EQ(Keys(*view.common, "node/").size(), 3u);
  EXPECT_THAT(Keys(*view.common, "profile/"), ElementsAre("default"));
  EXPECT_THAT(Keys(*view.common, "exemption/"), ElementsAre("controller", "dhcp-client", "dhcp-server", "esp",
                                                            "icmpv6-nd", "ike", "ike-nat-t", "link-local"));
  EXPECT_THAT(view.common->at("exemption/controller")->exemption().cidrs(),
              ElementsAre("192.168.1.100/32", "fd00::1/128"));
  EXPECT_EQ(view.common->at("exemption/controller")->exemption().port(), 7443u);
  EXPECT_THAT(view.common->at("exemption/ike-nat-t")->exemption().cidrs(),
              ElementsAre("192.168.1.1/32", "192.168.1.2/32", "192.168.1.3/32"));
  // No exemption but by address: none may hold for all of the pods' traffic.
  for (const std::string& name : Keys(*view.common, "exemption/")) {
    EXPECT_FALSE(view.common->at("exemption/" + name)->exemption().cidrs().empty()) << name;
  }
  const v1::Address& address = view.common->at("address/10.244.2.6")->address();
  EXPECT_EQ(address.pod(), "shop/db");
  const uint32_t n2 = compiled->nodes().at("n2").id;
  EXPECT_EQ(address.node_id(), n2);
  const v1::Node& node = view.common->at(absl::StrCat("node/", n2))->node();
  EXPECT_EQ(node.name(), "n2");
  EXPECT_EQ(node.boot_id(), 77u);
  EXPECT_TRUE(node.mlkem());
  EXPECT_EQ(compiled->nodes().at("n2").pods, 2u);
  EXPECT_FALSE(compiled->View("n9").ok());
}

TEST_F(CompilerTest, OwnHalf) {
  mesh_.input.mesh.revoked_serials = {"0a"};
  const auto compiled = mesh_.Compile();
  const NodeView view = *compiled->View("n2");
  const v1::Mesh& mesh = view.own->at("mesh")->mesh();
  EXPECT_EQ(mesh.self_node_id(), compiled->nodes().at("n2").id);
  EXPECT_THAT(mesh.mesh_cidrs(), ElementsAre("10.244.1.0/24", "10.244.2.0/23"));
  EXPECT_THAT(mesh.revoked_serials(), ElementsAre("0a"));
  EXPECT_EQ(Keys(*view.own, "identity/").size(), 2u);
  const std::string web = absl::StrCat("identity/", view.common->at("address/10.244.2.5")->address().identity());
  EXPECT_EQ(view.own->at(web)->identity().labels().at("app"), "web");
  EXPECT_EQ(view.own->at(web), compiled->View("n1")->own->at(web));
  EXPECT_EQ(view.Resources().size(), view.size());
}

TEST_F(CompilerTest, OnlyPoliciesThatConcernALocalPod) {
  mesh_.AddPolicy("web-db",
                  R"({"podSelector":{"matchLabels":{"app":"db"}},"rules":[{"action":"Require","peers":[{"podSelector":
      {"matchLabels":{"app":"web"}}}]}]})");
  mesh_.AddPolicy("nobody", R"({"podSelector":{"matchLabels":{"app":"none"}}})");
  mesh_.AddPolicy("lone", R"({"podSelector":{"matchLabels":{"app":"lone"}}})", v1::STAGE_SEND);
  const auto compiled = mesh_.Compile();
  EXPECT_THAT(Keys(*compiled->View("n1")->own, "policy/EncryptionPolicy/shop/"), ElementsAre("lone", "web-db"));
  EXPECT_THAT(Keys(*compiled->View("n3")->own, "policy/EncryptionPolicy/shop/"), ElementsAre("lone"));
  const auto& scopes = compiled->scopes();
  EXPECT_THAT(scopes.at("EncryptionPolicy/shop/web-db").nodes, UnorderedElementsAre("uid-n1", "uid-n2"));
  EXPECT_EQ(scopes.at("EncryptionPolicy/shop/web-db").selected_pods, 1u);
  EXPECT_THAT(scopes.at("EncryptionPolicy/shop/nobody").nodes, IsEmpty());
  EXPECT_EQ(scopes.at("EncryptionPolicy/shop/lone").nodes.size(), 3u);
  const v1::Policy& lone = compiled->View("n3")->own->at("policy/EncryptionPolicy/shop/lone")->policy();
  EXPECT_EQ(lone.stage(), v1::STAGE_SEND);
  EXPECT_EQ(lone.generation(), 1);
  EXPECT_EQ(lone.name(), "EncryptionPolicy/shop/lone");
}

TEST_F(CompilerTest, ANewPodIsUnderItsPolicyInTheSameView) {
  mesh_.AddPolicy("web", R"({"podSelector":{"matchLabels":{"app":"web"}}})");
  mesh_.Compile();
  mesh_.AddPod("web-3", "n3", "10.244.3.9", "web");
  const auto compiled = mesh_.Compile();
  const NodeView view = *compiled->View("n3");
  const uint32_t id = view.common->at("address/10.244.3.9")->address().identity();
  EXPECT_THAT(view.own->at("policy/EncryptionPolicy/shop/web")->policy().subject_identities(), ElementsAre(id));
}

TEST_F(CompilerTest, WhatDidNotChangeIsTheSamePointer) {
  mesh_.AddPolicy("web", R"({"podSelector":{"matchLabels":{"app":"web"}}})");
  const auto first = mesh_.Compile();
  const auto second = mesh_.Compile();
  for (const char* node : {"n1", "n2", "n3"}) {
    EXPECT_EQ(first->View(node)->common, second->View(node)->common);
    EXPECT_EQ(first->View(node)->own, second->View(node)->own);
  }
  // A policy for one node's pod alone leaves the others' views alone.
  mesh_.AddPolicy("self",
                  R"({"podSelector":{"matchLabels":{"app":"lone"}},"rules":[{"action":"Deny","peers":[{"podSelector":
      {"matchLabels":{"app":"lone"}}}]}]})");
  const auto third = mesh_.Compile();
  EXPECT_EQ(third->View("n1")->common, first->View("n1")->common);
  EXPECT_EQ(third->View("n1")->own, first->View("n1")->own);
  EXPECT_NE(third->View("n3")->own, first->View("n3")->own);
  // A new pod: only its own address is another resource.
  mesh_.AddPod("web-4", "n1", "10.244.1.9", "web");
  const auto fourth = mesh_.Compile();
  const ViewDelta delta = Diff(*third->View("n2")->common, *fourth->View("n2")->common);
  ASSERT_EQ(delta.changed.size(), 1u);
  EXPECT_EQ(delta.changed[0]->address().pod(), "shop/web-4");
  EXPECT_THAT(delta.removed, IsEmpty());
}

TEST_F(CompilerTest, Conflicts) {
  mesh_.AddPolicy(
      "a", R"({"podSelector":{"matchLabels":{"app":"web"}},"rules":[{"action":"Bypass","ports":[{"port":80}]}]})");
  mesh_.AddPolicy("b",
                  R"({"podSelector":{"matchLabels":{"app":"db"}},"rules":[{"action":"Deny","peers":[{"podSelector":{
      "matchLabels":{"app":"web"}}}],"ports":[{"port":79,"endPort":90}]}]})");
  mesh_.AddPolicy(
      "c", R"({"podSelector":{"matchLabels":{"app":"web"}},"rules":[{"action":"Deny","ports":[{"port":443}]}]})");
  const auto compiled = mesh_.Compile();
  EXPECT_THAT(compiled->scopes().at("EncryptionPolicy/shop/a").conflicts, ElementsAre("EncryptionPolicy/shop/b"));
  EXPECT_THAT(compiled->scopes().at("EncryptionPolicy/shop/b").conflicts, ElementsAre("EncryptionPolicy/shop/a"));
  EXPECT_THAT(compiled->scopes().at("EncryptionPolicy/shop/c").conflicts, IsEmpty());
}

TEST_F(CompilerTest, BadAddressesAreProblemsAndUnknown) {
  mesh_.AddPod("thief", "n3", "10.244.1.77", "web");
  const auto compiled = mesh_.Compile();
  ASSERT_EQ(compiled->problems().size(), 1u);
  EXPECT_EQ(compiled->View("n1")->common->count("address/10.244.1.77"), 0u);
}

TEST_F(CompilerTest, TwoNodesOfOneUid) {
  auto twin = std::make_shared<source::Node>(*mesh_.nodes.at("n2"));
  twin->name = "twin";
  mesh_.nodes["twin"] = twin;
  mesh_.nodes_changed = true;
  const auto compiled = mesh_.Compile();
  EXPECT_EQ(compiled->nodes().count("twin"), 0u);
  EXPECT_EQ(compiled->nodes().count("n2"), 1u);
  ASSERT_EQ(compiled->problems().size(), 1u);
  EXPECT_EQ(compiled->problems()[0].object, "Node/twin");
}

TEST_F(CompilerTest, NodeIdsOverARestart) {
  const auto before = mesh_.Compile();
  Compiler next;
  ASSERT_TRUE(next.LoadNodeIds(mesh_.compiler.SaveNodeIds()).ok());
  EXPECT_EQ(next.Compile(mesh_.input)->nodes().at("n3").id, before->nodes().at("n3").id);
}

TEST_F(CompilerTest, Nothing) {
  TestMesh empty;
  const auto compiled = empty.Compile();
  EXPECT_TRUE(compiled->nodes().empty());
  EXPECT_TRUE(compiled->problems().empty());
}

TEST(CompileProfile, DefaultsAndValues) {
  const v1::Profile defaults = CompileProfile({});
  EXPECT_THAT(defaults.esp(), ElementsAre("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"));
  EXPECT_TRUE(defaults.post_quantum());
  EXPECT_EQ(defaults.replay_window(), 4096u);
  EXPECT_EQ(defaults.rekey_seconds(), 3600u);
  v1alpha1::EncryptionProfileSpec spec;
  spec.add_esp("CHACHA20-POLY1305");
  spec.set_post_quantum(false);
  spec.mutable_rekey()->set_time("1m30s");
  spec.mutable_rekey()->set_packets("5000");
  spec.set_idle_timeout("7s");
  const v1::Profile profile = CompileProfile(spec);
  EXPECT_THAT(profile.esp(), ElementsAre("CHACHA20-POLY1305"));
  EXPECT_FALSE(profile.post_quantum());
  EXPECT_EQ(profile.rekey_seconds(), 90u);
  EXPECT_EQ(profile.rekey_packets(), 5000u);
  EXPECT_EQ(profile.idle_seconds(), 7u);
}

// 1,000 nodes, 10,000 pods of 400 workloads, 60 policies.
TEST(CompileScale, APolicyChangeInALargeMesh) {
  TestMesh mesh;
  for (int n = 0; n < 1000; ++n) {
    const std::string name = absl::StrCat("n", n);
    mesh.AddNode(name, absl::StrCat("192.168.", n / 250, ".", n % 250 + 1),
                 absl::StrCat("10.", n / 250, ".", n % 250, ".0/24"));
    for (int p = 0; p < 10; ++p) {
      mesh.AddPod(absl::StrCat("p", n, "-", p), name, absl::StrCat("10.", n / 250, ".", n % 250, ".", p + 10),
                  absl::StrCat("app", (n * 10 + p) % 400));
    }
  }
  for (int i = 0; i < 60; ++i) {
    mesh.AddPolicy(absl::StrCat("policy", i),
                   absl::StrCat(R"({"podSelector":{"matchLabels":{"app":"app)", i, R"("}}})"));
  }
  absl::Time start = absl::Now();
  const auto first = mesh.Compile();
  const absl::Duration whole = absl::Now() - start;
  mesh.AddPolicy("one-more", R"({"podSelector":{"matchLabels":{"app":"app7"}},"rules":[{"action":"Deny"}]})");
  start = absl::Now();
  const auto second = mesh.Compile();
  const absl::Duration change = absl::Now() - start;
  RecordProperty("whole", absl::FormatDuration(whole));
  RecordProperty("change", absl::FormatDuration(change));
  std::cout << "first compile " << whole << ", policy change " << change << "\n";
  EXPECT_EQ(first->View("n5")->common, second->View("n5")->common);
  EXPECT_EQ(second->View("n5")->common->size(), 1000u + 10000u + 7u + 1u);
  EXPECT_LT(change, absl::Seconds(10));  // a bound for sanitizers on a busy machine; see the printed time
}

}  // namespace
}  // namespace espalier::compile
