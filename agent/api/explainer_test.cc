#include "agent/api/explainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/api/flow_ends.h"
#include "agent/policy/test_view.h"

namespace espalier::api {
namespace {

using policy::AddExemption;
using policy::AddPod;
using policy::AddPolicy;
using policy::TestView;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint32_t kWeb = 300, kDb = 301;

class ExplainerTest : public ::testing::Test {
 protected:
  ExplainerTest() : view_(TestView(3)) {
    AddPod(&view_, "10.244.1.10", kWeb, 1, "default/web-1");
    AddPod(&view_, "fd00:1::10", kWeb, 1, "default/web-1");
    AddPod(&view_, "10.244.1.11", kWeb, 1, "default/web-2");
    AddPod(&view_, "10.244.2.20", kDb, 2, "data/postgres-0");
    AddPod(&view_, "fd00:2::20", kDb, 2, "data/postgres-0");
    AddPod(&view_, "10.244.3.20", kDb, 3, "data/postgres-1");
    view_.mesh.add_controller_addresses("198.51.100.1");
    AddPolicy(&view_, "EncryptionPolicy/data/db", {kDb},
              {{.action = v1::ACTION_DENY, .any_pod = true, .ports = {{6, 22, 22}}},
               {.action = v1::ACTION_BYPASS, .any_pod = true, .ports = {{6, 9100, 9100}}},
               {.action = v1::ACTION_REQUIRE, .any_pod = true}});
    AddPolicy(&view_, "ClusterEncryptionPolicy/base", {kWeb, kDb}, {{.action = v1::ACTION_PREFER, .any_pod = true}},
              -10);
    AddExemption(&view_, "kubelet", 6, 10250, {"192.0.2.0/24"});
    view_.exemptions["kubelet"].set_description("the kubelet's API");
  }

  void SetUp() override {
    input_.peer = [this](uint32_t) { return peer_; };
    input_.sas = [this](uint32_t) { return sas_; };
  }
  void TunnelUp() {
    peer_.emplace().set_state("up");
    for (const char* direction : {"in", "out"}) {
      v1::SaInfo& sa = sas_.emplace_back();
      sa.set_direction(direction);
      sa.set_packets(7);
      (*sa.mutable_errors())["replay"] = 2;
    }
  }
  absl::StatusOr<v1::Explanation> Ask(const std::string& source, const std::string& destination,
                                      uint32_t protocol = 0) {
    auto snapshot = policy::Snapshot::Build(view_);
    EXPECT_TRUE(snapshot.ok());
    input_.view = &view_;
    input_.snapshot = *snapshot;
    v1::ExplainRequest request;
    request.set_source(source);
    request.set_destination(destination);
    request.set_protocol(protocol);
    return ExplainFlow(input_, request);
  }
  v1::Explanation Must(const std::string& source, const std::string& destination, uint32_t protocol = 0) {
    auto e = Ask(source, destination, protocol);
    EXPECT_TRUE(e.ok()) << e.status();
    return e.ok() ? *e : v1::Explanation();
  }

  policy::View view_;
  ExplainInput input_;
  std::optional<v1::PeerInfo> peer_;
  std::vector<v1::SaInfo> sas_;
};

TEST_F(ExplainerTest, Encrypted) {
  TunnelUp();
  const auto e = Must("web-1", "data/postgres-0:5432");
  EXPECT_EQ(e.verdict(), "encrypted");
  EXPECT_EQ(e.reason(), "In ESP to node node-2: rule 2 of EncryptionPolicy/data/db says Require.");
  EXPECT_EQ(e.policy(), "EncryptionPolicy/data/db");
  EXPECT_EQ(e.rule(), 2);
  EXPECT_EQ(e.action(), "Require");
  EXPECT_EQ(e.stage(), "Enforced");
  EXPECT_EQ(e.source(), "default/web-1 (10.244.1.10)");
  EXPECT_EQ(e.source_node(), "node-1");
  EXPECT_EQ(e.source_identity(), kWeb);
  EXPECT_EQ(e.destination(), "data/postgres-0 (10.244.2.20)");
  EXPECT_EQ(e.destination_node(), "node-2");
  EXPECT_EQ(e.protocol(), 6u);
  EXPECT_EQ(e.port(), 5432u);
  EXPECT_THAT(e.also_matching(), ElementsAre("ClusterEncryptionPolicy/base rule 0 (Prefer, priority -10)"));
  EXPECT_EQ(e.sas_size(), 2);
  EXPECT_EQ(e.counters().at("sa_out_packets"), 7u);
  EXPECT_EQ(e.counters().at("drop_replay"), 4u);
  EXPECT_EQ(Must("data/postgres-0", "web-1").verdict(), "encrypted");
}

TEST_F(ExplainerTest, EncryptedButTheTunnelIsNotUp) {
  EXPECT_THAT(Must("web-1", "data/postgres-0:5432").reason(), HasSubstr("the first packet starts it"));
  peer_.emplace().set_state("failed");
  peer_->set_last_error("no answer from 192.0.2.2:4500");
  const auto e = Must("web-1", "data/postgres-0:5432");
  EXPECT_EQ(e.verdict(), "encrypted");
  EXPECT_THAT(e.reason(), HasSubstr("not up (no answer from 192.0.2.2:4500)"));
}

TEST_F(ExplainerTest, EachVerdict) {
  const struct {
    const char *source, *destination;
    uint32_t protocol;
    const char *verdict, *reason;
  } kCases[] = {
      {"web-1", "data/postgres-0:22", 6, "denied", "Dropped: rule 0 of EncryptionPolicy/data/db says Deny."},
      {"web-1", "data/postgres-0:9100", 6, "plaintext", "rule 1 of EncryptionPolicy/data/db says Bypass"},
      {"web-1", "data/postgres-0:9100", 17, "encrypted", "Require"},
      {"web-1", "data/postgres-0", 1, "encrypted", "Require"},
      {"web-1", "web-2:80", 6, "same-node", "Both ends are on node node-1"},
      {"data/postgres-0", "data/postgres-0", 6, "same-node", "node-2"},
      {"web-1", "8.8.8.8:443", 6, "plaintext", "no policy selects this flow"},
      {"web-1", "192.0.2.2:10250", 6, "exempt", "exemption kubelet (the kubelet's API)"},
      {"192.0.2.1", "192.0.2.2:179", 6, "plaintext", "neither end is a pod"},
      {"web-1", "10.244.99.1:80", 6, "dropped", "belongs to no node that is known"},
      {"data/postgres-0", "web-1", 6, "encrypted", "node node-2"},
      {"web-1", "[fd00:2::20]:5432", 6, "encrypted", "Require"},
      {"fd00:1::10", "fd00:2::20", 6, "encrypted", "Require"},
  };
  for (const auto& c : kCases) {
    const auto e = Must(c.source, c.destination, c.protocol);
    EXPECT_EQ(e.verdict(), c.verdict) << c.source << " " << c.destination << ": " << e.reason();
    EXPECT_THAT(e.reason(), HasSubstr(c.reason)) << c.destination;
  }
}

TEST_F(ExplainerTest, PreferIsPlaintextUntilTheTunnelIsUp) {
  AddPod(&view_, "10.244.2.10", kWeb, 2, "default/web-3");
  EXPECT_EQ(Must("web-1", "web-3:80").verdict(), "plaintext");
  EXPECT_THAT(Must("web-1", "web-3:80").reason(), HasSubstr("the tunnel to node-2 is not up"));
  TunnelUp();
  EXPECT_EQ(Must("web-1", "web-3:80").verdict(), "encrypted");
}

TEST_F(ExplainerTest, UnknownAddressOfAKnownNode) {
  const auto e = Must("web-1", "10.244.2.99:80");
  EXPECT_EQ(e.verdict(), "encrypted");
  EXPECT_THAT(e.reason(), HasSubstr("No pod is known at 10.244.2.99"));
  EXPECT_EQ(e.destination(), "10.244.2.99 (no known pod, in the pod CIDR of node-2)");
}

TEST_F(ExplainerTest, StagesAreSaid) {
  view_.policies["EncryptionPolicy/data/db"].set_stage(v1::STAGE_SEND);
  EXPECT_THAT(Must("web-1", "data/postgres-0:5432").reason(), HasSubstr("plaintext is still accepted"));
  view_.policies.erase("ClusterEncryptionPolicy/base");
  const auto e = Must("web-1", "data/postgres-0:22");
  EXPECT_EQ(e.verdict(), "plaintext");
  EXPECT_THAT(e.reason(), HasSubstr("says Deny, but it is not in force yet"));
}

TEST_F(ExplainerTest, OfOtherNodes) {
  const auto e = Must("data/postgres-0", "data/postgres-1:5432");
  EXPECT_EQ(e.verdict(), "encrypted");
  EXPECT_THAT(e.reason(), HasSubstr("In ESP to node node-3"));
  EXPECT_THAT(e.reason(), HasSubstr("Neither end is on this node: this is what node node-2 does"));
  EXPECT_FALSE(e.has_peer());
}

TEST_F(ExplainerTest, Errors) {
  const struct {
    const char *source, *destination;
    uint32_t protocol;
    const char* message;
  } kCases[] = {
      {"web-9", "data/postgres-0", 6, "no pod \"default/web-9\""},
      {"web-9", "data/postgres-0", 6, "nearest: default/web-1, default/web-2"},
      {"web-1", "postgres-0", 6, "nearest: data/postgres-0"},
      {"web-1", "nowhere/at-all-like-this", 6, "it may not be running"},
      {"", "data/postgres-0", 6, "empty name"},
      {"web-1", "data/postgres-0:http", 6, "port \"http\""},
      {"web-1", "data/postgres-0:70000", 6, "port \"70000\""},
      {"web-1", "a/b/c", 6, "neither NAMESPACE/POD"},
      {"web-1", "data/postgres-0:5432", 1, "protocol 1 has no ports"},
      {"web-1", "data/postgres-0", 256, "protocol 256"},
      {"10.244.1.10", "fd00:2::20", 6, "same family"},
  };
  for (const auto& c : kCases) {
    const auto e = Ask(c.source, c.destination, c.protocol);
    ASSERT_FALSE(e.ok()) << c.message;
    EXPECT_THAT(std::string(e.status().message()), HasSubstr(c.message));
  }
  EXPECT_EQ(ExplainFlow({}, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Ask("web-1", std::string(100000, 'x')).ok());
}

}  // namespace
}  // namespace espalier::api
