#include "agent/policy/view.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

namespace espalier::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;

v1::WatchResponse Delta(const std::string& json) {
  v1::WatchResponse out;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &out);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return out;
}

TEST(ViewTest, FullThenDelta) {
  auto first = View().Apply(Delta(R"({"epoch":"e","version":7,"full":true,"changed":[
      {"node":{"id":1,"name":"a","addresses":["192.0.2.1"]}}, {"mesh":{"selfNodeId":1}},
      {"address":{"ip":"2001:DB8:0:0::1","identity":300,"nodeId":1,"pod":"d/x"}},
      {"address":{"ip":"10.244.1.2","identity":300,"nodeId":1}}, {"policy":{"name":"EncryptionPolicy/d/p"}}]})"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->addresses, ElementsAre(Key("10.244.1.2"), Key("2001:db8::1")));
  ASSERT_NE(first->self(), nullptr);
  EXPECT_EQ(first->self()->name(), "a");

  auto second = first->Apply(Delta(R"({"epoch":"e","version":8,
      "removed":["address/2001:db8::1","address/10.9.9.9","policy/EncryptionPolicy/d/p","node/x","later/thing"],
      "changed":[{"node":{"id":2,"name":"b"}}]})"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->version, 8u);
  EXPECT_THAT(second->addresses, ElementsAre(Key("10.244.1.2")));
  EXPECT_THAT(second->nodes, ElementsAre(Key(1), Key(2)));
  EXPECT_TRUE(second->policies.empty());
  EXPECT_EQ(first->policies.size(), 1u);  // untouched

  auto full = second->Apply(Delta(R"({"epoch":"other","version":1,"full":true})"));
  ASSERT_TRUE(full.ok());
  EXPECT_TRUE(full->nodes.empty());
  EXPECT_EQ(full->self(), nullptr);
}

TEST(ViewTest, RefusesWhatDoesNotContinueIt) {
  auto view = View().Apply(Delta(R"({"epoch":"e","version":7,"full":true})"));
  ASSERT_TRUE(view.ok());
  EXPECT_FALSE(view->Apply(Delta(R"({"epoch":"f","version":8})")).ok());
  EXPECT_FALSE(view->Apply(Delta(R"({"epoch":"e","version":6})")).ok());
  EXPECT_TRUE(view->Apply(Delta(R"({"epoch":"e","version":7})")).ok());
}

TEST(ViewTest, ErrorsNameKeyAndField) {
  const struct {
    const char *resource, *message;
  } kCases[] = {
      {R"({})", "no kind"},
      {R"({"node":{"name":"a"}})", "node/0: id"},
      {R"({"node":{"id":3}})", "node/3: name"},
      {R"({"node":{"id":3,"name":"a","addresses":["x"]}})", "node/3: addresses[0]: \"x\""},
      {R"({"node":{"id":3,"name":"a","podCidrs":["10.0.0.1/8"]}})", "node/3: pod_cidrs[0]"},
      {R"({"identity":{"id":5}})", "identity/5: id"},
      {R"({"address":{"ip":"10.0.0.0/8","identity":300,"nodeId":1}})", "address/10.0.0.0/8: ip"},
      {R"({"address":{"ip":"10.0.0.1","identity":1,"nodeId":1}})", "address/10.0.0.1: identity"},
      {R"({"address":{"ip":"10.0.0.1","identity":16777216,"nodeId":1}})", "address/10.0.0.1: identity"},
      {R"({"address":{"ip":"10.0.0.1","identity":300}})", "address/10.0.0.1: node_id"},
      {R"({"policy":{}})", "policy/: name"},
      {R"({"policy":{"name":"p","rules":[{}]}})", "policy/p: rules[0].action"},
      {R"({"policy":{"name":"p","rules":[{"action":3},{"action":3,"peerCidrs":["::/0","a/b"]}]}})",
       "policy/p: rules[1].peer_cidrs[1]"},
      {R"({"policy":{"name":"p","rules":[{"action":3,"ports":[{"protocol":6,"first":9,"last":8}]}]}})",
       "policy/p: rules[0].ports[0]: 9-8"},
      {R"({"policy":{"name":"p","rules":[{"action":3,"ports":[{"protocol":0,"first":9,"last":9}]}]}})",
       "policy/p: rules[0].ports[0]"},
      {R"({"policy":{"name":"p","rules":[{"action":3,"ports":[{"protocol":6,"first":0,"last":70000}]}]}})",
       "policy/p: rules[0].ports[0]"},
      {R"({"exemption":{"name":"x","port":70000}})", "exemption/x: port"},
      {R"({"exemption":{"name":"x","cidrs":["1"]}})", "exemption/x: cidrs[0]"},
      {R"({"profile":{}})", "profile/: name"},
      {R"({"mesh":{"meshCidrs":["10.244.0.0/16","?"]}})", "mesh: mesh_cidrs[1]"},
      {R"({"mesh":{"controllerAddresses":["host"]}})", "mesh: controller_addresses[0]"},
  };
  for (const auto& c : kCases) {
    const auto view = View().Apply(Delta(std::string(R"({"version":1,"full":true,"changed":[)") + c.resource + "]}"));
    ASSERT_EQ(view.status().code(), absl::StatusCode::kInvalidArgument) << c.resource;
    EXPECT_THAT(std::string(view.status().message()), HasSubstr(c.message)) << c.resource;
  }
}

TEST(ViewTest, KeysAreCanonical) {
  v1::Resource r;
  EXPECT_EQ(ResourceKey(r), "");
  r.mutable_address()->set_ip("FD00:0::1");
  EXPECT_EQ(ResourceKey(r), "address/fd00::1");
  r.mutable_mesh();
  EXPECT_EQ(ResourceKey(r), "mesh");
  r.mutable_node()->set_id(7);
  EXPECT_EQ(ResourceKey(r), "node/7");
}

}  // namespace
}  // namespace espalier::policy
