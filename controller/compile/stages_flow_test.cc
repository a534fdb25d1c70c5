// What stages.h promises, on random changes: nodes that take views at different moments are compared in every state
// that can be reached, by a model of how an agent decides.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "controller/compile/stages.h"

namespace espalier::compile {
namespace {

constexpr int kFlows = 6, kNodes = 3;

enum Verdict { kPass, kPrefer, kSend, kRequire, kDeny };

// A flow is a number. A rule names the flows that it matches by its peers' service accounts (an arbitrary but handy
// place for them); no peers: all.
bool RuleMatches(const v1alpha1::Rule& rule, int flow) {
  if (rule.peers().empty()) return true;
  const auto& names = rule.peers(0).service_accounts();
  return std::find(names.begin(), names.end(), absl::StrCat(flow)) != names.end();
}

// The highest priority's strictest answer; a Deny at Send abstains.
Verdict Decide(const std::vector<ActivePolicy>& view, int flow) {
  std::optional<int> priority;
  Verdict out = kPass;
  for (const ActivePolicy& p : view) {
    for (const v1alpha1::Rule& rule : p.definition->spec.rules()) {
      if (!RuleMatches(rule, flow)) continue;
      const bool sending = p.stage == v1::STAGE_SEND;
      const std::string& action = rule.action();
      const bool require = action == "Require" || (p.eases && (action == "Bypass" || action == "Prefer"));
      if (action == "Deny" && sending) break;
      const Verdict answer = action == "Deny"     ? kDeny
                             : require            ? (sending ? kSend : kRequire)
                             : action == "Prefer" ? kPrefer
                                                  : kPass;
      if (!priority.has_value() || p.priority > *priority) {
        priority = p.priority;
        out = answer;
      } else if (p.priority == *priority) {
        out = std::max(out, answer);
      }
      break;
    }
  }
  return out;
}

std::vector<ActivePolicy> Enforced(const std::vector<DefinitionPtr>& definitions) {
  std::vector<ActivePolicy> out;
  for (const DefinitionPtr& d : definitions) out.push_back({d->name, d, v1::STAGE_ENFORCE, d->priority, false});
  return out;
}

struct Shape {
  std::vector<int> priorities;
  bool easing_only = false;  // changes are of Bypass and Prefer alone, above one policy that requires everything
};

class Simulation {
 public:
  Simulation(uint32_t seed, Shape shape) : random_(seed), shape_(std::move(shape)) {
    for (int i = 0; i < kNodes; ++i) stages_.OnConnected(absl::StrCat(i), now_);
  }

  // From one random set of policies to another, with random deliveries. `lossless`: also check that no pair loses.
  void Change(bool lossless) {
    const std::vector<DefinitionPtr> next = RandomSet();
    const std::vector<ActivePolicy> old_set = Enforced(set_), new_set = Enforced(next);
    stages_.SetDesired(next, now_);
    int left = 200;
    do {
      ASSERT_GT(left--, 0) << "does not end";
      const int node = Random(kNodes);
      if (views_[node].first < stages_.revision()) views_[node] = {stages_.revision(), stages_.Current()};
      Check(old_set, new_set, lossless);
      stages_.OnAck(absl::StrCat(node), views_[node].first, now_);
    } while (!AllCurrent() || !Steady());
    for (int flow = 0; flow < kFlows; ++flow) EXPECT_EQ(Decide(stages_.Current(), flow), Decide(new_set, flow));
    set_ = next;
  }

  std::vector<DefinitionPtr> RandomSet() {
    std::vector<DefinitionPtr> out;
    if (shape_.easing_only) {
      auto floor = std::make_shared<PolicyDefinition>();
      floor->name = "floor";
      floor->spec.add_rules()->set_action("Require");
      out.push_back(std::move(floor));
    }
    for (int i = 0; i < 4; ++i) {
      // Now and then as it was.
      if (Random(3) == 0) {
        for (const DefinitionPtr& d : set_) {
          if (d->name == absl::StrCat("p", i)) out.push_back(d);
        }
        continue;
      }
      if (Random(3) == 0) continue;
      out.push_back(RandomPolicy(absl::StrCat("p", i)));
    }
    return out;
  }

 private:
  int Random(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  DefinitionPtr RandomPolicy(std::string name) {
    static constexpr const char* kActions[] = {"Require", "Bypass", "Prefer", "Require", "Deny"};
    auto out = std::make_shared<PolicyDefinition>();
    out->name = std::move(name);
    out->priority = shape_.priorities[Random(static_cast<int>(shape_.priorities.size()))];
    for (int r = Random(3); r >= 0; --r) {
      v1alpha1::Rule* rule = out->spec.add_rules();
      rule->set_action(shape_.easing_only ? kActions[1 + Random(2)] : kActions[Random(5)]);
      if (Random(4) == 0) continue;
      for (int f = 0; f < kFlows; ++f) {
        if (Random(2) == 0) {
          if (rule->peers().empty()) rule->add_peers();
          rule->mutable_peers(0)->add_service_accounts(absl::StrCat(f));
        }
      }
    }
    return out;
  }

  bool AllCurrent() const {
    return std::all_of(std::begin(views_), std::end(views_),
                       [this](const auto& v) { return v.first == stages_.revision(); });
  }
  bool Steady() const {
    return std::all_of(stages_.progress().begin(), stages_.progress().end(),
                       [](const auto& p) { return p.second.step == Step::kSteady && p.second.waiting_for.empty(); }) &&
           !stages_.next_deadline().has_value();
  }

  void Check(const std::vector<ActivePolicy>& old_set, const std::vector<ActivePolicy>& new_set, bool lossless) const {
    for (int flow = 0; flow < kFlows; ++flow) {
      const Verdict before = Decide(old_set, flow), after = Decide(new_set, flow);
      for (const auto& [revision, view] : views_) {
        const Verdict here = Decide(view, flow);
        if (before >= kRequire && after >= kRequire) {
          ASSERT_GE(here, kRequire) << "flow " << flow << " is open at revision " << revision;
        }
        if (before == kDeny && after == kDeny) {
          ASSERT_EQ(here, kDeny);
        }
        if (!lossless || before == kDeny || after == kDeny) continue;
        for (const auto& [other_revision, other] : views_) {
          // Who may send plaintext must meet only those who accept it.
          if (here > kPrefer) continue;
          ASSERT_LE(Decide(other, flow), kSend)
              << "flow " << flow << " is lost between revisions " << revision << " and " << other_revision;
        }
      }
    }
  }

  std::mt19937 random_;
  const Shape shape_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Stages stages_;
  std::vector<DefinitionPtr> set_;
  std::pair<uint64_t, std::vector<ActivePolicy>> views_[kNodes];
};

void Simulate(const Shape& shape, bool lossless) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Simulation simulation(seed, shape);
    for (int i = 0; i < 30; ++i) {
      simulation.Change(lossless);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(StagesFlow, OnePriorityLeaksNothingAndLosesNothing) { Simulate({{0}}, true); }
TEST(StagesFlow, ManyPrioritiesLeakNothing) { Simulate({{-10, 0, 0, 10, 20}}, false); }
TEST(StagesFlow, EasingAboveAStrictFloorLosesNothing) { Simulate({{10}, true}, true); }

}  // namespace
}  // namespace espalier::compile
