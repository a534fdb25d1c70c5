#include "agent/policy/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/policy/direct.h"
#include "agent/policy/identity.h"
#include "agent/policy/test_view.h"

namespace espalier::policy {
namespace {

constexpr uint32_t kWeb = 300, kDb = 301, kOther = 302;
constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1;

std::shared_ptr<const Snapshot> MustBuild(const View& view) {
  auto s = Snapshot::Build(view);
  EXPECT_TRUE(s.ok()) << s.status();
  return s.ok() ? *s : nullptr;
}

Flow F(const std::string& source, const std::string& destination, uint8_t protocol = kTcp, uint16_t source_port = 40000,
       uint16_t destination_port = 80) {
  return {*IpAddress::Parse(source), *IpAddress::Parse(destination), protocol, source_port, destination_port};
}

// Pods: web on nodes 1 and 2, db on nodes 1, 2 and 3, other on node 2.
View Cluster() {
  View view = TestView(3);
  AddPod(&view, "10.244.1.10", kWeb, 1);
  AddPod(&view, "fd00:1::10", kWeb, 1);
  AddPod(&view, "10.244.1.20", kDb, 1);
  AddPod(&view, "10.244.2.10", kWeb, 2);
  AddPod(&view, "10.244.2.20", kDb, 2);
  AddPod(&view, "fd00:2::20", kDb, 2);
  AddPod(&view, "10.244.2.30", kOther, 2);
  AddPod(&view, "10.244.3.20", kDb, 3);
  view.mesh.add_controller_addresses("198.51.100.1");
  return view;
}

TEST(SnapshotTest, WhoIs) {
  View view = Cluster();
  view.mesh.add_controller_addresses("198.51.100.2:7443");
  view.mesh.add_controller_addresses("[2001:db8::7]:7443");
  const auto s = MustBuild(view);
  const struct {
    const char* address;
    uint32_t identity, node;
    bool local;
  } kCases[] = {
      {"10.244.1.10", kWeb, 1, true},
      {"10.244.2.10", kWeb, 2, false},
      {"fd00:1::10", kWeb, 1, true},
      {"10.244.1.99", kUnknown, 1, false},
      {"10.244.2.99", kUnknown, 2, false},
      {"10.244.77.1", kUnknown, 0, false},
      {"fd00:2::99", kUnknown, 2, false},
      {"fd00:77::1", kUnknown, 0, false},
      {"192.0.2.1", kHost, 1, false},
      {"192.0.2.3", kRemoteNode, 3, false},
      {"198.51.100.1", kController, 0, false},
      {"198.51.100.2", kController, 0, false},
      {"2001:db8::7", kController, 0, false},
      {"8.8.8.8", kWorld, 0, false},
      {"255.255.255.255", kWorld, 0, false},
      {"0.0.0.0", kWorld, 0, false},
      {"10.245.0.0", kWorld, 0, false},
      {"10.243.255.255", kWorld, 0, false},
      {"::", kWorld, 0, false},
      {"2001:db8::1", kWorld, 0, false},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", kWorld, 0, false},
  };
  for (const auto& c : kCases) {
    const Whois w = s->WhoIs(*IpAddress::Parse(c.address));
    EXPECT_EQ(w.identity, c.identity) << c.address;
    EXPECT_EQ(w.node_id, c.node) << c.address;
    EXPECT_EQ(w.local, c.local) << c.address;
  }
}

TEST(SnapshotTest, ANodesAddressIsNeverAPods) {
  View view = Cluster();
  AddPod(&view, "192.0.2.2", kWeb, 1);
  EXPECT_EQ(MustBuild(view)->WhoIs(*IpAddress::Parse("192.0.2.2")).identity, kRemoteNode);
}

TEST(SnapshotTest, NothingSelectsNothing) {
  const auto s = MustBuild(Cluster());
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20")).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.99")).verdict, Verdict::kPass);
  EXPECT_TRUE(s->rows().empty());
}

TEST(SnapshotTest, RequireBetweenAllPods) {
  View view = Cluster();
  AddPolicy(&view, "all", {kWeb, kDb, kOther}, {{.any_pod = true}});
  const auto s = MustBuild(view);
  const Verdict kYes = Verdict::kRequire, kNo = Verdict::kPass;
  const struct {
    const char *source, *destination;
    Verdict verdict;
  } kCases[] = {
      {"10.244.1.10", "10.244.2.20", kYes},  {"10.244.2.20", "10.244.1.10", kYes}, {"fd00:1::10", "fd00:2::20", kYes},
      {"10.244.1.10", "10.244.1.20", kNo},    // of this node both
      {"10.244.1.10", "10.244.2.99", kYes},   // unknown, of a node
      {"10.244.1.10", "10.244.99.99", kYes},  // unknown, of no node
      {"10.244.1.99", "10.244.2.20", kYes},   // a pod of ours that the view doesn't have yet
      {"10.244.1.99", "10.244.2.99", kYes},  {"10.244.1.10", "192.0.2.2", kNo},    {"192.0.2.1", "10.244.2.20", kNo},
      {"10.244.1.10", "8.8.8.8", kNo},       {"10.244.1.10", "198.51.100.1", kNo},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(s->Decide(F(c.source, c.destination)).verdict, c.verdict) << c.source << " " << c.destination;
    EXPECT_EQ(s->DecideFragment(*IpAddress::Parse(c.source), *IpAddress::Parse(c.destination)).verdict, c.verdict);
  }
  const Decision d = s->Decide(F("10.244.1.10", "10.244.2.20"));
  ASSERT_GE(d.origin, 0);
  EXPECT_EQ(s->origins()[d.origin].policy, "all");
  EXPECT_EQ(s->origins()[d.origin].rule, 0);
}

TEST(SnapshotTest, PortIsTheServersWhoeverSends) {
  View view = Cluster();
  AddPolicy(&view, "p", {kDb}, {{.peers = {kWeb}, .ports = {{kTcp, 5432, 5432}}}});
  const auto s = MustBuild(view);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 40000, 5432)).verdict, Verdict::kRequire);
  EXPECT_EQ(s->Decide(F("10.244.2.20", "10.244.1.10", kTcp, 5432, 40000)).verdict, Verdict::kRequire);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 40000, 80)).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kUdp, 40000, 5432)).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.2.30", "10.244.1.20", kTcp, 40000, 5432)).verdict, Verdict::kPass);
  EXPECT_EQ(s->DecideFragment(*IpAddress::Parse("10.244.1.10"), *IpAddress::Parse("10.244.2.20")).verdict,
            Verdict::kRequire);
}

TEST(SnapshotTest, ARowWithAPortBeatsOneWithout) {
  View view = Cluster();
  AddPolicy(&view, "p", {kDb},
            {{.action = v1::ACTION_BYPASS, .peers = {kWeb}, .ports = {{kTcp, 80, 80}}},
             {.action = v1::ACTION_REQUIRE, .any_pod = true}});
  const auto s = MustBuild(view);
  // Both directions of a connection get the same answer.
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 40000, 80)).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.2.20", "10.244.1.10", kTcp, 80, 40000)).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 40000, 81)).verdict, Verdict::kRequire);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kIcmp, 0, 0)).verdict, Verdict::kRequire);
}

TEST(SnapshotTest, AmongPortsTheStricterWins) {
  View view = Cluster();
  AddPolicy(&view, "p", {kDb},
            {{.action = v1::ACTION_BYPASS, .peers = {kWeb}, .ports = {{kTcp, 80, 80}}},
             {.action = v1::ACTION_DENY, .peers = {kWeb}, .ports = {{kTcp, 443, 443}}}});
  const auto s = MustBuild(view);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 80, 443)).verdict, Verdict::kDeny);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20", kTcp, 443, 80)).verdict, Verdict::kDeny);
  EXPECT_EQ(s->DecideFragment(*IpAddress::Parse("10.244.1.10"), *IpAddress::Parse("10.244.2.20")).verdict,
            Verdict::kDeny);
}

TEST(SnapshotTest, PriorityThenStrictness) {
  const auto decide = [](std::vector<std::pair<v1::Action, int>> policies, v1::Stage first_stage = v1::STAGE_ENFORCE) {
    View view = Cluster();
    int i = 0;
    for (const auto& [action, priority] : policies) {
      AddPolicy(&view, "p" + std::to_string(i), {kDb}, {{.action = action, .any_pod = true}}, priority,
                i == 0 ? first_stage : v1::STAGE_ENFORCE);
      ++i;
    }
    return MustBuild(view)->Decide(F("10.244.1.10", "10.244.2.20")).verdict;
  };
  const auto kB = v1::ACTION_BYPASS, kP = v1::ACTION_PREFER, kR = v1::ACTION_REQUIRE, kD = v1::ACTION_DENY;
  EXPECT_EQ(decide({{kB, 0}, {kP, 0}}), Verdict::kPrefer);
  EXPECT_EQ(decide({{kP, 0}, {kR, 0}}), Verdict::kRequire);
  EXPECT_EQ(decide({{kR, 0}, {kD, 0}, {kB, 0}}), Verdict::kDeny);
  EXPECT_EQ(decide({{kB, 1}, {kD, 0}}), Verdict::kPass);
  EXPECT_EQ(decide({{kB, -1}, {kP, -2}}), Verdict::kPass);
  // Stages.
  EXPECT_EQ(decide({{kR, 0}}, v1::STAGE_SEND), Verdict::kSend);
  EXPECT_EQ(decide({{kD, 0}}, v1::STAGE_SEND), Verdict::kPass);
  EXPECT_EQ(decide({{kP, 0}}, v1::STAGE_SEND), Verdict::kPrefer);
  EXPECT_EQ(decide({{kR, 0}}, v1::STAGE_UNSPECIFIED), Verdict::kRequire);
  EXPECT_EQ(decide({{kR, 0}, {kR, 0}}, v1::STAGE_SEND), Verdict::kRequire);
  EXPECT_EQ(decide({{kR, 0}, {kP, 0}}, v1::STAGE_SEND), Verdict::kSend);
  EXPECT_EQ(decide({{kR, 5}, {kR, 0}}, v1::STAGE_SEND), Verdict::kSend);
  EXPECT_EQ(decide({{kR, 0}, {kR, 5}}, v1::STAGE_SEND), Verdict::kRequire);
  // A Deny that drops nothing yet abstains.
  EXPECT_EQ(decide({{kD, 5}, {kR, 0}}, v1::STAGE_SEND), Verdict::kRequire);
  EXPECT_EQ(decide({{kD, 0}, {kR, 0}}, v1::STAGE_SEND), Verdict::kRequire);
}

TEST(SnapshotTest, AnUnknownAddressGetsTheStrictestItCouldHave) {
  View view = Cluster();
  // The unknown address may be a db pod that its own node knows already.
  AddPolicy(&view, "db", {kDb}, {{.any_pod = true}});
  AddPolicy(&view, "loose", {kDb}, {{.action = v1::ACTION_BYPASS, .peers = {kOther}}}, 10);
  AddPolicy(&view, "deny", {kOther}, {{.action = v1::ACTION_DENY, .peers = {kWeb}, .ports = {{kTcp, 9, 9}}}});
  const auto s = MustBuild(view);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.99")).verdict, Verdict::kRequire);
  EXPECT_EQ(s->Decide(F("10.244.2.99", "10.244.1.10")).verdict, Verdict::kRequire);
  EXPECT_EQ(s->Decide(F("10.244.1.99", "10.244.2.99")).verdict, Verdict::kRequire);
  // Deny is the business of the node that knows; nothing leaves in the clear.
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.99", kTcp, 1000, 9)).verdict, Verdict::kRequire);
}

TEST(SnapshotTest, CidrPeers) {
  View view = Cluster();
  AddPolicy(&view, "world", {kWeb},
            {{.action = v1::ACTION_BYPASS, .cidrs = {"203.0.113.0/28"}},
             {.action = v1::ACTION_DENY, .cidrs = {"203.0.113.0/24", "10.244.2.16/28"}}});
  const auto s = MustBuild(view);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "203.0.113.5")).verdict, Verdict::kPass);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "203.0.113.16")).verdict, Verdict::kDeny);
  EXPECT_EQ(s->Decide(F("203.0.113.16", "10.244.1.10")).verdict, Verdict::kDeny);
  EXPECT_EQ(s->Decide(F("10.244.1.20", "203.0.113.16")).verdict, Verdict::kPass);  // no subject
  // A pod inside the CIDR is a pod, and a peer. The db pods of nodes 2 (inside) and 3 (outside) differ.
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.20")).verdict, Verdict::kDeny);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.3.20")).verdict, Verdict::kPass);
  const Whois inside = s->WhoIs(*IpAddress::Parse("10.244.2.20"));
  EXPECT_GE(inside.identity, kFirstLocalIdentity);
  EXPECT_EQ(s->BaseIdentity(inside.identity), kDb);
  EXPECT_EQ(s->WhoIs(*IpAddress::Parse("10.244.3.20")).identity, kDb);
  EXPECT_EQ(inside.node_id, 2u);
  // An unknown address inside a CIDR is still unknown, of its node.
  const Whois unknown = s->WhoIs(*IpAddress::Parse("10.244.2.31"));
  EXPECT_EQ(ReservedOf(unknown.identity), kUnknown);
  EXPECT_EQ(s->BaseIdentity(unknown.identity), kUnknown);
  EXPECT_EQ(unknown.node_id, 2u);
  EXPECT_EQ(s->Decide(F("10.244.1.10", "10.244.2.31")).verdict, Verdict::kDeny);
}

TEST(SnapshotTest, ExemptionsHoldWhereOneEndIsNoPod) {
  View view = Cluster();
  AddPolicy(&view, "deny-all", {kWeb, kDb},
            {{.action = v1::ACTION_DENY, .any_pod = true, .cidrs = {"0.0.0.0/0", "::/0"}}});
  AddExemption(&view, "kubelet", kTcp, 10250, {"192.0.2.0/24"});
  AddExemption(&view, "link-local", 0, 0, {"169.254.0.0/16"});
  AddExemption(&view, "dns", 0, 53, {});
  const auto s = MustBuild(view);
  const Verdict kDeny = Verdict::kDeny, kPass = Verdict::kPass;
  const struct {
    Flow flow;
    Verdict verdict;
  } kCases[] = {
      {F("10.244.1.10", "192.0.2.2", kTcp, 40000, 10250), kPass},
      {F("192.0.2.2", "10.244.1.10", kTcp, 10250, 40000), kPass},
      {F("10.244.1.10", "192.0.2.2", kTcp, 40000, 80), kDeny},
      {F("10.244.1.10", "192.0.2.2", kUdp, 40000, 10250), kDeny},
      {F("192.0.2.2", "10.244.1.10", kTcp, 40000, 10250), kDeny},  // the port is the pod's: not exempt
      {F("10.244.1.10", "8.8.8.8", kTcp, 40000, 10250), kDeny},    // outside the CIDR
      {F("10.244.1.10", "8.8.8.8", kUdp, 40000, 53), kPass},
      {F("8.8.8.8", "10.244.1.10", kUdp, 53, 40000), kPass},
      {F("10.244.1.10", "169.254.1.1", kUdp, 1, 2), kPass},
      {F("169.254.1.1", "10.244.1.10", kTcp, 1, 2), kPass},
      // Between pods nothing is exempt, unknown ones included.
      {F("10.244.1.10", "10.244.2.20", kUdp, 40000, 53), kDeny},
      {F("10.244.1.10", "10.244.2.20", kTcp, 40000, 10250), kDeny},
      {F("10.244.1.10", "10.244.2.99", kUdp, 40000, 53), kDeny},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(s->Decide(c.flow).verdict, c.verdict)
        << c.flow.source.ToString() << ":" << c.flow.source_port << " " << c.flow.destination.ToString() << ":"
        << c.flow.destination_port << "/" << int{c.flow.protocol};
  }
  const Decision d = s->Decide(F("10.244.1.10", "192.0.2.2", kTcp, 40000, 10250));
  ASSERT_GE(d.origin, 0);
  EXPECT_EQ(s->origins()[d.origin].policy, "Exemption/kubelet");
}

TEST(SnapshotTest, RowsAreOfThisNodeAndEachOnce) {
  View view = Cluster();
  AddPod(&view, "10.244.3.40", 400, 3);
  AddPod(&view, "10.244.2.40", 401, 2);
  AddPolicy(&view, "all", {kWeb, kDb, kOther, 400, 401}, {{.any_pod = true, .ports = {{kTcp, 1000, 1999}}}});
  const auto s = MustBuild(view);
  const std::set<uint32_t> local = {kWeb, kDb, kUnknown};
  std::set<std::tuple<uint32_t, uint32_t, bool, uint8_t, uint16_t, uint8_t>> seen;
  for (const PolicyRow& r : s->rows()) {
    EXPECT_TRUE(local.count(r.src) || local.count(r.dst)) << r.src << " " << r.dst;
    EXPECT_TRUE(seen.insert({r.src, r.dst, r.any_protocol, r.protocol, r.port, r.port_bits}).second);
  }
  EXPECT_FALSE(seen.empty());
}

TEST(SnapshotTest, BuildRefusesWhatItCannotRead) {
  const struct {
    const char* message;
    void (*spoil)(View*);
  } kCases[] = {
      {"node/2: addresses", [](View* v) { v->nodes[2].add_addresses("x"); }},
      {"node/2: pod_cidrs", [](View* v) { v->nodes[2].add_pod_cidrs("10.0.0.1/8"); }},
      {"mesh_cidrs", [](View* v) { v->mesh.add_mesh_cidrs(""); }},
      {"controller_addresses", [](View* v) { v->mesh.add_controller_addresses("a.b"); }},
      {"address/zz: ip", [](View* v) { AddPod(v, "zz", kWeb, 1); }},
      {"address/10.244.1.77: identity", [](View* v) { AddPod(v, "10.244.1.77", 7, 1); }},
      {"policy/p: rules[0].peer_cidrs", [](View* v) { AddPolicy(v, "p", {kWeb}, {{.cidrs = {"z"}}}); }},
      {"policy/p: rules[0].ports", [](View* v) { AddPolicy(v, "p", {kWeb}, {{.ports = {{kTcp, 9, 1}}}}); }},
      {"exemption/x: cidrs", [](View* v) { AddExemption(v, "x", 0, 0, {"nowhere"}); }},
  };
  for (const auto& c : kCases) {
    View view = Cluster();
    c.spoil(&view);
    const auto s = Snapshot::Build(view);
    ASSERT_FALSE(s.ok()) << c.message;
    EXPECT_THAT(std::string(s.status().message()), ::testing::HasSubstr(c.message));
  }
}

TEST(DirectTest, StrongestFirst) {
  View view = Cluster();
  AddPolicy(&view, "a", {kDb}, {{.action = v1::ACTION_BYPASS, .any_pod = true}});
  AddPolicy(&view, "b", {kWeb},
            {{.action = v1::ACTION_REQUIRE, .peers = {kOther}}, {.action = v1::ACTION_REQUIRE, .peers = {kDb}}});
  AddPolicy(&view, "c", {kWeb}, {{.action = v1::ACTION_PREFER, .cidrs = {"10.244.2.0/24"}}}, 7);
  AddPolicy(&view, "d", {kOther}, {{.any_pod = true}});
  const auto matches = MatchingPolicies(view, {kWeb, *IpAddress::Parse("10.244.1.10")},
                                        {kDb, *IpAddress::Parse("10.244.2.20")}, kTcp, 80);
  ASSERT_EQ(matches.size(), 3u);
  EXPECT_EQ(matches[0].policy, "c");
  EXPECT_EQ(matches[1].policy, "b");
  EXPECT_EQ(matches[1].rule, 1);
  EXPECT_EQ(matches[2].policy, "a");
}

}  // namespace
}  // namespace espalier::policy
