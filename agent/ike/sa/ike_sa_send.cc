// The sending half of an IKE SA, and what time does to it.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/sealed_message.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/child_create.h"
#include "agent/ike/tasks/ike_init.h"
#include "agent/ike/tasks/inform.h"

namespace espalier::ike {
namespace {
constexpr absl::Duration kBusyRetry = absl::Milliseconds(100);
constexpr absl::Duration kFirstRetry = absl::Milliseconds(200);
constexpr absl::Duration kLongestRetry = absl::Seconds(20);
constexpr absl::Duration kRefusedTooLong = absl::Minutes(3);  // RFC 7296 section 2.25: then the IKE SA is given up
constexpr int kClosingTries = 4;
constexpr int kStallTries = 2;             // repeats without answer before another IKE_SA_INIT response is tried
constexpr int kSmallerFragmentsAfter = 3;  // repeats
constexpr size_t kSmallDatagram = 576;     // RFC 7383 section 2.5.1

absl::Duration Backoff(int failures, double uniform) {
  absl::Duration wait = kFirstRetry;
  for (int i = 1; i < failures && wait < kLongestRetry; ++i) wait *= 2;
  return std::min(wait, kLongestRetry) * (0.5 + uniform);
}
}  // namespace

wire::Header IkeSa::HeaderFor(wire::ExchangeType exchange, bool response, uint32_t message_id) const {
  wire::Header h;
  h.spi_i = spi_i_;
  h.spi_r = spi_r_;
  h.exchange = exchange;
  h.from_initiator = initiator_;
  h.response = response;
  h.message_id = message_id;
  return h;
}

size_t IkeSa::FragmentLimit() const {
  size_t datagram = fragment_limit_ != 0 ? fragment_limit_ : config().fragment_size;
  return crypto::MaxMessageSize(datagram, remote_.address.is_v6(), /*non_esp_marker=*/true);
}

void IkeSa::Send(const std::vector<Bytes>& datagrams, const Endpoint& local, const Endpoint& remote) {
  for (const Bytes& d : datagrams) {
    shared_->counters.Add(Counter::kPacketsOut);
    shared_->host->Send(local, remote, d);
  }
}

void IkeSa::Pump(absl::Time now) {
  while (!hold_requests_ && state_ != IkeState::kDead && state_ != IkeState::kLingering && !exchanges_.busy()) {
    std::unique_ptr<Task> task = std::move(active_);
    if (task == nullptr) {
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    wire::ExchangeType exchange = task->exchange();
    // Building may close this SA, or queue more.
    uint64_t epoch = work_epoch_;
    hold_requests_ = true;
    absl::StatusOr<wire::Payloads> payloads = task->BuildRequest(*this, now);
    hold_requests_ = false;
    if (epoch != work_epoch_) continue;
    if (absl::IsUnavailable(payloads.status())) {
      queue_.push_front(std::move(task));
      pump_at_ = now + kBusyRetry * (0.5 + shared_->Uniform());
      return;
    }
    if (!payloads.ok() || !SendRequest(now, exchange, *payloads)) {
      task->Abandon(*this, now);
      continue;
    }
    active_ = std::move(task);
  }
}

bool IkeSa::SendRequest(absl::Time now, wire::ExchangeType exchange, const wire::Payloads& payloads) {
  wire::Header header = HeaderFor(exchange, /*response=*/false, exchanges_.next_request_id());
  std::vector<Bytes> datagrams;
  if (exchange == wire::ExchangeType::kIkeSaInit) {
    header.spi_r = 0;
    absl::StatusOr<Bytes> message = wire::WriteMessage(header, payloads);
    if (!message.ok()) return false;
    init_.request = *message;
    datagrams.push_back(*std::move(message));
  } else {
    absl::StatusOr<Bytes> inner = wire::WritePayloads(payloads);
    if (!inner.ok() || !out_.has_value()) return false;
    absl::StatusOr<crypto::SealedMessage> sealed =
        crypto::SealMessage(header, payloads.first_type(), *inner, *out_, &next_iv_, {fragmentation_, FragmentLimit()});
    if (!sealed.ok()) {
      LOG(ERROR) << "cannot seal" << " peer=" << absl::StrCat(peer_) << " " << sealed.status();
      return false;
    }
    if (exchange == wire::ExchangeType::kIkeIntermediate) {
      init_.int_auth_i = crypto::IntAuthLink(suite_.prf, keys_.pi, init_.int_auth_i, sealed->int_auth_header, *inner);
    }
    datagrams = std::move(sealed->datagrams);
    sent_first_ = payloads.first_type();
    sent_inner_ = *std::move(inner);
  }
  exchanges_.Sent(now, static_cast<uint8_t>(exchange), std::move(datagrams), shared_->retransmit(), shared_->Uniform());
  responses_in_.Clear();
  Send(exchanges_.outstanding(), local_, remote_);
  return true;
}

bool IkeSa::SendSmallerFragments(absl::Time now) {
  if (!fragmentation_ || fragment_limit_ != 0 || exchanges_.outstanding().size() < 2) return false;
  fragment_limit_ = kSmallDatagram;
  wire::Header header = HeaderFor(static_cast<wire::ExchangeType>(exchanges_.outstanding_exchange()),
                                  /*response=*/false, exchanges_.next_request_id());
  absl::StatusOr<crypto::SealedMessage> sealed =
      crypto::SealMessage(header, sent_first_, sent_inner_, *out_, &next_iv_, {fragmentation_, FragmentLimit()});
  if (!sealed.ok()) return false;
  exchanges_.Replace(now, std::move(sealed->datagrams), shared_->retransmit(), shared_->Uniform());
  Send(exchanges_.outstanding(), local_, remote_);
  return true;
}

void IkeSa::ReplaceInitRequest(absl::Time now, const wire::Payloads& payloads) {
  wire::Header header = HeaderFor(wire::ExchangeType::kIkeSaInit, /*response=*/false, 0);
  header.spi_r = 0;
  absl::StatusOr<Bytes> message = wire::WriteMessage(header, payloads);
  if (!message.ok()) return;
  init_.request = *message;
  exchanges_.Replace(now, {*std::move(message)}, shared_->retransmit(), shared_->Uniform());
  Send(exchanges_.outstanding(), local_, remote_);
}

bool IkeSa::Respond(absl::Time /*now*/, wire::ExchangeType exchange, const wire::Payloads& payloads) {
  wire::Header header = HeaderFor(exchange, /*response=*/true, exchanges_.expected_id());
  absl::StatusOr<Bytes> inner = wire::WritePayloads(payloads);
  if (!inner.ok() || !out_.has_value()) return false;
  absl::StatusOr<crypto::SealedMessage> sealed =
      crypto::SealMessage(header, payloads.first_type(), *inner, *out_, &next_iv_, {fragmentation_, FragmentLimit()});
  if (!sealed.ok()) {
    LOG(ERROR) << "cannot seal" << " peer=" << absl::StrCat(peer_) << " " << sealed.status();
    return false;
  }
  if (exchange == wire::ExchangeType::kIkeIntermediate) {
    init_.int_auth_r = crypto::IntAuthLink(suite_.prf, keys_.pr, init_.int_auth_r, sealed->int_auth_header, *inner);
  }
  exchanges_.Responded(std::move(sealed->datagrams));
  requests_in_.Clear();
  Send(exchanges_.response(), answer_local_, answer_remote_);
  return true;
}

void IkeSa::RespondError(absl::Time now, wire::ExchangeType exchange, wire::NotifyPayload error) {
  wire::Payloads payloads;
  payloads.Add(std::move(error));
  Respond(now, exchange, payloads);
}

void IkeSa::RetryRekeyLater(absl::Time now, bool count) {
  if (state_ != IkeState::kUp) return;
  if (count) {
    ++rekey_failures_;
    if (first_failure_ == absl::InfiniteFuture()) first_failure_ = now;
    if (now - first_failure_ > kRefusedTooLong) {
      Close(now, /*tell=*/true, /*failed=*/true, "the peer refused to rekey for too long");
      return;
    }
  }
  rekey_at_ = now + Backoff(std::max(rekey_failures_, 1), shared_->Uniform());
}

void IkeSa::RetryChildLater(absl::Time now, ChildSa* child, bool count) {
  child->rekey_queued = false;
  if (count) ++child->rekey_failures;
  child->rekey_at = now + Backoff(std::max(child->rekey_failures, 1), shared_->Uniform());
}

void IkeSa::StartChildTimers(absl::Time now, ChildSa* child, const ChildSa* predecessor) {
  const Config& c = config();
  absl::Duration life = c.child_lifetime;
  double jitter = shared_->Uniform();
  child->established = now;
  child->expires_at = now + life;
  absl::Duration margin = std::min(shared_->retransmit().Total(), life * 0.35);
  child->rekey_at = child->expires_at - margin - life * (0.1 * jitter + (child->we_initiated ? 0.05 : 0.0));
  double share = 0.9 - 0.1 * jitter - (child->we_initiated ? 0.05 : 0.0);
  child->rekey_bytes = static_cast<uint64_t>(static_cast<double>(c.child_bytes) * share);
  child->rekey_packets = static_cast<uint64_t>(static_cast<double>(c.child_packets) * share);
  child->last_traffic = predecessor != nullptr ? predecessor->last_traffic : now;
}

// ---- time

absl::Time IkeSa::LivenessDue() const {
  if (state_ != IkeState::kUp || exchanges_.busy()) return absl::InfiniteFuture();
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    // Only when we send and hear nothing (IKE-056).
    if (child->last_out > last_heard_) return last_heard_ + config().dpd_interval;
  }
  return absl::InfiniteFuture();
}

absl::Time IkeSa::ChildDeadline() const {
  absl::Time at = absl::InfiniteFuture();
  if (state_ != IkeState::kUp) return at;
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    at = std::min({at, child->expires_at, child->last_traffic + config().child_idle, child->use_outbound_at});
    if (!child->rekey_queued && !child->delete_queued && child->replaced_by == 0 &&
        child->state != ChildState::kReplaced) {
      at = std::min(at, child->rekey_at);
    }
  }
  return at;
}

absl::Time IkeSa::Deadline() const {
  if (state_ == IkeState::kDead) return absl::InfinitePast();
  absl::Time at =
      std::min({exchanges_.deadline(), half_open_until_, gone_at_, pump_at_, LivenessDue(), ChildDeadline()});
  if (state_ == IkeState::kUp) {
    at = std::min({at, expires_at_, Has(TaskKind::kIkeRekey) ? absl::InfiniteFuture() : rekey_at_,
                   reauthenticating_ ? absl::InfiniteFuture() : reauthenticate_at_});
  }
  for (absl::Time t : chain_ends_) at = std::min(at, t);
  return at;
}

void IkeSa::OnRetransmitTimer(absl::Time now) {
  RetransmitPolicy policy = shared_->retransmit();
  if (state_ == IkeState::kDeleting || state_ == IkeState::kReplaced) {
    policy.tries = std::min(policy.tries, kClosingTries);
  }
  switch (exchanges_.OnTimer(now, policy, shared_->Uniform())) {
    case ExchangeManager::Tick::kNothing:
      return;
    case ExchangeManager::Tick::kGiveUp: {
      if (state_ == IkeState::kUp) shared_->counters.Add(Counter::kTimeouts);
      bool closing = state_ == IkeState::kDeleting || state_ == IkeState::kReplaced;
      Die(now, !closing, init_task_ != nullptr && !init_task_->refusal().empty() ? init_task_->refusal() : "no answer");
      return;
    }
    case ExchangeManager::Tick::kRepeat:
      break;
  }
  // An unprotected refusal is believed only when nothing better came for a while (IKE-024).
  if (state_ == IkeState::kConnecting && init_task_->RefusedTooLong()) {
    Die(now, true, init_task_->refusal());
    return;
  }
  if (state_ == IkeState::kHalfOpen && exchanges_.tries() >= kStallTries) {
    if (TryAlternate(now)) return;
    // Whoever answered our IKE_SA_INIT may not have been the peer: ask again.
    Send({init_.request}, local_, remote_);
  }
  shared_->counters.Add(Counter::kRetransmits);
  // Silence after fragments: perhaps the path takes only smaller ones (IKE-070).
  if (exchanges_.tries() >= kSmallerFragmentsAfter && SendSmallerFragments(now)) return;
  Send(exchanges_.outstanding(), local_, remote_);
}

void IkeSa::OnChildTimers(absl::Time now) {
  if (state_ != IkeState::kUp || ChildDeadline() > now) return;
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    if (child->use_outbound_at <= now) {
      child->use_outbound_at = absl::InfiniteFuture();
      if (shared_->children.ActiveOf(peer_) == nullptr && child->state == ChildState::kInstalled &&
          !shared_->children.Activate(child).ok()) {
        shared_->counters.Add(Counter::kInstallFailed);
        DeleteChild(now, child);
        continue;
      }
    }
    if (child->expires_at <= now) {
      // Hard expiry: it sends no more from here on, whatever a rekey is doing.
      bool wanted = child->last_traffic + config().child_idle > now && child->replaced_by == 0;
      child->expires_at = absl::InfiniteFuture();
      DeleteChild(now, child);
      if (shared_->children.Find(child->id.spi_in) == child && child->state != ChildState::kClosing) {
        shared_->children.Close(child, now, now + kInboundLinger);
      }
      if (wanted) shared_->events->OnChildLost(peer_, now);
      continue;
    }
    if (child->last_traffic + config().child_idle <= now) {
      if (!child->delete_queued) shared_->host->OnPeerEvent(peer_, "child-closed", "idle");
      child->last_traffic = absl::InfiniteFuture();
      DeleteChild(now, child);
      continue;
    }
    if (child->rekey_at <= now && child->state != ChildState::kReplaced) RekeyChild(now, child);
  }
}

void IkeSa::OnLivenessTimer(absl::Time now) {
  if (LivenessDue() > now) return;
  shared_->counters.Add(Counter::kLivenessChecks);
  last_heard_ = now;  // the next check is an interval away; this one has its own repeats
  Enqueue(now, std::make_unique<InformTask>());
}

void IkeSa::OnTimer(absl::Time now) {
  if (state_ == IkeState::kConnecting && !exchanges_.busy() && active_ == nullptr && queue_.empty()) {
    absl::StatusOr<wire::Payloads> payloads = init_task_->BuildRequest(*this, now);
    if (!payloads.ok() || !SendRequest(now, wire::ExchangeType::kIkeSaInit, *payloads)) {
      Die(now, true, "cannot build IKE_SA_INIT");
      return;
    }
  }
  if (half_open_until_ <= now) {
    shared_->counters.Add(Counter::kHalfOpenExpired);
    std::string why = init_task_ != nullptr && !init_task_->refusal().empty() ? init_task_->refusal() : "no answer";
    Die(now, initiator_, why);
  }
  if (gone_at_ <= now) Die(now, false, "closed");
  if (state_ == IkeState::kDead) return;
  OnRetransmitTimer(now);
  if (state_ == IkeState::kDead) return;
  for (size_t i = 0; i < chains_.size();) {
    if (chain_ends_[i] <= now) {
      DropChain(now, chains_[i].get());
    } else {
      ++i;
    }
  }
  if (pump_at_ <= now) {
    pump_at_ = absl::InfiniteFuture();
    Pump(now);
  }
  if (state_ != IkeState::kUp) return;
  if (expires_at_ <= now) {
    Close(now, /*tell=*/true, /*failed=*/false, "lifetime over");
    return;
  }
  if (reauthenticate_at_ <= now && !reauthenticating_) {
    reauthenticating_ = true;
    shared_->events->OnReauthenticate(this, now);
  }
  if (rekey_at_ <= now && !Has(TaskKind::kIkeRekey)) {
    if (shared_->children.OfOwner(peer_, this).empty() && !Has(TaskKind::kChildCreate)) {
      // Nothing lives on it: it goes instead of being rekeyed (IKE-069).
      Close(now, /*tell=*/true, /*failed=*/false, "idle");
      return;
    }
    rekey_at_ = absl::InfiniteFuture();
    Rekey(now);
  }
  OnChildTimers(now);
  if (state_ == IkeState::kUp) OnLivenessTimer(now);
}

}  // namespace espalier::ike
