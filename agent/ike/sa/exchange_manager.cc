#include "agent/ike/sa/exchange_manager.h"

#include <utility>

namespace espalier::ike {
namespace {
// One wait is never longer than this, so that a path that came back is found soon.
constexpr absl::Duration kLongestWait = absl::Seconds(60);

absl::Duration Longer(absl::Duration wait, const RetransmitPolicy& policy) {
  return std::min(wait * policy.base, std::max(kLongestWait, policy.first));
}

absl::Duration Jittered(absl::Duration wait, double jitter) { return wait * (1.0 - 0.1 * jitter); }
}  // namespace

absl::Duration RetransmitPolicy::Total() const {
  absl::Duration total, wait = first;
  for (int i = 0; i <= tries; ++i) {
    total += wait;
    wait = Longer(wait, *this);
  }
  return total;
}

void ExchangeManager::Sent(absl::Time now, uint8_t exchange, std::vector<Bytes> datagrams,
                           const RetransmitPolicy& policy, double jitter) {
  outstanding_exchange_ = exchange;
  Replace(now, std::move(datagrams), policy, jitter);
}

void ExchangeManager::Replace(absl::Time now, std::vector<Bytes> datagrams, const RetransmitPolicy& policy,
                              double jitter) {
  outstanding_ = std::move(datagrams);
  tries_ = 0;
  wait_ = policy.first;
  repeat_at_ = now + Jittered(wait_, jitter);
}

void ExchangeManager::Answered() {
  outstanding_.clear();
  ++request_id_;
}

ExchangeManager::Tick ExchangeManager::OnTimer(absl::Time now, const RetransmitPolicy& policy, double jitter) {
  if (!busy() || now < repeat_at_) return Tick::kNothing;
  if (tries_ >= policy.tries) return Tick::kGiveUp;
  ++tries_;
  wait_ = Longer(wait_, policy);
  repeat_at_ = now + Jittered(wait_, jitter);
  return Tick::kRepeat;
}

}  // namespace espalier::ike
