// A rate limit: `rate` tokens a second, at most `burst` saved. Time is given by the caller.
#ifndef ESPALIER_AGENT_IKE_SA_TOKEN_BUCKET_H_
#define ESPALIER_AGENT_IKE_SA_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace espalier::ike {

class TokenBucket {
 public:
  TokenBucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}

  // Takes one token; false: there is none.
  bool Take(absl::Time now) {
    Refill(now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  // When Take may succeed again.
  absl::Time NextToken(absl::Time now) {
    Refill(now);
    if (tokens_ >= 1) return now;
    return now + absl::Seconds((1 - tokens_) / rate_) + absl::Microseconds(1);
  }

 private:
  void Refill(absl::Time now) {
    if (last_ != absl::InfinitePast() && now > last_) {
      tokens_ = std::min(burst_, tokens_ + rate_ * absl::ToDoubleSeconds(now - last_));
    }
    if (now > last_) last_ = now;
  }

  double rate_, burst_, tokens_;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_TOKEN_BUCKET_H_
