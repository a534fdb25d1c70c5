#include "controller/status/cause_log.h"

#include <algorithm>

namespace espalier::status {

bool CauseLog::Should(absl::string_view cause, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  auto [it, fresh] = logged_.try_emplace(std::string(cause), now);
  if (!fresh) {
    if (now < it->second + again_after_) return false;
    it->second = now;
    return true;
  }
  if (logged_.size() > kMaxCauses) {
    logged_.erase(std::min_element(logged_.begin(), logged_.end(),
                                   [](const auto& a, const auto& b) { return a.second < b.second; }));
  }
  return true;
}

}  // namespace espalier::status
