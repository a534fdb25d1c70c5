#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controller/source/directory/decode.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

using ::testing::ElementsAre;

// What is said of one policy's spec, written as YAML in one line ("{action: Require}").
std::vector<std::string> Said(const std::string& kind, const std::string& spec) {
  const DecodedFile file = DecodeFile(absl::StrCat("apiVersion: espalier.io/v1alpha1\nkind: ", kind,
                                                   "\nmetadata: {name: p, namespace: shop}\nspec: ", spec, "\n"));
  std::vector<std::string> out;
  for (const Problem& p : file.problems) out.push_back(p.ToString());
  for (const DecodedObject& object : file.objects) {
    EXPECT_EQ(object.problems.empty(), !std::holds_alternative<std::monostate>(object.object));
    for (const Problem& p : object.problems) {
      EXPECT_TRUE(p.line == 4 || (p.field == "spec" && p.line == 5)) << p.line;  // an absent value is nowhere
      EXPECT_EQ(p.document, 1);
      EXPECT_EQ(p.object, object.key.ToString());
      out.push_back(absl::StrCat(p.field, ": ", p.value.empty() ? "" : absl::StrCat("\"", p.value, "\": "), p.message,
                                 "; ", p.remedy));
    }
  }
  return out;
}

struct Case {
  const char* name;
  const char* kind;
  const char* spec;
  const char* said;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class BadPolicy : public ::testing::TestWithParam<Case> {};

TEST_P(BadPolicy, IsRefusedWithFieldValueAndRemedy) {
  EXPECT_THAT(Said(GetParam().kind, GetParam().spec), ElementsAre(GetParam().said));
}

constexpr char kNs[] = "EncryptionPolicy";
constexpr char kCluster[] = "ClusterEncryptionPolicy";

INSTANTIATE_TEST_SUITE_P(
    Table, BadPolicy,
    ::testing::Values(
        Case{"NoSpec", kNs, "",
             "spec: is missing; write \"spec: {action: Require}\" to require encryption for all of its pods"},
        Case{"UnknownField", kNs, "{acton: Require}",
             "spec.acton: \"Require\": is not a field that exists here; write \"action\""},
        Case{"FarField", kNs, "{encrypted: true}",
             "spec.encrypted: \"true\": is not a field that exists here; write one of podSelector, namespaceSelector, "
             "serviceAccounts, action, rules, priority, profile"},
        Case{"ProtoNameOfField", kNs, "{pod_selector: {}}",
             "spec.pod_selector: \"{...}\": is not a field that exists here; write \"podSelector\""},
        Case{"NestedUnknownField", kNs, "{rules: [{action: Deny, ports: [{prot: TCP}]}]}",
             "spec.rules[0].ports[0].prot: \"TCP\": is not a field that exists here; write \"port\""},
        Case{"UnknownAction", kNs, "{action: Encrypt}",
             "spec.action: \"Encrypt\": is not an action; write one of Require, Prefer, Bypass, Deny"},
        Case{"ActionCase", kNs, "{action: require}", "spec.action: \"require\": is not an action; write \"Require\""},
        Case{"RuleWithoutAction", kNs, "{rules: [{}]}",
             "spec.rules[0].action: is missing; write one of Require, Prefer, Bypass, Deny"},
        Case{
            "ActionBesideRules", kNs, "{action: Require, rules: [{action: Bypass}]}",
            "spec.action: \"Require\": has no effect beside rules; remove it, or add a last rule {action: Require} for "
            "all other traffic"},
        Case{"Operator", kNs, "{podSelector: {matchExpressions: [{key: app, operator: NotExists}]}}",
             "spec.podSelector.matchExpressions[0].operator: \"NotExists\": is not an operator; write \"Exists\""},
        Case{"InWithoutValues", kNs, "{podSelector: {matchExpressions: [{key: app, operator: In}]}}",
             "spec.podSelector.matchExpressions[0].values: is empty, but In compares with values; give at least one "
             "value, or use Exists or DoesNotExist"},
        Case{
            "ExistsWithValues", kNs,
            "{podSelector: {matchExpressions: [{key: app, operator: Exists, values: [a, b]}]}}",
            "spec.podSelector.matchExpressions[0].values: \"a, b\": cannot be given with Exists; remove the values, or "
            "use In or NotIn"},
        Case{"LabelKey", kNs, "{podSelector: {matchLabels: {\"a b\": c}}}",
             "spec.podSelector.matchLabels[a b]: \"a b\": is not a label's key; write NAME or DOMAIN/NAME, the name of "
             "at "
             "most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends"},
        Case{"LabelValue", kNs, "{podSelector: {matchLabels: {app: \"a b\"}}}",
             "spec.podSelector.matchLabels[app]: \"a b\": is not a label's value; write at most 63 letters, digits, "
             "'-', "
             "'_' and '.', a letter or digit at both ends"},
        Case{"LabelNumber", kNs, "{podSelector: {matchLabels: {tier: 1}}}",
             "spec.podSelector.matchLabels[tier]: \"1\": is a number, but must be text; put it in quotes: \"1\""},
        Case{"LabelYes", kNs, "{podSelector: {matchLabels: {tls: yes}}}",
             "spec.podSelector.matchLabels[tls]: \"yes\": is a boolean, but must be text; put it in quotes: \"yes\""},
        Case{"PerPodLabel", kNs, "{podSelector: {matchLabels: {pod-template-hash: abc}}}",
             "spec.podSelector.matchLabels[pod-template-hash]: \"pod-template-hash\": is a label that differs from pod "
             "to "
             "pod, and policies cannot select by it; select by a label that the pods of one workload share"},
        Case{"NamespaceSelector", kNs, "{namespaceSelector: {}}",
             "spec.namespaceSelector: is only for a ClusterEncryptionPolicy: this policy is about its own namespace; "
             "remove it, or make this a ClusterEncryptionPolicy"},
        Case{"PriorityOfNamespaced", kNs, "{priority: 5}",
             "spec.priority: \"5\": is only for a ClusterEncryptionPolicy; remove it: a namespaced policy has priority "
             "0"},
        Case{"PriorityRange", kCluster, "{priority: 1001}",
             "spec.priority: \"1001\": is out of range; write a number from -1000 to 1000"},
        Case{"PriorityText", kCluster, "{priority: high}",
             "spec.priority: \"high\": is text, but must be a whole number; write digits, without quotes"},
        Case{"Profile", kCluster, "{profile: fast}",
             "spec.profile: \"fast\": is not a profile that exists: there is only \"default\"; remove it or write "
             "\"default\""},
        Case{"PeerOfBothKinds", kNs, "{rules: [{action: Deny, peers: [{podSelector: {}, cidr: 10.0.0.0/8}]}]}",
             "spec.rules[0].peers[0].cidr: \"10.0.0.0/8\": stands beside a selector, but a peer is one or the other; "
             "make "
             "two peers of it"},
        Case{"EmptyPeer", kNs, "{rules: [{action: Deny, peers: [{}]}]}",
             "spec.rules[0].peers[0]: selects nobody; give podSelector, namespaceSelector or serviceAccounts, or a "
             "cidr; "
             "leave peers out for every pod"},
        Case{"CidrHostBits", kNs, "{rules: [{action: Deny, peers: [{cidr: 10.1.2.3/8}]}]}",
             "spec.rules[0].peers[0].cidr: \"10.1.2.3/8\": has bits set behind its first 8; write \"10.0.0.0/8\""},
        Case{"CidrAddress", kNs, "{rules: [{action: Deny, peers: [{cidr: \"fd00::1\"}]}]}",
             "spec.rules[0].peers[0].cidr: \"fd00::1\": is not a CIDR; write \"fd00::1/128\" for this address alone"},
        Case{
            "CidrLength", kNs, "{rules: [{action: Deny, peers: [{cidr: 10.0.0.0/33}]}]}",
            "spec.rules[0].peers[0].cidr: \"10.0.0.0/33\": is not a CIDR; write ADDRESS/LENGTH, like \"10.0.0.0/8\" or "
            "\"fd00::/8\""},
        Case{"Protocol", kNs, "{rules: [{action: Deny, ports: [{protocol: tcp}]}]}",
             "spec.rules[0].ports[0].protocol: \"tcp\": is not a protocol; write \"TCP\""},
        Case{"PortZero", kNs, "{rules: [{action: Deny, ports: [{port: 0}]}]}",
             "spec.rules[0].ports[0].port: \"0\": is not a port; write a number from 1 to 65535"},
        Case{"PortLarge", kNs, "{rules: [{action: Deny, ports: [{port: 70000}]}]}",
             "spec.rules[0].ports[0].port: \"70000\": is not a port; write a number from 1 to 65535"},
        Case{
            "PortNamed", kNs, "{rules: [{action: Deny, ports: [{port: http}]}]}",
            "spec.rules[0].ports[0].port: \"http\": is text, but must be a whole number; write digits, without quotes"},
        Case{
            "EndPortBelow", kNs, "{rules: [{action: Deny, ports: [{port: 90, endPort: 80}]}]}",
            "spec.rules[0].ports[0].endPort: \"80\": is below port 90; write the range from its lower end to its upper "
            "end"},
        Case{"EndPortAlone", kNs, "{rules: [{action: Deny, ports: [{endPort: 80}]}]}",
             "spec.rules[0].ports[0].endPort: \"80\": is given without port; give port, the first of the range"},
        Case{"IcmpPort", kNs, "{rules: [{action: Deny, ports: [{protocol: ICMP, port: 8}]}]}",
             "spec.rules[0].ports[0].port: \"8\": ICMP has no ports; remove port and endPort"},
        Case{"ServiceAccount", kNs, "{serviceAccounts: [\"shop/web\"]}",
             "spec.serviceAccounts[0]: \"shop/web\": is not the name of a service account; write the name alone, "
             "without "
             "its namespace: lower-case letters, digits, '-' and '.'"},
        Case{"RulesNoList", kNs, "{rules: {action: Deny}}",
             "spec.rules: \"{...}\": is a mapping, but must be a list; begin each entry with \"- \""},
        Case{"EmptyRule", kNs, "{rules: [null]}", "spec.rules[0]: is empty; write the entry, or remove its \"-\""}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(ValidatePolicy, SaysEverythingAtOnce) {
  EXPECT_EQ(Said(kNs, "{action: Nope, profile: x, rules: [{action: Deny, ports: [{port: 0}, {port: 0}]}]}").size(), 5u);
}

TEST(ValidatePolicy, LimitsWhatOneObjectCanHold) {
  std::string rules;
  for (int i = 0; i < kMaxRules + 1; ++i) absl::StrAppend(&rules, i == 0 ? "" : ", ", "{action: Deny}");
  EXPECT_THAT(Said(kNs, absl::StrCat("{rules: [", rules, "]}")),
              ElementsAre("spec.rules: \"65 entries\": has more than 64 entries; split the policy in two"));
}

TEST(ValidatePolicy, AcceptsWhatTheGuideShows) {
  EXPECT_THAT(Said(kNs, "{}"), ElementsAre());
  EXPECT_THAT(Said(kNs, "{podSelector: {matchLabels: {app: web}}, action: Require}"), ElementsAre());
  EXPECT_THAT(Said(kCluster,
                   "{namespaceSelector: {matchExpressions: [{key: env, operator: In, values: [prod]}]}, "
                   "priority: -1000, profile: default, rules: [{action: Prefer, peers: [{cidr: \"fd00::/8\"}], "
                   "ports: [{protocol: UDP, port: 53}, {port: 1, endPort: 65535}, {protocol: ICMPv6}]}]}"),
              ElementsAre());
}

TEST(ValidateInMesh, RequireNeedsATunnel) {
  v1alpha1::PolicySpec spec;
  auto* rule = spec.add_rules();
  rule->set_action("Require");
  rule->add_peers()->set_cidr("10.244.1.0/24");
  const std::vector<IpPrefix> mesh = {*IpPrefix::Parse("10.244.0.0/16")};
  EXPECT_TRUE(ValidateInMesh(spec, "P", mesh).empty());
  rule->add_peers()->set_cidr("0.0.0.0/0");
  ASSERT_EQ(ValidateInMesh(spec, "P", mesh).size(), 1u);
  EXPECT_EQ(
      ValidateInMesh(spec, "P", mesh).front().ToString(),
      "P: spec.rules[0].peers[1].cidr: \"0.0.0.0/0\": is required to be encrypted, but is not inside the mesh's pod "
      "networks: no tunnel leads there; use action Prefer, Bypass or Deny for it, or a CIDR inside 10.244.0.0/16; "
      "gateways outside come with ExternalPeer");
  EXPECT_TRUE(ValidateInMesh(spec, "P", {}).empty());
  rule->set_action("Bypass");
  EXPECT_TRUE(ValidateInMesh(spec, "P", mesh).empty());
}

TEST(Shown, IsShortAndOnOneLine) {
  EXPECT_EQ(ValidateName("X", "", "a\nb").front().value, "a b");
  const std::string value = ValidateName("X", "", std::string(200, 'A')).front().value;
  EXPECT_EQ(value, std::string(80, 'A') + "...");
}

}  // namespace
}  // namespace espalier::source
