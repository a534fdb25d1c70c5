#include "controller/compile/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/compile/test_mesh.h"

namespace espalier::compile {
namespace {

using ::testing::ElementsAre;

class StatusTest : public ::testing::Test {
 protected:
  StatusTest() {
    mesh_.AddNode("n1", "192.168.1.1", "10.244.1.0/24");
    mesh_.AddNode("n2", "192.168.1.2", "10.244.2.0/24");
    mesh_.AddPod("web-1", "n1", "10.244.1.5", "web");
    mesh_.AddPod("web-2", "n2", "10.244.2.5", "web");
    mesh_.AddPolicy("web", "{}");
    stages_.OnConnected("uid-n1", now_);
    stages_.OnConnected("uid-n2", now_);
    stages_.SetDesired({mesh_.input.policies[0].definition}, now_);
  }
  PolicyReport Report() {
    mesh_.input.policies = stages_.Current();
    mesh_.input.stages_revision = stages_.revision();
    reports_ = ReportPolicies(stages_, *mesh_.Compile(), problems_, acked_, nacks_);
    return reports_.empty() ? PolicyReport() : reports_.front();
  }
  static std::string Condition(const PolicyReport& report, const std::string& type) {
    for (const auto& c : report.status.conditions()) {
      if (c.type() == type) return absl::StrCat(c.status(), " ", c.reason(), ": ", c.message());
    }
    return "";
  }
  void Ack(const std::string& uid) {
    acked_[uid] = stages_.revision();
    stages_.OnAck(uid, stages_.revision(), now_);
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  TestMesh mesh_;
  Stages stages_;
  std::vector<source::Problem> problems_;
  std::map<std::string, uint64_t> acked_;
  std::map<std::string, std::string> nacks_;
  std::vector<PolicyReport> reports_;
};

TEST_F(StatusTest, ThroughItsStages) {
  PolicyReport report = Report();
  EXPECT_EQ(report.name, "EncryptionPolicy/shop/web");
  EXPECT_EQ(report.status.stage(), "Send");
  EXPECT_EQ(report.status.selected_pods(), 2);
  EXPECT_EQ(report.status.desired_nodes(), 2);
  EXPECT_EQ(report.status.programmed_nodes(), 0);
  EXPECT_EQ(Condition(report, "Accepted"), "True Valid: the policy is valid");
  EXPECT_EQ(Condition(report, "Programmed"), "False Waiting: 0 of 2 nodes; waiting for n1, n2");
  EXPECT_EQ(Condition(report, "Conflicted"), "False NoConflict: no policy of the same priority answers differently");
  Ack("uid-n1");
  nacks_["uid-n2"] = "no space";
  EXPECT_EQ(Condition(Report(), "Programmed"), "False Refused: 1 of 2 nodes; refused by n2: no space");
  nacks_.clear();
  Ack("uid-n2");
  report = Report();
  EXPECT_EQ(report.status.stage(), "Enforced");
  EXPECT_EQ(report.status.programmed_nodes(), 0);
  Ack("uid-n1");
  Ack("uid-n2");
  report = Report();
  EXPECT_EQ(Condition(report, "Programmed"), "True Programmed: 2 of 2 nodes");
  EXPECT_EQ(report.status.conditions(0).last_transition_time(), "2023-11-14T22:13:20Z");
  EXPECT_EQ(report.status.observed_generation(), 1);
  stages_.SetDesired({}, now_);
  EXPECT_EQ(Report().status.stage(), "Withdrawing");
}

TEST_F(StatusTest, RefusedPolicies) {
  source::Problem p;
  p.file = "a.yaml";
  p.object = "EncryptionPolicy/shop/web";
  p.field = "spec.action";
  p.value = "Encrypt";
  p.message = "is not an action";
  problems_.push_back(p);
  p.object = "EncryptionPolicy/shop/other";
  problems_.push_back(p);
  Report();
  ASSERT_EQ(reports_.size(), 2u);
  EXPECT_EQ(reports_[0].name, "EncryptionPolicy/shop/other");
  EXPECT_EQ(Condition(reports_[0], "Accepted"),
            "False Invalid: a.yaml: EncryptionPolicy/shop/other: spec.action: \"Encrypt\": is not an action");
  EXPECT_EQ(Condition(reports_[0], "Programmed"), "False NotInForce: no version of the policy is in force");
  EXPECT_EQ(
      Condition(reports_[1], "Accepted"),
      "False InvalidKeepsLastVersion: a.yaml: EncryptionPolicy/shop/web: spec.action: \"Encrypt\": is not an action");
  EXPECT_EQ(StatusText(reports_, problems_),
            "POLICY                       STAGE        NODES  ACCEPTED  PROGRAMMED  CONFLICTED  PODS\n"
            "EncryptionPolicy/shop/other  -              0/0  False     False       False       0\n"
            "EncryptionPolicy/shop/web    Send           0/2  False     False       False       2\n"
            "error: a.yaml: EncryptionPolicy/shop/web: spec.action: \"Encrypt\": is not an action\n"
            "error: a.yaml: EncryptionPolicy/shop/other: spec.action: \"Encrypt\": is not an action\n");
}

}  // namespace
}  // namespace espalier::compile
