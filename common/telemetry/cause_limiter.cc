#include "common/telemetry/cause_limiter.h"

#include <utility>

namespace espalier::telemetry {

std::optional<uint64_t> CauseLimiter::Admit(absl::string_view cause, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  State* state = &others_;
  if (const auto it = causes_.find(cause); it != causes_.end()) {
    state = &it->second;
  } else {
    // Causes of long ago make room. At most once an interval, so that a flood of new causes doesn't pay for it.
    if (causes_.size() >= max_causes_ && now - others_.last >= interval_) {
      std::erase_if(causes_, [&](const auto& c) { return now - c.second.last >= interval_; });
    }
    if (causes_.size() < max_causes_) state = &causes_[std::string(cause)];
  }
  if (now - state->last < interval_) {
    ++state->skipped;
    return std::nullopt;
  }
  state->last = now;
  return std::exchange(state->skipped, 0);
}

}  // namespace espalier::telemetry
