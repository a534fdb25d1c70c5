#include "controller/compile/stages.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace espalier::compile {
namespace {

using Definitions = std::map<std::string, DefinitionPtr>;

bool Same(const DefinitionPtr& a, const DefinitionPtr& b) { return a == b || SameEffect(*a, *b); }

DefinitionPtr Find(const Definitions& in, const std::string& name) {
  const auto found = in.find(name);
  return found == in.end() ? nullptr : found->second;
}

// Those of `in` that `without` lacks, or has in another version.
std::vector<DefinitionPtr> Only(const Definitions& in, const Definitions& without) {
  std::vector<DefinitionPtr> out;
  for (const auto& [name, definition] : in) {
    const DefinitionPtr other = Find(without, name);
    if (other == nullptr || !Same(definition, other)) out.push_back(definition);
  }
  return out;
}

// Those of a change that come or go with it.
std::vector<DefinitionPtr> Moving(const Definitions& from, const Definitions& to) {
  std::vector<DefinitionPtr> out = Only(from, to);
  const std::vector<DefinitionPtr> added = Only(to, from);
  out.insert(out.end(), added.begin(), added.end());
  return out;
}

}  // namespace

Stages::Stages(StagesOptions options) : options_(options) {}

void Stages::SetDesired(const std::vector<DefinitionPtr>& definitions, absl::Time now) {
  desired_.clear();
  for (const DefinitionPtr& definition : definitions) desired_[definition->name] = definition;
  if (phase_ != Phase::kYield) {
    // Versions that differ in nothing but their generation take effect in place.
    for (auto& [name, definition] : from_) {
      const DefinitionPtr next = Find(desired_, name);
      if (next != nullptr && Same(next, definition)) definition = next;
    }
    to_ = desired_;
    Begin(Moving(from_, to_).empty() ? Phase::kSteady : Phase::kMeet, now);
  }
  Settle(now);
}

void Stages::OnConnected(const std::string& node, absl::Time now) {
  peers_[node] = {now, 0};
  Settle(now);
}

void Stages::OnDisconnected(const std::string& node, absl::Time now) {
  peers_.erase(node);
  Settle(now);
}

void Stages::OnAck(const std::string& node, uint64_t revision, absl::Time now) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.acked = std::max(found->second.acked, std::min(revision, revision_));
  Settle(now);
}

void Stages::Tick(absl::Time now) { Settle(now); }

std::optional<absl::Time> Stages::next_deadline() const {
  if (phase_ == Phase::kSteady) return std::nullopt;
  absl::Time over = hold_until_;
  for (const auto& [node, peer] : peers_) {
    if (peer.acked < step_revision_) over = std::max(over, std::max(step_since_, peer.since) + options_.grace);
  }
  return over;
}

bool Stages::StepIsOver(absl::Time now) {
  if (now < hold_until_) return false;
  // A Yield in which nothing yields is what comes after it already.
  if (phase_ == Phase::kYield &&
      std::none_of(current_.begin(), current_.end(), [](const ActivePolicy& p) { return p.stage == v1::STAGE_SEND; })) {
    return true;
  }
  std::vector<std::string> silent;
  for (const auto& [node, peer] : peers_) {
    if (peer.acked >= step_revision_) continue;
    if (now < std::max(step_since_, peer.since) + options_.grace) return false;
    silent.push_back(node);
  }
  skipped_.insert(silent.begin(), silent.end());
  return true;
}

void Stages::Settle(absl::Time now) {
  while (phase_ != Phase::kSteady && StepIsOver(now)) {
    if (phase_ == Phase::kMeet) {
      Begin(Phase::kYield, now);
    } else {
      from_ = to_;
      to_ = desired_;
      Begin(Moving(from_, to_).empty() ? Phase::kSteady : Phase::kMeet, now);
    }
  }
  Report(now);
}

// If what is sent does not change by it, nodes have acknowledged the step already.
void Stages::Begin(Phase phase, absl::Time now) {
  const bool moves = phase != phase_;
  if (phase == Phase::kMeet) {
    if (phase_ != Phase::kMeet) skipped_.clear();
    moving_.clear();
    for (const DefinitionPtr& definition : Moving(from_, to_)) moving_.insert(definition->name);
  }
  phase_ = phase;
  if (phase == Phase::kSteady) from_ = to_;
  std::vector<ActivePolicy> next = Render();
  if (next == current_ && !moves) return;
  step_since_ = now;
  if (next == current_) return;
  current_ = std::move(next);
  step_revision_ = ++revision_;
}

std::vector<ActivePolicy> Stages::Render() const {
  const bool yields = phase_ == Phase::kYield;
  const Definitions& enforced = yields ? to_ : from_;
  std::vector<ActivePolicy> out;
  // The lowest priority of an enforced policy with Require or Deny.
  std::optional<int32_t> floor;
  for (const auto& [name, definition] : enforced) {
    out.push_back({name, definition, v1::STAGE_ENFORCE, definition->priority, false});
    if (!MayRequireOrDeny(*definition)) continue;
    floor = floor.has_value() ? std::min(*floor, definition->priority) : definition->priority;
  }
  if (phase_ == Phase::kSteady) return out;
  // The highest priority at which a Require or Deny comes or goes.
  std::optional<int32_t> strict_move;
  for (const DefinitionPtr& definition : Moving(from_, to_)) {
    if (!MayRequireOrDeny(*definition)) continue;
    strict_move = strict_move.has_value() ? std::max(*strict_move, definition->priority) : definition->priority;
  }
  for (const DefinitionPtr& definition : yields ? Only(from_, to_) : Only(to_, from_)) {
    ActivePolicy sending{definition->name, definition, v1::STAGE_SEND, definition->priority, false};
    if (enforced.contains(definition->name)) absl::StrAppend(&sending.name, yields ? "+old" : "+new");
    if (!MayRequireOrDeny(*definition)) {
      const bool above = floor.has_value() && *floor < definition->priority;
      if (!above || (strict_move.has_value() && *strict_move >= definition->priority)) continue;
      sending.eases = true;
    } else if (floor.has_value()) {
      sending.priority = std::min(*floor, definition->priority);
    }
    out.push_back(std::move(sending));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

void Stages::Report(absl::Time now) {
  std::map<std::string, PolicyProgress> next;
  std::vector<std::string> waiting;
  for (const auto& [node, peer] : peers_) {
    if (phase_ != Phase::kSteady && peer.acked < step_revision_) waiting.push_back(node);
  }
  const bool yields = phase_ == Phase::kYield;
  for (const Definitions* all : {&from_, &to_, &desired_}) {
    for (const auto& [name, definition] : *all) next[name];
  }
  for (auto& [name, out] : next) {
    const DefinitionPtr before = Find(from_, name), after = Find(to_, name);
    out.in_force = yields ? after : before;
    out.desired = Find(desired_, name);
    if (before != nullptr && after != nullptr) {
      out.step = Same(before, after) ? Step::kSteady : yields ? Step::kYield : Step::kMeet;
    } else if (before != nullptr) {
      out.step = Step::kWithdraw;
    } else {
      out.step = yields ? Step::kSteady : Step::kIntroduce;
    }
    const auto known = progress_.find(name);
    const bool moved =
        known == progress_.end() || known->second.step != out.step || known->second.in_force != out.in_force;
    out.revision = moved || out.step != Step::kSteady ? step_revision_ : known->second.revision;
    out.since = moved ? now : known->second.since;
    if (!moving_.contains(name)) continue;
    out.skipped.assign(skipped_.begin(), skipped_.end());
    out.waiting_for = waiting;
  }
  progress_ = std::move(next);
}

}  // namespace espalier::compile
