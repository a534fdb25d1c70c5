#include "cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/human.h"
#include "cli/table.h"

namespace espalier::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);
int64_t Ago(int64_t seconds) { return 1700000000 - seconds; }

TEST(HumanTest, Ages) {
  EXPECT_EQ(Age(absl::Seconds(-5)), "0s");
  EXPECT_EQ(Age(absl::Seconds(59)), "59s");
  EXPECT_EQ(Age(absl::Seconds(60)), "1m 0s");
  EXPECT_EQ(Age(absl::Seconds(3599)), "59m 59s");
  EXPECT_EQ(Age(absl::Hours(23) + absl::Minutes(59)), "23h 59m");
  EXPECT_EQ(Age(absl::Hours(99)), "4d 3h");
  EXPECT_EQ(Since(0, kNow), "-");
  EXPECT_EQ(Since(Ago(61), kNow), "1m 1s ago");
  EXPECT_EQ(Until(Ago(-61), kNow), "in 1m 1s");
  EXPECT_EQ(Until(Ago(5), kNow), "expired 5s ago");
}

TEST(HumanTest, BytesAndCounts) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(10 * 1024), "10 KiB");
  EXPECT_EQ(HumanBytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(uint64_t{3} << 40), "3.0 TiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16384 PiB");
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(1234567), "1,234,567");
}

TEST(HumanTest, Protocols) {
  uint32_t p = 0;
  EXPECT_TRUE(ParseProtocol("TCP", &p) && p == 6);
  EXPECT_TRUE(ParseProtocol("icmpv6", &p) && p == 58);
  EXPECT_TRUE(ParseProtocol("47", &p) && p == 47);
  for (const char* bad : {"", "0", "256", "-1", "http"}) EXPECT_FALSE(ParseProtocol(bad, &p)) << bad;
  EXPECT_EQ(ProtocolName(17), "UDP");
  EXPECT_EQ(ProtocolName(47), "47");
}

TEST(TableTest, Aligns) {
  Table table({{"NAME"}, {"N", Table::Align::kRight}, {"WHAT"}});
  table.Add({"a", "1", "x"});
  table.Add({"Zürich", "1000", ""});
  table.Add({"two\nlines"});
  EXPECT_EQ(table.ToString(),
            "NAME          N  WHAT\n"
            "a             1  x\n"
            "Zürich     1000  -\n"
            "two lines     -  -\n");
}

TEST(FieldsTest, AlignsAndLeavesOutTheEmpty) {
  EXPECT_EQ(Fields({{"A", "1"}, {"Longer label", ""}, {"Label", "2"}}), "A:      1\nLabel:  2\n");
}

v1::StatusReport Status() {
  v1::StatusReport s;
  s.set_node("node-1");
  s.set_version("0.1.0");
  s.set_started_at(Ago(7265));
  s.set_datapath("user");
  s.set_datapath_reason("asked for");
  s.set_controller("connected");
  s.set_controller_endpoint("192.0.2.9:7443");
  s.set_controller_since(Ago(60));
  s.set_view_version(17);
  s.set_view_applied_at(Ago(5));
  s.set_spiffe_id("spiffe://mesh/node/u1");
  s.set_certificate_not_after(Ago(-3600));
  s.set_certificate_serial("0a1b");
  s.set_peers_wanted(2);
  s.set_peers_up(1);
  s.set_policies(3);
  s.set_addresses(1200);
  s.set_local_pods(2);
  s.add_steered_devices("eth0");
  (*s.mutable_drops())["drop_guard"] = 1234;
  (*s.mutable_drops())["drop_denied"] = 0;
  return s;
}

TEST(RenderTest, Status) {
  EXPECT_EQ(RenderStatus(Status(), nullptr, kNow),
            "Node:         node-1\n"
            "Agent:        0.1.0, up 2h 1m\n"
            "Datapath:     user (asked for)\n"
            "Controller:   connected (192.0.2.9:7443), since 1m 0s\n"
            "View:         version 17, applied 5s ago\n"
            "Certificate:  spiffe://mesh/node/u1, expires in 1h 0m, serial 0a1b\n"
            "Peers:        1 up of 2 wanted\n"
            "Policies:     3; 1,200 pod addresses, 2 pods here\n"
            "Steering at:  eth0\n"
            "Refused:      drop_guard 1,234\n");
  EXPECT_FALSE(HasErrors(Status(), nullptr));
}

TEST(RenderTest, StatusWithProblemsOfBothSides) {
  v1::StatusReport s = Status();
  v1::Problem* p = s.add_problems();
  p->set_severity("warning");
  p->set_what("the controller is not connected");
  p->set_remedy("check that 192.0.2.9:7443 answers");
  ControllerStatus c;
  c.source = "directory=/etc/espalier";
  c.nodes.resize(3);
  c.nodes[0].connected = c.nodes[0].in_sync = true;
  c.problems.push_back({"error", "a.yaml:3: EncryptionPolicy/x/y: spec.action: \"Foo\": not an action", "", ""});
  EXPECT_FALSE(HasErrors(s, nullptr));
  EXPECT_TRUE(HasErrors(s, &c));
  const std::string text = RenderStatus(s, &c, kNow);
  EXPECT_THAT(text, HasSubstr("Mesh:           3 nodes, 1 connected, 1 in sync\n"));
  // Errors first.
  EXPECT_THAT(text, HasSubstr("\nProblems:\n"
                              "  error: a.yaml:3: EncryptionPolicy/x/y: spec.action: \"Foo\": not an action\n"
                              "  warning: the controller is not connected\n"
                              "    -> check that 192.0.2.9:7443 answers\n"));
}

TEST(RenderTest, StatusBeforeTheFirstView) {
  const std::string text = RenderStatus(v1::StatusReport(), nullptr, kNow);
  EXPECT_THAT(text, HasSubstr("View:         none yet\n"));
  EXPECT_THAT(text, HasSubstr("Certificate:  none yet\n"));
  EXPECT_THAT(text, HasSubstr("Steering at:  no device\n"));
}

v1::PolicyList Policies() {
  v1::PolicyList list;
  v1::PolicyInfo* info = list.add_policies();
  info->set_local_pods(2);
  v1::Policy* p = info->mutable_policy();
  p->set_name("EncryptionPolicy/shop/db");
  p->set_stage(v1::STAGE_ENFORCE);
  v1::Rule* r = p->add_rules();
  r->set_action(v1::ACTION_DENY);
  r->add_peer_cidrs("0.0.0.0/0");
  v1::PortRange* port = r->add_ports();
  port->set_protocol(6);
  port->set_first(20);
  port->set_last(29);
  r = p->add_rules();
  r->set_action(v1::ACTION_REQUIRE);
  r->set_any_pod(true);
  return list;
}

TEST(RenderTest, Policies) {
  const std::string text = RenderPolicies(Policies(), nullptr);
  EXPECT_THAT(text, HasSubstr("POLICY                    PRIORITY  STAGE HERE  PODS HERE  RULES\n"
                              "EncryptionPolicy/shop/db         0  Enforced            2  "
                              "Deny 0.0.0.0/0 tcp/20-29; Require any pod\n"));
  EXPECT_THAT(text, HasSubstr("--controller"));
  EXPECT_THAT(RenderPolicies({}, nullptr), HasSubstr("nothing is encrypted until"));
}

TEST(RenderTest, PoliciesWithTheControllersSide) {
  ControllerStatus c;
  c.policies.resize(2);
  c.policies[0].name = "EncryptionPolicy/shop/db";
  c.policies[0].stage = "Enforced";
  c.policies[0].programmed_nodes = c.policies[0].desired_nodes = 3;
  c.policies[0].selected_pods = 6;
  c.policies[0].conditions = {{"Accepted", "True", "Valid", ""}, {"Conflicted", "False", "", ""}};
  c.policies[1].name = "EncryptionPolicy/shop/web";
  c.policies[1].conditions = {{"Accepted", "False", "Invalid", "spec.action: \"Foo\" is not an action"},
                              {"Conflicted", "True", "Conflict", "EncryptionPolicy/shop/db says otherwise"}};
  c.problems.push_back({"warning", "something", "", ""});
  v1::PolicyList policies = Policies();
  policies.mutable_policies(0)->mutable_policy()->set_name("EncryptionPolicy/shop/db+new");
  const std::string text = RenderPolicies(policies, &c);
  EXPECT_THAT(text, HasSubstr("3 of 3     6"));
  EXPECT_THAT(text, HasSubstr("EncryptionPolicy/shop/web            -  not here"));
  EXPECT_THAT(text, HasSubstr("To note:\n  EncryptionPolicy/shop/web: refused: spec.action: \"Foo\" is not an action; "
                              "conflicted: EncryptionPolicy/shop/db says otherwise\n"));
  EXPECT_THAT(text, Not(HasSubstr("shop/db: ")));
  EXPECT_THAT(text, HasSubstr("  warning: something\n"));
  EXPECT_THAT(text, Not(HasSubstr("--controller")));
}

TEST(RenderTest, NodesOfBothSides) {
  v1::NodeList nodes;
  v1::NodeInfo* n = nodes.add_nodes();
  n->mutable_node()->set_name("node-1");
  n->mutable_node()->set_id(1);
  n->mutable_node()->add_addresses("192.0.2.1");
  n->set_self(true);
  n->set_certificate_not_after(Ago(-60));
  ControllerStatus c;
  c.nodes.resize(2);
  c.nodes[0].name = "node-1";
  c.nodes[0].connected = true;
  c.nodes[0].version = 9;
  c.nodes[0].acked_version = 8;
  c.nodes[0].nack = "policy/p: rules[0]";
  c.nodes[1].name = "node-7";
  const std::string text = RenderNodes(nodes, &c, kNow);
  EXPECT_THAT(text, HasSubstr("(this node)"));
  EXPECT_THAT(text, HasSubstr("expires in 1m 0s"));
  EXPECT_THAT(text, HasSubstr("connected      8 of 9, refused: policy/p: rules[0]\n"));
  EXPECT_THAT(text, HasSubstr("not in this node's view"));
  EXPECT_THAT(RenderNodes(nodes, nullptr, kNow), Not(HasSubstr("VIEW")));
}

TEST(RenderTest, PeersAndSas) {
  v1::PeerList peers;
  v1::PeerInfo* p = peers.add_peers();
  p->set_node("node-2");
  p->set_state("failed");
  p->set_last_error("no answer");
  p->set_last_error_at(Ago(3));
  EXPECT_THAT(RenderPeers(peers, kNow), HasSubstr("no answer (3s ago)"));
  EXPECT_THAT(RenderPeers({}, kNow), HasSubstr("No peers"));
  v1::SaList sas;
  v1::SaInfo* sa = sas.add_sas();
  sa->set_node("node-2");
  sa->set_direction("out");
  sa->set_spi(0xc0ffee);
  sa->set_packets(1500);
  sa->set_bytes(2000000);
  sa->set_rekey_at(Ago(-120));
  (*sa->mutable_errors())["replay"] = 3;
  (*sa->mutable_errors())["icv"] = 0;
  const std::string text = RenderSas(sas, kNow);
  EXPECT_THAT(text, HasSubstr("00c0ffee"));
  EXPECT_THAT(text, HasSubstr("1,500"));
  EXPECT_THAT(text, HasSubstr("1.9 MiB"));
  EXPECT_THAT(text, HasSubstr("in 2m 0s"));
  EXPECT_THAT(text, HasSubstr("replay 3\n"));
  EXPECT_THAT(RenderSas({}, kNow), HasSubstr("No SAs"));
}

TEST(RenderTest, Exemptions) {
  v1::ExemptionList list;
  v1::Exemption* x = list.add_exemptions();
  x->set_name("ike");
  x->set_protocol(17);
  x->set_port(500);
  for (int i = 1; i <= 9; ++i) x->add_cidrs("192.0.2." + std::to_string(i) + "/32");
  list.add_exemptions()->set_name("all");
  const std::string text = RenderExemptions(list);
  EXPECT_THAT(text, HasSubstr("ike        UDP       500   192.0.2.1/32, 192.0.2.2/32, 192.0.2.3/32 and 6 more"));
  EXPECT_THAT(text, HasSubstr("all        any       any   any that is no pod's"));
}

TEST(RenderTest, Explanation) {
  v1::Explanation e;
  e.set_verdict("encrypted");
  e.set_reason("In ESP to node node-2: rule 0 of EncryptionPolicy/shop/db says Require.");
  e.set_source("shop/web (10.244.1.2)");
  e.set_source_node("node-1");
  e.set_source_identity(300);
  e.set_destination("shop/db (10.244.2.2)");
  e.set_destination_node("node-2");
  e.set_destination_identity(301);
  e.set_protocol(6);
  e.set_port(5432);
  e.set_policy("EncryptionPolicy/shop/db");
  e.set_action("Require");
  e.set_stage("Enforced");
  e.mutable_peer()->set_state("up");
  e.mutable_peer()->set_remote("192.0.2.2:4500");
  (*e.mutable_counters())["sa_out_packets"] = 1000;
  const std::string text = RenderExplanation(e, kNow);
  EXPECT_EQ(text,
            "ENCRYPTED\n"
            "In ESP to node node-2: rule 0 of EncryptionPolicy/shop/db says Require.\n\n"
            "From:      shop/web (10.244.1.2) on node-1, identity 300\n"
            "To:        shop/db (10.244.2.2) on node-2, identity 301\n"
            "Flow:      TCP port 5432\n"
            "Policy:    EncryptionPolicy/shop/db, rule 0 (Require), stage Enforced\n"
            "Tunnel:    up at 192.0.2.2:4500\n"
            "Counters:  sa_out_packets 1,000\n");
}

TEST(ControllerStatusTest, ToleratesWhatItDoesNotKnow) {
  const auto c = ParseControllerStatus(R"({"source":"directory=x","view_version":7,"new":{},
      "nodes":[{"name":"a","connected":true,"version":"text"},5],
      "policies":[{"name":"p","conditions":[{"type":"Accepted","status":"True"}],"desired_nodes":3}],
      "problems":[{"severity":"error","text":"t"}],"state_error":null})");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->view_version, 7u);
  ASSERT_EQ(c->nodes.size(), 1u);
  EXPECT_TRUE(c->nodes[0].connected);
  EXPECT_EQ(c->policies[0].desired_nodes, 3u);
  EXPECT_EQ(c->policies[0].conditions[0].type, "Accepted");
  EXPECT_EQ(c->problems[0].text, "t");
  EXPECT_FALSE(ParseControllerStatus("[]").ok());
  EXPECT_FALSE(ParseControllerStatus("{\"nodes\":").ok());
  EXPECT_FALSE(ParseControllerStatus("").ok());
}

}  // namespace
}  // namespace espalier::cli
