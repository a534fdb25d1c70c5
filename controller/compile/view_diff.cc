#include "controller/compile/view_diff.h"

#include <algorithm>
#include <set>

#include "google/protobuf/util/message_differencer.h"

namespace espalier::compile {
namespace {

bool Equal(const ResourcePtr& a, const ResourcePtr& b) {
  return a == b || (a != nullptr && b != nullptr && google::protobuf::util::MessageDifferencer::Equals(*a, *b));
}

}  // namespace

ViewDelta Diff(const ResourceMap& from, const ResourceMap& to) {
  ViewDelta out;
  auto a = from.begin();
  auto b = to.begin();
  while (a != from.end() || b != to.end()) {
    if (b == to.end() || (a != from.end() && a->first < b->first)) {
      out.removed.push_back(a->first);
      ++a;
    } else if (a == from.end() || b->first < a->first) {
      out.changed.emplace_back(b->first, b->second);
      ++b;
    } else {
      if (!Equal(a->second, b->second)) out.changed.emplace_back(b->first, b->second);
      ++a;
      ++b;
    }
  }
  return out;
}

std::shared_ptr<const ViewDelta> ViewDiffer::Between(const Part& from, const Part& to) {
  static const auto* const kNothing = new std::shared_ptr<const ViewDelta>(std::make_shared<const ViewDelta>());
  if (from == to) return *kNothing;
  constexpr size_t kKept = 32;
  {
    absl::MutexLock lock(&mutex_);
    for (const Known& known : known_) {
      if (known.from == from && known.to == to) return known.delta;
    }
  }
  static const ResourceMap* const kEmpty = new ResourceMap();
  auto delta = std::make_shared<const ViewDelta>(
      compile::Diff(from == nullptr ? *kEmpty : *from, to == nullptr ? *kEmpty : *to));
  absl::MutexLock lock(&mutex_);
  Known known{from, to, delta};
  if (known_.size() < kKept) {
    known_.push_back(std::move(known));
  } else {
    known_[next_++ % kKept] = std::move(known);
  }
  return delta;
}

ViewDelta ViewDiffer::Diff(const NodeView& from, const NodeView& to) {
  std::map<std::string, ResourcePtr> changed;
  std::set<std::string> removed;
  for (const auto& [old_part, new_part] :
       {std::pair(&from.common, &to.common), std::pair(&from.policies, &to.policies), std::pair(&from.own, &to.own)}) {
    const std::shared_ptr<const ViewDelta> delta = Between(*old_part, *new_part);
    changed.insert(delta->changed.begin(), delta->changed.end());
    removed.insert(delta->removed.begin(), delta->removed.end());
  }
  ViewDelta out;
  // A key can be in two parts, or move from one to another.
  for (const auto& [key, resource] : changed) {
    if (from.common == nullptr || !Equal(from.Find(key), resource)) out.changed.emplace_back(key, resource);
  }
  for (const std::string& key : removed) {
    if (!changed.contains(key) && to.Find(key) == nullptr) out.removed.push_back(key);
  }
  return out;
}

}  // namespace espalier::compile
