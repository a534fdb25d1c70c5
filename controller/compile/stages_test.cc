#include "controller/compile/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier::compile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DefinitionPtr Define(const std::string& name, const std::string& action, int priority = 0, int generation = 1) {
  auto out = std::make_shared<PolicyDefinition>();
  out->name = absl::StrCat("ClusterEncryptionPolicy/", name);
  out->priority = priority;
  out->generation = generation;
  out->spec.set_action(action);
  if (priority != 0) out->spec.set_priority(priority);
  return out;
}

class StagesTest : public ::testing::Test {
 protected:
  // "NAME/E:ACTION" or "NAME/S:ACTION", "@PRIORITY" if not 0, "!" if it eases.
  std::string Sent() const {
    std::vector<std::string> out;
    for (const ActivePolicy& p : stages_.Current()) {
      out.push_back(absl::StrCat(p.name.substr(p.name.find('/') + 1),
                                 p.stage == v1::STAGE_ENFORCE ? "/E:" : "/S:", p.definition->spec.action(),
                                 p.priority == 0 ? "" : absl::StrCat("@", p.priority), p.eases ? "!" : ""));
    }
    return absl::StrJoin(out, " ");
  }
  void Ack(const std::string& node) { stages_.OnAck(node, stages_.revision(), now_); }
  void AckAll() {
    for (const char* node : {"n1", "n2"}) Ack(node);
  }
  void Connect() {
    for (const char* node : {"n1", "n2"}) stages_.OnConnected(node, now_);
    AckAll();
  }
  void Set(const std::vector<DefinitionPtr>& definitions) { stages_.SetDesired(definitions, now_); }
  const PolicyProgress& Progress(const std::string& name) const {
    return stages_.progress().at(absl::StrCat("ClusterEncryptionPolicy/", name));
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Stages stages_;
};

TEST_F(StagesTest, ANewPolicySendsFirst) {
  Connect();
  Set({Define("p", "Require")});
  EXPECT_EQ(Sent(), "p/S:Require");
  EXPECT_EQ(Progress("p").step, Step::kIntroduce);
  EXPECT_THAT(Progress("p").waiting_for, ElementsAre("n1", "n2"));
  Ack("n1");
  EXPECT_EQ(Sent(), "p/S:Require");
  EXPECT_THAT(Progress("p").waiting_for, ElementsAre("n2"));
  Ack("n2");
  EXPECT_EQ(Sent(), "p/E:Require");
  EXPECT_EQ(Progress("p").step, Step::kSteady);
  AckAll();
  EXPECT_EQ(Sent(), "p/E:Require");
  EXPECT_EQ(stages_.next_deadline(), std::nullopt);
}

TEST_F(StagesTest, AnOldAckDoesNotCount) {
  Connect();
  const uint64_t before = stages_.revision();
  Set({Define("p", "Require")});
  stages_.OnAck("n1", before, now_);
  stages_.OnAck("n2", before, now_);
  stages_.OnAck("stranger", stages_.revision(), now_);
  EXPECT_EQ(Sent(), "p/S:Require");
  // Nor one of a revision that does not exist yet.
  stages_.OnAck("n1", 1000, now_);
  Ack("n2");
  EXPECT_EQ(Sent(), "p/E:Require");
}

TEST_F(StagesTest, AChangedPolicy) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  AckAll();
  Set({Define("p", "Deny", 0, 2)});
  EXPECT_EQ(Sent(), "p/E:Require p+new/S:Deny");
  EXPECT_EQ(Progress("p").step, Step::kMeet);
  AckAll();
  EXPECT_EQ(Sent(), "p/E:Deny p+old/S:Require");
  EXPECT_EQ(Progress("p").step, Step::kYield);
  AckAll();
  EXPECT_EQ(Sent(), "p/E:Deny");
  EXPECT_EQ(Progress("p").step, Step::kSteady);
}

TEST_F(StagesTest, ARemovedPolicy) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  AckAll();
  Set({});
  EXPECT_EQ(Sent(), "p/S:Require");
  EXPECT_EQ(Progress("p").step, Step::kWithdraw);
  EXPECT_EQ(Progress("p").desired, nullptr);
  AckAll();
  EXPECT_EQ(Sent(), "");
  EXPECT_THAT(stages_.progress(), IsEmpty());
}

// A rename is one policy that goes and one that comes: what both require is required throughout.
TEST_F(StagesTest, ARenamedPolicy) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  Set({Define("q", "Require")});
  EXPECT_EQ(Sent(), "p/E:Require q/S:Require");
  AckAll();
  EXPECT_EQ(Sent(), "p/S:Require q/E:Require");
  AckAll();
  EXPECT_EQ(Sent(), "q/E:Require");
}

TEST_F(StagesTest, AGenerationAloneIsNoStep) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  const uint64_t before = stages_.revision();
  Set({Define("p", "Require", 0, 7)});
  EXPECT_EQ(Sent(), "p/E:Require");
  EXPECT_EQ(stages_.revision(), before + 1);
  EXPECT_EQ(stages_.Current()[0].definition->generation, 7);
  Set({stages_.Current()[0].definition});
  EXPECT_EQ(stages_.revision(), before + 1);
}

TEST_F(StagesTest, ChangesOfMindInMeetAreTakenAtOnce) {
  Connect();
  Set({Define("p", "Require")});
  Set({Define("p", "Prefer")});
  EXPECT_EQ(Sent(), "");  // nothing to send ahead of it, and nothing waits: see below
  AckAll();
  EXPECT_EQ(Sent(), "p/E:Prefer");
  Set({Define("p", "Require")});
  EXPECT_EQ(Sent(), "p/E:Prefer p+new/S:Require");
  Set({Define("p", "Deny")});
  EXPECT_EQ(Sent(), "p/E:Prefer p+new/S:Deny");
  Set({Define("p", "Prefer")});
  EXPECT_EQ(Sent(), "p/E:Prefer");
  EXPECT_EQ(Progress("p").step, Step::kSteady);
}

TEST_F(StagesTest, ChangesOfMindInYieldWait) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  AckAll();
  Set({Define("p", "Deny")});
  AckAll();
  ASSERT_EQ(Sent(), "p/E:Deny p+old/S:Require");
  Set({});
  EXPECT_EQ(Sent(), "p/E:Deny p+old/S:Require");
  AckAll();
  EXPECT_EQ(Sent(), "p/E:Deny");  // Meet of the removal
  AckAll();
  EXPECT_EQ(Sent(), "p/S:Deny");
  AckAll();
  EXPECT_EQ(Sent(), "");
}

TEST_F(StagesTest, NobodyConnectedBlocksNothing) {
  Set({Define("p", "Require")});
  EXPECT_EQ(Sent(), "p/E:Require");
  Set({});
  EXPECT_EQ(Sent(), "");
}

TEST_F(StagesTest, ASilentNodeBlocksForItsGraceOnly) {
  Connect();
  Set({Define("p", "Require")});
  Ack("n1");
  EXPECT_EQ(stages_.next_deadline(), now_ + absl::Seconds(5));
  now_ += absl::Milliseconds(4999);
  stages_.Tick(now_);
  EXPECT_EQ(Sent(), "p/S:Require");
  now_ += absl::Milliseconds(1);
  stages_.Tick(now_);
  EXPECT_EQ(Sent(), "p/E:Require");
  EXPECT_THAT(Progress("p").skipped, ElementsAre("n2"));
}

TEST_F(StagesTest, ADisconnectUnblocksAndAReconnectBlocksAgain) {
  Connect();
  Set({Define("p", "Require")});
  Ack("n1");
  stages_.OnDisconnected("n2", now_);
  EXPECT_EQ(Sent(), "p/E:Require");
  Set({Define("p", "Deny")});
  stages_.OnConnected("n2", now_ + absl::Seconds(4));
  Ack("n1");
  EXPECT_EQ(Sent(), "p/E:Require p+new/S:Deny");
  EXPECT_EQ(stages_.next_deadline(), now_ + absl::Seconds(9));
  Ack("n2");
  EXPECT_EQ(Sent(), "p/E:Deny p+old/S:Require");
}

// What is not in force yet must not outrank what is.
TEST_F(StagesTest, SendingPoliciesStandBelowEnforcedOnes) {
  Connect();
  Set({Define("base", "Require", -100)});
  AckAll();
  AckAll();
  Set({Define("base", "Require", -100), Define("p", "Require", 50)});
  EXPECT_EQ(Sent(), "base/E:Require@-100 p/S:Require@-100");
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require@-100 p/E:Require@50");
  AckAll();
  Set({Define("base", "Require", -100)});
  EXPECT_EQ(Sent(), "base/E:Require@-100 p/E:Require@50");
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require@-100 p/S:Require@-100");
}

// A Bypass above a Require: both accept both before anybody sends plaintext.
TEST_F(StagesTest, EasingPoliciesSendFirst) {
  Connect();
  Set({Define("base", "Require")});
  AckAll();
  AckAll();
  Set({Define("base", "Require"), Define("p", "Bypass", 50)});
  EXPECT_EQ(Sent(), "base/E:Require p/S:Bypass@50!");
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require p/E:Bypass@50");
  AckAll();
  Set({Define("base", "Require")});
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require p/S:Bypass@50!");
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require");
}

TEST_F(StagesTest, EasingPoliciesWaitForStrictOnesAboveThem) {
  Connect();
  Set({Define("base", "Require")});
  AckAll();
  AckAll();
  Set({Define("base", "Require"), Define("p", "Bypass", 50), Define("q", "Require", 60)});
  EXPECT_EQ(Sent(), "base/E:Require q/S:Require");
  AckAll();
  EXPECT_EQ(Sent(), "base/E:Require p/E:Bypass@50 q/E:Require@60");
}

// A controller that comes back must not take anything back to Send.
TEST_F(StagesTest, SaveAndLoad) {
  Connect();
  Set({Define("p", "Require", 3, 9), Define("q", "Deny")});
  EXPECT_EQ(stages_.Save(), "");
  AckAll();
  const std::string saved = stages_.Save();
  Stages next;
  ASSERT_TRUE(next.Load(saved, now_).ok());
  ASSERT_EQ(next.Current().size(), 2u);
  for (const ActivePolicy& p : next.Current()) EXPECT_EQ(p.stage, v1::STAGE_ENFORCE);
  EXPECT_EQ(next.Current()[0].priority, 3);
  EXPECT_EQ(next.Current()[0].definition->generation, 9);
  EXPECT_EQ(next.Save(), saved);
  // The same policies: nothing to do.
  const uint64_t before = next.revision();
  next.SetDesired({Define("p", "Require", 3, 9), Define("q", "Deny")}, now_);
  EXPECT_EQ(next.progress().at("ClusterEncryptionPolicy/p").step, Step::kSteady);
  EXPECT_LE(next.revision(), before + 1);
  // One was changed meanwhile: agents get the time to come back.
  next.SetDesired({Define("p", "Require", 3, 9)}, now_);
  EXPECT_EQ(next.progress().at("ClusterEncryptionPolicy/q").step, Step::kWithdraw);
  EXPECT_EQ(next.next_deadline(), now_ + absl::Seconds(5));
  next.Tick(now_ + absl::Seconds(5));
  EXPECT_EQ(next.progress().count("ClusterEncryptionPolicy/q"), 0u);
}

TEST_F(StagesTest, SaveInTheMiddle) {
  Connect();
  Set({Define("p", "Require")});
  AckAll();
  Set({Define("p", "Deny")});
  EXPECT_THAT(stages_.Save(), ::testing::HasSubstr("\"action\":\"Require\""));
  AckAll();
  EXPECT_THAT(stages_.Save(), ::testing::HasSubstr("\"action\":\"Deny\""));
}

TEST_F(StagesTest, LoadRefusesNonsense) {
  for (const char* bad : {"x", "{}", "{\"kind\":\"EncryptionPolicy\",\"metadata\":{\"name\":\"a\"}}",
                          "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}"}) {
    Stages stages;
    EXPECT_FALSE(stages.Load(bad, now_).ok()) << bad;
    EXPECT_THAT(stages.Current(), IsEmpty());
  }
  EXPECT_TRUE(stages_.Load("", now_).ok());
}

}  // namespace
}  // namespace espalier::compile
