#include "controller/compile/view_diff.h"

#include <utility>

#include "google/protobuf/util/message_differencer.h"

namespace espalier::compile {
namespace {

bool Equal(const ResourcePtr& a, const ResourcePtr& b) {
  return a == b || google::protobuf::util::MessageDifferencer::Equals(*a, *b);
}

const ResourceMap& OrEmpty(const std::shared_ptr<const ResourceMap>& half) {
  static const ResourceMap* const kEmpty = new ResourceMap();
  return half == nullptr ? *kEmpty : *half;
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
      out.changed.push_back(b->second);
      ++b;
    } else {
      if (!Equal(a->second, b->second)) out.changed.push_back(b->second);
      ++a;
      ++b;
    }
  }
  return out;
}

std::shared_ptr<const ViewDelta> ViewDiffer::Common(const Half& from, const Half& to) {
  constexpr size_t kKept = 32;
  {
    absl::MutexLock lock(&mutex_);
    for (const Known& known : known_) {
      if (known.from == from && known.to == to) return known.delta;
    }
  }
  auto delta = std::make_shared<const ViewDelta>(compile::Diff(OrEmpty(from), OrEmpty(to)));
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
  ViewDelta out;
  if (from.common != to.common) out = *Common(from.common, to.common);
  if (from.own != to.own) {
    ViewDelta own = compile::Diff(OrEmpty(from.own), OrEmpty(to.own));
    out.changed.insert(out.changed.end(), own.changed.begin(), own.changed.end());
    out.removed.insert(out.removed.end(), own.removed.begin(), own.removed.end());
  }
  return out;
}

}  // namespace espalier::compile
