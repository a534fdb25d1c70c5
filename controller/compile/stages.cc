#include "controller/compile/stages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace espalier::compile {
namespace {

bool Same(const DefinitionPtr& a, const DefinitionPtr& b) {
  return a == b || (a != nullptr && b != nullptr && SameEffect(*a, *b));
}

}  // namespace

Stages::Stages(StagesOptions options) : options_(options) {}

void Stages::SetDesired(const std::vector<DefinitionPtr>& definitions, absl::Time now) {
  for (auto& [name, entry] : entries_) entry.desired = nullptr;
  for (const DefinitionPtr& definition : definitions) {
    const auto [it, added] = entries_.try_emplace(definition->name);
    it->second.desired = definition;
    if (added) Begin(&it->second, Step::kIntroduce, definition);
  }
  std::erase_if(entries_, [](auto& entry) { return !Steer(&entry.second); });
  Publish(now);
}

void Stages::OnConnected(const std::string& node, absl::Time now) {
  peers_[node] = {now, 0};
  Publish(now);
}

void Stages::OnDisconnected(const std::string& node, absl::Time now) {
  peers_.erase(node);
  Publish(now);
}

void Stages::OnAck(const std::string& node, uint64_t revision, absl::Time now) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.acked = std::max(found->second.acked, std::min(revision, revision_));
  Publish(now);
}

void Stages::Tick(absl::Time now) { Publish(now); }

std::optional<absl::Time> Stages::next_deadline() const {
  std::optional<absl::Time> out;
  for (const auto& [name, entry] : entries_) {
    if (entry.step == Step::kSteady) continue;
    absl::Time over = hold_until_;
    for (const auto& [node, peer] : peers_) {
      if (peer.acked < entry.revision) over = std::max(over, std::max(entry.since, peer.since) + options_.grace);
    }
    if (over == absl::InfinitePast()) continue;
    out = out.has_value() ? std::min(*out, over) : over;
  }
  return out;
}

void Stages::Begin(Entry* entry, Step step, DefinitionPtr incoming) {
  if (entry->step == Step::kSteady && step != Step::kSteady) entry->skipped.clear();
  entry->step = step;
  entry->incoming = std::move(incoming);
}

// Takes the entry towards what is desired. False: nothing is left of it.
bool Stages::Steer(Entry* entry) {
  const DefinitionPtr& desired = entry->desired;
  switch (entry->step) {
    case Step::kIntroduce:
      // Nobody refuses anything yet, so it may vanish or turn into another.
      entry->incoming = desired;
      return desired != nullptr;
    case Step::kSteady:
    case Step::kMeet:
    case Step::kWithdraw:
      // In all three every node sends ESP for the flows of in_force, so each may turn into any of the others.
      if (desired == nullptr) {
        Begin(entry, Step::kWithdraw, nullptr);
      } else if (Same(desired, entry->in_force)) {
        entry->in_force = desired;  // perhaps a new generation
        Begin(entry, Step::kSteady, nullptr);
      } else {
        Begin(entry, Step::kMeet, desired);
      }
      return true;
    case Step::kYield:
      // Two versions are on the way out and in; a third waits.
      if (desired != nullptr && Same(desired, entry->in_force)) entry->in_force = desired;
      return true;
  }
  return true;
}

// The step is over: the next one. False: nothing is left of it.
bool Stages::Advance(Entry* entry) {
  switch (entry->step) {
    case Step::kSteady:
      return true;
    case Step::kIntroduce:
      entry->in_force = std::exchange(entry->incoming, nullptr);
      entry->step = Step::kSteady;
      return true;
    case Step::kMeet:
      entry->outgoing = std::exchange(entry->in_force, std::exchange(entry->incoming, nullptr));
      entry->step = Step::kYield;
      return true;
    case Step::kYield:
      entry->outgoing = nullptr;
      entry->step = Step::kSteady;
      return Steer(entry);
    case Step::kWithdraw:
      return false;
  }
  return true;
}

bool Stages::StepIsOver(Entry* entry, absl::Time now) const {
  if (now < hold_until_) return false;
  std::vector<std::string> silent;
  for (const auto& [node, peer] : peers_) {
    if (peer.acked >= entry->revision) continue;
    if (now < std::max(entry->since, peer.since) + options_.grace) return false;
    silent.push_back(node);
  }
  entry->skipped.insert(silent.begin(), silent.end());
  return true;
}

// Steps that are over end; each ends in a new rendering, since a step begins with what it sends.
void Stages::Settle(absl::Time now) {
  bool moved = true;
  while (moved) {
    Render(now);
    moved = false;
    for (auto it = entries_.begin(); it != entries_.end();) {
      const auto current = it++;
      if (current->second.step == Step::kSteady || !StepIsOver(&current->second, now)) continue;
      moved = true;
      if (!Advance(&current->second)) entries_.erase(current);
    }
  }
}

// Brings current_ up to date. An entry whose part of it differs begins its step anew, with a new revision.
void Stages::Render(absl::Time now) {
  // The lowest priority that an enforced policy with Require or Deny has.
  std::optional<int32_t> floor;
  for (const auto& [name, entry] : entries_) {
    if (entry.step == Step::kIntroduce || entry.step == Step::kWithdraw || !MayRequireOrDeny(*entry.in_force)) continue;
    floor = floor.has_value() ? std::min(*floor, entry.in_force->priority) : entry.in_force->priority;
  }
  const auto sending = [&floor](std::string name, const DefinitionPtr& definition) {
    ActivePolicy out{std::move(name), definition, v1::STAGE_SEND, definition->priority, false};
    if (floor.has_value() && *floor < definition->priority) {
      out.eases = !MayRequireOrDeny(*definition);
      if (!out.eases) out.priority = *floor;
    }
    return out;
  };
  const auto enforced = [](std::string name, const DefinitionPtr& definition) {
    return ActivePolicy{std::move(name), definition, v1::STAGE_ENFORCE, definition->priority, false};
  };
  std::vector<ActivePolicy> next;
  std::vector<Entry*> changed;
  for (auto& [name, entry] : entries_) {
    std::vector<ActivePolicy> sent;
    switch (entry.step) {
      case Step::kIntroduce:
        sent = {sending(name, entry.incoming)};
        break;
      case Step::kSteady:
        sent = {enforced(name, entry.in_force)};
        break;
      case Step::kMeet:
        sent = {enforced(name, entry.in_force), sending(absl::StrCat(name, "+new"), entry.incoming)};
        break;
      case Step::kYield:
        sent = {enforced(name, entry.in_force), sending(absl::StrCat(name, "+old"), entry.outgoing)};
        break;
      case Step::kWithdraw:
        sent = {sending(name, entry.in_force)};
        break;
    }
    if (sent != entry.sent) changed.push_back(&entry);
    entry.sent = sent;
    next.insert(next.end(), sent.begin(), sent.end());
  }
  std::sort(next.begin(), next.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  if (next == current_) return;
  ++revision_;
  current_ = std::move(next);
  for (Entry* entry : changed) {
    entry->revision = revision_;
    entry->since = now;
  }
}

void Stages::Publish(absl::Time now) {
  Settle(now);
  progress_.clear();
  for (const auto& [name, entry] : entries_) {
    PolicyProgress& out = progress_[name];
    out.step = entry.step;
    out.in_force = entry.step == Step::kIntroduce ? nullptr : entry.in_force;
    out.desired = entry.desired;
    out.revision = entry.revision;
    out.since = entry.since;
    out.skipped.assign(entry.skipped.begin(), entry.skipped.end());
    if (entry.step == Step::kSteady) continue;
    for (const auto& [node, peer] : peers_) {
      if (peer.acked < entry.revision) out.waiting_for.push_back(node);
    }
  }
}

}  // namespace espalier::compile
