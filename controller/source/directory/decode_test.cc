#include "controller/source/directory/decode.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace espalier::source {
namespace {

constexpr char kNode[] = R"(
apiVersion: v1
kind: Node
metadata: {name: node-1, uid: u1, labels: {zone: a}, annotations: {x: "1"}, resourceVersion: "5"}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd00:1::/64"], taints: []}
status:
  addresses:
  - {type: InternalIP, address: 192.168.1.11}
  - {type: Hostname, address: node-1}
  - {type: InternalIP, address: "fd01::11"}
)";

constexpr char kPod[] = R"(
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {nodeName: node-1, serviceAccountName: web, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}
status: {phase: Running, podIP: 10.244.1.5, podIPs: [{ip: 10.244.1.5}, {ip: "fd00:1::5"}]}
)";

TEST(Decode, NodeAndPod) {
  const DecodedFile file = DecodeFile(absl::StrCat(kNode, "---", kPod));
  ASSERT_TRUE(file.whole);
  ASSERT_EQ(file.objects.size(), 2u);
  const auto node = std::get<std::shared_ptr<const Node>>(file.objects[0].object);
  EXPECT_EQ(node->uid, "u1");
  EXPECT_EQ(node->labels.at("zone"), "a");
  ASSERT_EQ(node->internal_ips.size(), 2u);
  EXPECT_EQ(node->internal_ips[1].ToString(), "fd01::11");
  ASSERT_EQ(node->pod_cidrs.size(), 2u);
  EXPECT_EQ(file.objects[1].key.ToString(), "Pod/shop/web-1");
  EXPECT_EQ(file.objects[1].document, 2);
  const auto pod = std::get<std::shared_ptr<const Pod>>(file.objects[1].object);
  EXPECT_EQ(pod->service_account, "web");
  EXPECT_EQ(pod->node_name, "node-1");
  EXPECT_EQ(pod->pod_ips.size(), 2u);
  EXPECT_FALSE(pod->uid.empty());
}

TEST(Decode, DefaultsAndDerivedUid) {
  const DecodedFile file = DecodeFile("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
  ASSERT_EQ(file.objects.size(), 1u);
  EXPECT_EQ(file.objects[0].key.ns, "default");
  const auto pod = std::get<std::shared_ptr<const Pod>>(file.objects[0].object);
  EXPECT_EQ(pod->service_account, "default");
  // Never to change: node certificates carry such UIDs.
  EXPECT_EQ(DerivedUid({"Node", "", "node-1"}), DerivedUid({"Node", "", "node-1"}));
  EXPECT_NE(DerivedUid({"Node", "", "node-1"}), DerivedUid({"Node", "", "node-2"}));
  EXPECT_EQ(DerivedUid({"Node", "", "node-1"}), "e5b7b896-4e9d-8d71-9405-f2d0886cc07d");
}

TEST(Decode, ListsOfAllSorts) {
  const DecodedFile file = DecodeFile(R"(
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {env: prod}}}
- apiVersion: v1
  kind: ServiceAccountList
  items: [{metadata: {name: web, namespace: shop}}]
---
{"apiVersion": "espalier.io/v1alpha1", "kind": "EncryptionPolicyList",
 "items": [{"metadata": {"name": "p", "namespace": "shop"}, "spec": {}}]}
)");
  ASSERT_TRUE(file.whole) << file.problems.front().ToString();
  ASSERT_EQ(file.objects.size(), 3u);
  EXPECT_EQ(file.objects[0].key.ToString(), "Namespace/shop");
  EXPECT_EQ(file.objects[1].key.ToString(), "ServiceAccount/shop/web");
  EXPECT_EQ(file.objects[2].key.ToString(), "EncryptionPolicy/shop/p");
  EXPECT_TRUE(file.objects[2].problems.empty());
}

TEST(Decode, OthersKindsAreCounted) {
  const DecodedFile file = DecodeFile(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n---\napiVersion: v1\nkind: "
      "ConfigMap\n---\napiVersion: "
      "apps/v1\nkind: Deployment\n");
  EXPECT_TRUE(file.whole);
  EXPECT_TRUE(file.objects.empty());
  EXPECT_EQ(file.ignored, (std::map<std::string, int>{{"apps/v1 Deployment", 2}, {"v1 ConfigMap", 1}}));
}

TEST(Decode, WhatTheApiServerAddsIsNoProblem) {
  const DecodedFile file = DecodeFile(R"(
apiVersion: espalier.io/v1alpha1
kind: EncryptionPolicy
metadata:
  name: p
  namespace: shop
  creationTimestamp: null
  managedFields: [{manager: kubectl}]
  ownerReferences: []
  finalizers: [a/b]
  generation: 4
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec: {podSelector: {}}
status: {stage: Enforced, unknownToUs: 1}
)");
  ASSERT_TRUE(file.whole);
  ASSERT_TRUE(file.objects[0].problems.empty()) << file.objects[0].problems.front().ToString();
  const auto policy = std::get<std::shared_ptr<const v1alpha1::EncryptionPolicy>>(file.objects[0].object);
  EXPECT_EQ(policy->metadata().generation(), 4);
  EXPECT_TRUE(policy->spec().has_pod_selector());
  EXPECT_FALSE(policy->has_status());
}

// A document of which one cannot say which object it is spoils its file: what it was meant to be must stay in force.
TEST(Decode, UnknowableDocumentsSpoilTheFile) {
  const struct {
    const char* text;
    const char* said;
  } kCases[] = {
      {"just text", ":1 (document 1): \"just text\": is text, not an object; write apiVersion, kind and metadata"},
      {"kid: EncryptionPolicy\napiVersion: espalier.io/v1alpha1",
       ":1 (document 1): kind: is missing; write apiVersion (\"espalier.io/v1alpha1\" or \"v1\") and kind"},
      {"kind: EncrytionPolicy\napiVersion: espalier.io/v1alpha1\nmetadata: {name: x}",
       ":1 (document 1): kind: \"EncrytionPolicy\": is not a kind of Espalier's; write \"EncryptionPolicy\""},
      {"kind: EncryptionPolicy\napiVersion: espalier.io/v1\nmetadata: {name: x}",
       ":1 (document 1): apiVersion: \"espalier.io/v1\": is not a version that this controller knows; write "
       "\"espalier.io/v1alpha1\""},
      {"kind: EncryptionPolicy\napiVersion: v1\nmetadata: {name: x}",
       ":1 (document 1): apiVersion: \"v1\": does not have the kind EncryptionPolicy; write \"espalier.io/v1alpha1\""},
      {"kind: EncryptionPolicy\napiVersion: espalier.io/v1alpha1\nmetadata: {namespace: x}",
       ":3 (document 1): metadata.name: is missing from this EncryptionPolicy; write metadata: {name: NAME}; put it in "
       "quotes if it is a number"},
      {"kind: Pod\napiVersion: v1\nmetadata: {name: 7}",
       ":3 (document 1): metadata.name: \"7\": is a number, but must be text; write metadata: {name: NAME}; put it in "
       "quotes if it is a number"},
  };
  for (const auto& c : kCases) {
    const DecodedFile file = DecodeFile(absl::StrCat(c.text, "\n---", kPod));
    EXPECT_FALSE(file.whole);
    EXPECT_TRUE(file.objects.empty());
    ASSERT_EQ(file.problems.size(), 1u);
    EXPECT_EQ(file.problems[0].ToString(), c.said);
  }
}

TEST(Decode, BadCoreObjects) {
  const DecodedFile file = DecodeFile(R"(
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {x: 1}}
spec: {hostNetwork: "yes"}
status: {podIP: 10.0.0.300, podIPs: 3}
---
apiVersion: v1
kind: Node
metadata: {name: N_1}
spec: {podCIDRs: [10.0.0.1/24]}
)");
  ASSERT_EQ(file.objects.size(), 2u);
  std::vector<std::string> said;
  for (const auto& object : file.objects) {
    EXPECT_TRUE(std::holds_alternative<std::monostate>(object.object));
    for (const Problem& p : object.problems) said.push_back(p.ToString());
  }
  EXPECT_EQ(said, (std::vector<std::string>{
                      ":4 (document 1): Pod/default/a: metadata.labels[x]: \"1\": is a number, but must be text; put "
                      "it in quotes: \"1\"",
                      ":5 (document 1): Pod/default/a: spec.hostNetwork: \"yes\": must be true or false; write true or "
                      "false, without quotes",
                      ":6 (document 1): Pod/default/a: status.podIPs: \"3\": is a number, but must be a list; begin "
                      "each entry with \"- \"",
                      ":6 (document 1): Pod/default/a: status.podIP: \"10.0.0.300\": is not an IP address; write one "
                      "like \"10.244.1.2\" or \"fd00::2\"",
                      ":10 (document 2): Node/N_1: metadata.name: \"N_1\": is not a name; write lower-case letters, "
                      "digits, '-' and '.', at most 253",
                      ":11 (document 2): Node/N_1: spec.podCIDRs[0]: \"10.0.0.1/24\": is not a CIDR; write "
                      "ADDRESS/LENGTH without bits behind the length, like \"10.244.1.0/24\"",
                  }));
}

TEST(Decode, LinesPointAtTheField) {
  const DecodedFile file = DecodeFile(
      "apiVersion: espalier.io/v1alpha1\nkind: EncryptionPolicy\nmetadata:\n  name: p\nspec:\n  rules:\n  - action: "
      "Deny\n  "
      "  ports:\n    - port: 80\n    - port: 99999\n");
  ASSERT_EQ(file.objects[0].problems.size(), 1u);
  EXPECT_EQ(file.objects[0].problems[0].line, 10);
}

}  // namespace
}  // namespace espalier::source
