// The agent's time: steady, but readable as wall time (anchored when the process starts). All engine times come from
// it.
#ifndef ESPALIER_AGENT_CLOCK_H_
#define ESPALIER_AGENT_CLOCK_H_

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace espalier {

class SteadyClock {
 public:
  SteadyClock() : wall_(absl::Now()), steady_(std::chrono::steady_clock::now()) {}

  absl::Time Now() const { return wall_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_); }
  // When `time` comes, for timers. The infinite future is a day away.
  std::chrono::steady_clock::time_point ToSteady(absl::Time time) const {
    const absl::Duration d = std::min(time - wall_, Now() - wall_ + absl::Hours(24));
    return steady_ + absl::ToChronoNanoseconds(d);
  }

 private:
  const absl::Time wall_;
  const std::chrono::steady_clock::time_point steady_;
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_CLOCK_H_
