// "Logged once a cause": for refusals that others can provoke by the million.
#ifndef ESPALIER_COMMON_TELEMETRY_CAUSE_LIMITER_H_
#define ESPALIER_COMMON_TELEMETRY_CAUSE_LIMITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace espalier::telemetry {

// Says of each cause whether to log it now: the first time, and then at most once an interval.
//
//   if (auto skipped = limiter.Admit("auth " + cause, now)) {
//     LOG(WARNING) << "peer refused cause=" << cause << " skipped=" << *skipped;
//   }
//
// Memory is bounded: beyond `max_causes` the rest share one cause. Thread safe.
class CauseLimiter {
 public:
  explicit CauseLimiter(absl::Duration interval = absl::Minutes(1), size_t max_causes = 1024)
      : interval_(interval), max_causes_(max_causes) {}

  // The number of times it was not logged since it last was, if it should be now. `now`: of a clock that never goes
  // back.
  std::optional<uint64_t> Admit(absl::string_view cause, absl::Time now);

 private:
  struct State {
    absl::Time last = absl::InfinitePast();
    uint64_t skipped = 0;
  };
  const absl::Duration interval_;
  const size_t max_causes_;
  absl::Mutex mutex_;
  std::map<std::string, State, std::less<>> causes_ ABSL_GUARDED_BY(mutex_);
  State others_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier::telemetry

#endif  // ESPALIER_COMMON_TELEMETRY_CAUSE_LIMITER_H_
