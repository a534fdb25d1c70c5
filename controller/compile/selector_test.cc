#include "controller/compile/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/compile/resolve.h"
#include "google/protobuf/util/json_util.h"

namespace espalier::compile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename Message>
Message FromJson(const std::string& json) {
  Message out;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &out).ok()) << json;
  return out;
}

bool MatchesJson(const std::string& selector, const source::Labels& labels) {
  return Matches(FromJson<v1alpha1::LabelSelector>(selector), labels);
}

TEST(Selector, Terms) {
  const source::Labels web = {{"app", "web"}, {"tier", ""}};
  EXPECT_TRUE(MatchesJson("{}", {}));
  EXPECT_TRUE(MatchesJson(R"({"matchLabels":{"app":"web"}})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchLabels":{"app":"web","x":"y"}})", web));
  EXPECT_TRUE(MatchesJson(R"({"matchExpressions":[{"key":"app","operator":"In","values":["db","web"]}]})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchExpressions":[{"key":"app","operator":"In","values":["db"]}]})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchExpressions":[{"key":"x","operator":"In","values":[""]}]})", web));
  EXPECT_TRUE(MatchesJson(R"({"matchExpressions":[{"key":"x","operator":"NotIn","values":["y"]}]})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchExpressions":[{"key":"app","operator":"NotIn","values":["web"]}]})", web));
  EXPECT_TRUE(MatchesJson(R"({"matchExpressions":[{"key":"tier","operator":"Exists"}]})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchExpressions":[{"key":"tier","operator":"DoesNotExist"}]})", web));
  EXPECT_TRUE(MatchesJson(R"({"matchExpressions":[{"key":"x","operator":"DoesNotExist"}]})", web));
  EXPECT_FALSE(MatchesJson(R"({"matchExpressions":[{"key":"app","operator":"Like","values":["web"]}]})", web));
}

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() {
    Add(1, "shop", {{"app", "web"}}, {{"env", "prod"}}, "web");
    Add(2, "shop", {{"app", "db"}}, {{"env", "prod"}}, "db");
    Add(3, "test", {{"app", "web"}}, {{"env", "test"}}, "web");
  }
  void Add(uint32_t id, const std::string& ns, source::Labels labels, source::Labels ns_labels,
           const std::string& account) {
    identity::Description d;
    d.ns = ns;
    d.labels = std::move(labels);
    d.namespace_labels = std::move(ns_labels);
    d.service_account = account;
    identities_[d] = id;
  }
  v1::Policy Compile(const std::string& ns, const std::string& spec, bool eases = false) const {
    PolicyDefinition definition;
    definition.ns = ns;
    definition.spec = FromJson<v1alpha1::PolicySpec>(spec);
    return Resolve(definition, identities_, eases);
  }

  Identities identities_;
};

TEST_F(ResolveTest, Subjects) {
  EXPECT_THAT(Compile("shop", "{}").subject_identities(), ElementsAre(1, 2));
  EXPECT_THAT(Compile("shop", R"({"podSelector":{"matchLabels":{"app":"web"}}})").subject_identities(), ElementsAre(1));
  EXPECT_THAT(Compile("shop", R"({"serviceAccounts":["db"]})").subject_identities(), ElementsAre(2));
  EXPECT_THAT(Compile("", "{}").subject_identities(), ElementsAre(1, 2, 3));
  EXPECT_THAT(Compile("", R"({"namespaceSelector":{"matchLabels":{"env":"test"}}})").subject_identities(),
              ElementsAre(3));
  EXPECT_THAT(Compile("none", "{}").subject_identities(), IsEmpty());
}

TEST_F(ResolveTest, WithoutRules) {
  const v1::Policy policy = Compile("shop", "{}");
  ASSERT_EQ(policy.rules_size(), 1);
  EXPECT_TRUE(policy.rules(0).any_pod());
  EXPECT_EQ(policy.rules(0).action(), v1::ACTION_REQUIRE);
  EXPECT_EQ(Compile("shop", R"({"action":"Deny"})").rules(0).action(), v1::ACTION_DENY);
}

TEST_F(ResolveTest, Peers) {
  const auto rule = [this](const std::string& ns, const std::string& peers) {
    return Compile(ns, R"({"rules":[{"action":"Deny","peers":[)" + peers + "]}]}").rules(0);
  };
  // A namespaced policy's podSelector alone: its own namespace.
  EXPECT_THAT(rule("shop", R"({"podSelector":{"matchLabels":{"app":"web"}}})").peer_identities(), ElementsAre(1));
  EXPECT_THAT(rule("", R"({"podSelector":{"matchLabels":{"app":"web"}}})").peer_identities(), ElementsAre(1, 3));
  EXPECT_THAT(rule("shop", R"({"namespaceSelector":{"matchLabels":{"env":"test"}}})").peer_identities(),
              ElementsAre(3));
  EXPECT_THAT(rule("shop", R"({"serviceAccounts":["web"]})").peer_identities(), ElementsAre(1));
  EXPECT_THAT(rule("shop", R"({"namespaceSelector":{},"serviceAccounts":["web"]})").peer_identities(),
              ElementsAre(1, 3));
  EXPECT_FALSE(rule("shop", R"({"podSelector":{}})").any_pod());
  EXPECT_THAT(rule("shop", R"({"podSelector":{}})").peer_identities(), ElementsAre(1, 2));
  EXPECT_TRUE(rule("shop", R"({"namespaceSelector":{}})").any_pod());
  EXPECT_TRUE(rule("", R"({"podSelector":{}})").any_pod());
  const v1::Rule cidr = rule("shop", R"({"cidr":"10.0.0.0/8"},{"serviceAccounts":["db"]})");
  EXPECT_THAT(cidr.peer_cidrs(), ElementsAre("10.0.0.0/8"));
  EXPECT_THAT(cidr.peer_identities(), ElementsAre(2));
  // Nobody is not everybody.
  const v1::Rule nobody = rule("shop", R"({"podSelector":{"matchLabels":{"app":"none"}}})");
  EXPECT_FALSE(nobody.any_pod());
  EXPECT_THAT(nobody.peer_identities(), IsEmpty());
}

TEST_F(ResolveTest, Ports) {
  const v1::Policy policy =
      Compile("shop", R"({"rules":[{"action":"Bypass","ports":[{"port":80},{"protocol":"UDP","port":53,
      "endPort":60},{"protocol":"SCTP"},{"protocol":"ICMP"},{"protocol":"ICMPv6"}]}]})");
  std::vector<std::string> said;
  for (const auto& p : policy.rules(0).ports()) {
    said.push_back(std::to_string(p.protocol()) + ":" + std::to_string(p.first()) + "-" + std::to_string(p.last()));
  }
  EXPECT_THAT(said, ElementsAre("6:80-80", "17:53-60", "132:0-65535", "1:0-65535", "58:0-65535"));
}

TEST_F(ResolveTest, EasingSendsPodsAndLeavesCidrs) {
  const v1::Policy policy =
      Compile("shop", R"({"rules":[{"action":"Bypass","peers":[{"podSelector":{}},{"cidr":"10.0.0.0/8"}],
      "ports":[{"port":80}]},{"action":"Prefer"}]})",
              true);
  ASSERT_EQ(policy.rules_size(), 3);
  EXPECT_EQ(policy.rules(0).action(), v1::ACTION_BYPASS);
  EXPECT_THAT(policy.rules(0).peer_cidrs(), ElementsAre("10.0.0.0/8"));
  EXPECT_THAT(policy.rules(0).peer_identities(), IsEmpty());
  EXPECT_EQ(policy.rules(1).action(), v1::ACTION_REQUIRE);
  EXPECT_THAT(policy.rules(1).peer_identities(), ElementsAre(1, 2));
  EXPECT_THAT(policy.rules(1).peer_cidrs(), IsEmpty());
  EXPECT_EQ(policy.rules(1).ports_size(), 1);
  EXPECT_TRUE(policy.rules(2).any_pod());
  EXPECT_EQ(policy.rules(2).action(), v1::ACTION_REQUIRE);
}

}  // namespace
}  // namespace espalier::compile
