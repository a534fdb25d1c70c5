#include "agent/ike/sa/ike_sa.h"

#include <algorithm>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/sealed_message.h"
#include "agent/ike/tasks/child_create.h"
#include "agent/ike/tasks/child_rekey.h"
#include "agent/ike/tasks/ike_auth.h"
#include "agent/ike/tasks/ike_init.h"
#include "agent/ike/tasks/ike_intermediate.h"
#include "agent/ike/tasks/ike_rekey.h"
#include "agent/ike/tasks/inform.h"

namespace espalier::ike {

absl::string_view ToString(IkeState state) {
  switch (state) {
    case IkeState::kConnecting:
      return "connecting";
    case IkeState::kHalfOpen:
      return "half-open";
    case IkeState::kUp:
      return "up";
    case IkeState::kReplaced:
      return "replaced";
    case IkeState::kDeleting:
      return "deleting";
    case IkeState::kLingering:
      return "lingering";
    case IkeState::kDead:
      return "dead";
  }
  return "unknown";
}

IkeSa::IkeSa(Shared* shared, bool initiator, absl::Time now)
    : shared_(shared),
      initiator_(initiator),
      state_(initiator ? IkeState::kConnecting : IkeState::kHalfOpen),
      created_(now),
      last_heard_(now) {}

IkeSa::~IkeSa() = default;

std::unique_ptr<IkeSa> IkeSa::Initiate(Shared* shared, const Peer& peer, absl::Time now) {
  std::unique_ptr<IkeSa> sa(new IkeSa(shared, /*initiator=*/true, now));
  sa->peer_ = peer.id;
  sa->local_ = peer.local;
  sa->remote_ = peer.remote;
  sa->spi_i_ = shared->events->NewIkeSpi();
  sa->half_open_until_ = now + kHalfOpenLife;
  sa->init_task_ = std::make_unique<IkeInitTask>();
  return sa;
}

std::unique_ptr<IkeSa> IkeSa::Answer(Shared* shared, const Endpoint& local, const Endpoint& remote, uint64_t spi_i,
                                     absl::Time now) {
  std::unique_ptr<IkeSa> sa(new IkeSa(shared, /*initiator=*/false, now));
  sa->local_ = local;
  sa->remote_ = remote;
  sa->spi_i_ = spi_i;
  sa->spi_r_ = shared->events->NewIkeSpi();
  sa->half_open_until_ = now + kHalfOpenLife;
  return sa;
}

std::unique_ptr<IkeSa> IkeSa::Succeed(IkeSa& old, bool initiator, uint64_t spi_i, uint64_t spi_r,
                                      const wire::Proposal& chosen, crypto::IkeKeys keys, absl::Time now) {
  std::unique_ptr<IkeSa> sa(new IkeSa(old.shared_, initiator, now));
  sa->peer_ = old.peer_;
  sa->local_ = old.local_;
  sa->remote_ = old.remote_;
  sa->spi_i_ = spi_i;
  sa->spi_r_ = spi_r;
  sa->proof_ = old.proof_;
  sa->peer_boot_id_ = old.peer_boot_id_;
  sa->authentic_until_ = old.authentic_until_;
  sa->reauthenticate_at_ = old.reauthenticate_at_;
  sa->reauthenticating_ = old.reauthenticating_;
  sa->fragmentation_ = old.fragmentation_;
  sa->UseKeys(chosen, std::move(keys));
  // A rekeyed IKE SA is authenticated by the one before; message IDs start at 0 again (RFC 7296 section 2.18).
  sa->state_ = IkeState::kUp;
  sa->established_ = now;
  sa->SetRekeyTimes(now);
  return sa;
}

// Every change of state passes here; a move that isn't in the table is a fault of ours.
void IkeSa::Transition(IkeState to) {
  bool legal = to == IkeState::kDead;
  switch (state_) {
    case IkeState::kConnecting:
      legal |= to == IkeState::kHalfOpen;
      break;
    case IkeState::kHalfOpen:
      legal |=
          to == IkeState::kUp || to == IkeState::kDeleting || to == IkeState::kLingering || to == IkeState::kHalfOpen;
      break;
    case IkeState::kUp:
      legal |= to == IkeState::kReplaced || to == IkeState::kDeleting || to == IkeState::kLingering;
      break;
    case IkeState::kReplaced:
      legal |= to == IkeState::kDeleting || to == IkeState::kLingering;
      break;
    case IkeState::kDeleting:
      legal |= to == IkeState::kLingering;
      break;
    case IkeState::kLingering:
    case IkeState::kDead:
      break;
  }
  DCHECK(legal) << ToString(state_) << " to " << ToString(to);
  state_ = to;
}

void IkeSa::UseKeys(const wire::Proposal& chosen, crypto::IkeKeys keys) {
  chosen_ = chosen;
  suite_ = crypto::SuiteOf(chosen).value_or(crypto::IkeSuite());
  description_ = crypto::ToString(suite_);
  post_quantum_ = HasMlKem(chosen);
  NextKeys(std::move(keys));
}

void IkeSa::NextKeys(crypto::IkeKeys keys) {
  keys_ = std::move(keys);
  previous_in_ = std::move(in_);
  in_.reset();
  out_.reset();
  absl::StatusOr<crypto::Aead> i = crypto::Aead::Create(suite_.aead, keys_.ei.span());
  absl::StatusOr<crypto::Aead> r = crypto::Aead::Create(suite_.aead, keys_.er.span());
  if (i.ok() && r.ok()) {
    out_ = std::move(initiator_ ? *i : *r);
    in_ = std::move(initiator_ ? *r : *i);
  }
  next_iv_ = 1;
}

void IkeSa::BecomeHalfOpen(absl::Time /*now*/) {
  if (state_ != IkeState::kHalfOpen) Transition(IkeState::kHalfOpen);
  fragmentation_ = init_.fragmentation;
}

void IkeSa::SetRekeyTimes(absl::Time now) {
  absl::Duration life = config().ike_lifetime;
  // Where the certificate ends first, authentication anew comes before.
  expires_at_ = std::min(now + life, authentic_until_);
  // Early enough for all repeats of the rekey, but not before half of the life; who made it goes first (IKE-069).
  absl::Duration margin = std::min(shared_->retransmit().Total(), life * 0.35);
  double jitter = 0.1 * shared_->Uniform() + (initiator_ ? 0.05 : 0.0);
  rekey_at_ = now + life - margin - life * jitter;
}

void IkeSa::BecomeUp(absl::Time now, Proof proof, uint64_t boot_id) {
  Transition(IkeState::kUp);
  proof_ = std::move(proof);
  peer_boot_id_ = boot_id;
  established_ = now;
  half_open_until_ = absl::InfiniteFuture();
  init_task_.reset();
  alternates_.clear();
  // Never longer than the certificate (IKE-045): authentication anew when nine tenths of its rest are over.
  absl::Duration rest = std::max(proof_.not_after - shared_->host->WallNow(), absl::ZeroDuration());
  if (rest < absl::Hours(24 * 365 * 100)) {
    authentic_until_ = now + rest;
    reauthenticate_at_ = now + rest * (initiator_ ? 0.88 : 0.92);
  }
  SetRekeyTimes(now);
  shared_->counters.Add(Counter::kEstablished);
}

void IkeSa::StartAuthentication(absl::Time now) {
  for (size_t i = 0; i < init_.additional.size(); ++i) {
    queue_.push_back(std::make_unique<IkeIntermediateTask>(i));
  }
  queue_.push_back(std::make_unique<IkeAuthTask>());
  Pump(now);
}

bool IkeSa::TryAlternate(absl::Time now) {
  while (state_ == IkeState::kHalfOpen && init_task_ != nullptr && !alternates_.empty()) {
    Bytes raw = std::move(alternates_.front());
    alternates_.erase(alternates_.begin());
    absl::StatusOr<wire::Message> message = wire::ParseMessage(raw);
    if (!message.ok()) continue;
    AbandonWork(now);
    exchanges_.RestartRequests(1);
    responses_in_.Clear();
    init_.int_auth_i.clear();
    init_.int_auth_r.clear();
    if (init_task_->Accept(*this, now, raw, *message) != IkeInitTask::Result::kAccepted) continue;
    // The one we leave may still be the true one: it stays at the end of the line.
    alternates_.push_back(std::exchange(taken_response_, std::move(raw)));
    StartAuthentication(now);
    return true;
  }
  return false;
}

void IkeSa::FailAuthentication(absl::Time now, const std::string& why, bool tell) {
  shared_->counters.Add(Counter::kAuthFailed);
  if (shared_->ShouldLog(now, why)) {
    LOG(WARNING) << "authentication failed" << " peer=" << absl::StrCat(peer_) << " remote=" << remote_.ToString()
                 << " cause=" << why;
  }
  if (initiator_ && alternates_.size() > 0) {
    std::erase(alternates_, taken_response_);
    taken_response_.clear();
    if (TryAlternate(now)) {
      std::erase_if(alternates_, [](const Bytes& b) { return b.empty(); });
      return;
    }
  }
  if (!tell) {
    Die(now, true, why);
    return;
  }
  AbandonWork(now);
  DropChildren(now, absl::ZeroDuration());
  Transition(IkeState::kDeleting);
  half_open_until_ = absl::InfiniteFuture();
  gone_at_ = now + kHalfOpenLife;
  if (!told_closed_) {
    told_closed_ = true;
    shared_->events->OnClosed(this, now, /*failed=*/true, why);
  }
  // RFC 7296 section 2.21.2: told in an exchange of its own.
  queue_.clear();
  queue_.push_back(std::make_unique<InformTask>(wire::NotifyPayload(wire::NotifyType::kAuthenticationFailed)));
  Pump(now);
}

void IkeSa::HandOver(absl::Time now, IkeSa* successor) {
  shared_->children.MoveAll(peer_, this, successor);
  Transition(IkeState::kReplaced);
  told_closed_ = true;  // for its peer nothing ends
  rekey_at_ = expires_at_ = reauthenticate_at_ = absl::InfiniteFuture();
  gone_at_ = now + kReplacedLife;
  successor->last_heard_ = last_heard_;
  successor->last_hint_ = last_hint_;
  // What waits moves; what is out is answered by TEMPORARY_FAILURE or not at all.
  for (auto& task : queue_) {
    if (task->kind() != TaskKind::kIkeRekey) successor->queue_.push_back(std::move(task));
  }
  queue_.clear();
  // Only a rekey of ours that crossed can still be out, or something harmless: its answer finds nobody.
  if (std::unique_ptr<Task> out = std::move(active_); out != nullptr) out->Abandon(*this, now);
  successor->Pump(now);
}

void IkeSa::Enqueue(absl::Time now, std::unique_ptr<Task> task, bool first) {
  if (state_ == IkeState::kDead || state_ == IkeState::kLingering) return;
  if (first) {
    queue_.push_front(std::move(task));
  } else {
    queue_.push_back(std::move(task));
  }
  Pump(now);
}

void IkeSa::DropChain(absl::Time now, const Task* task) {
  for (size_t i = 0; i < chains_.size(); ++i) {
    if (chains_[i].get() != task) continue;
    std::unique_ptr<Task> gone = std::move(chains_[i]);
    chains_.erase(chains_.begin() + static_cast<ptrdiff_t>(i));
    chain_ends_.erase(chain_ends_.begin() + static_cast<ptrdiff_t>(i));
    gone->Abandon(*this, now);
    return;
  }
}

bool IkeSa::Has(TaskKind kind) const {
  if (active_ != nullptr && active_->kind() == kind) return true;
  return std::ranges::any_of(queue_, [kind](const auto& t) { return t->kind() == kind; });
}

bool IkeSa::ChildWorkActive() const {
  auto about_child = [](const auto& t) {
    return t->kind() == TaskKind::kChildCreate || t->kind() == TaskKind::kChildRekey ||
           t->kind() == TaskKind::kChildDelete;
  };
  return (active_ != nullptr && about_child(active_)) || std::ranges::any_of(chains_, about_child);
}

bool IkeSa::PeerRekeysIke() const {
  return std::ranges::any_of(chains_, [](const auto& t) { return t->kind() == TaskKind::kIkeRekey; });
}

void IkeSa::AbandonWork(absl::Time now) {
  ++work_epoch_;
  // Taken out first: what is abandoned may look at what is left.
  std::unique_ptr<Task> active = std::move(active_);
  std::deque<std::unique_ptr<Task>> queue = std::exchange(queue_, {});
  std::vector<std::unique_ptr<Task>> chains = std::exchange(chains_, {});
  chain_ends_.clear();
  if (active != nullptr) active->Abandon(*this, now);
  for (auto& task : queue) task->Abandon(*this, now);
  for (auto& task : chains) task->Abandon(*this, now);
}

void IkeSa::DropChildren(absl::Time now, absl::Duration linger) {
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    shared_->counters.Add(Counter::kChildClosed);
    shared_->children.Close(child, now, now + linger);
  }
}

void IkeSa::Die(absl::Time now, bool failed, const std::string& why) {
  if (state_ == IkeState::kDead) return;
  bool counts = state_ == IkeState::kUp;
  AbandonWork(now);
  exchanges_.Abandon();
  DropChildren(now, absl::ZeroDuration());
  Transition(IkeState::kDead);
  keys_ = crypto::IkeKeys();
  if (counts) shared_->counters.Add(Counter::kClosed);
  if (!told_closed_) {
    told_closed_ = true;
    shared_->events->OnClosed(this, now, failed, why);
  }
}

void IkeSa::Close(absl::Time now, bool tell, bool failed, const std::string& why) {
  if (state_ == IkeState::kDead || state_ == IkeState::kLingering) return;
  if (!tell || state_ == IkeState::kConnecting || state_ == IkeState::kHalfOpen) {
    Die(now, failed, why);
    return;
  }
  if (state_ == IkeState::kDeleting) return;
  if (state_ == IkeState::kUp) shared_->counters.Add(Counter::kClosed);
  bool was_replaced = state_ == IkeState::kReplaced;
  AbandonWork(now);
  DropChildren(now, kInboundLinger);
  Transition(IkeState::kDeleting);
  rekey_at_ = expires_at_ = reauthenticate_at_ = absl::InfiniteFuture();
  gone_at_ = now + kReplacedLife;
  if (!told_closed_ && !was_replaced) {
    told_closed_ = true;
    shared_->events->OnClosed(this, now, failed, why);
  }
  told_closed_ = true;
  // Behind a request that is out: our window is 1.
  queue_.push_back(std::make_unique<IkeDeleteTask>());
  Pump(now);
}

void IkeSa::SendLastDelete(absl::Time now) {
  if (state_ != IkeState::kUp && state_ != IkeState::kReplaced) {
    Die(now, false, "shut down");
    return;
  }
  AbandonWork(now);
  // The peer may not have seen the request that is out; then this one has its number.
  if (exchanges_.busy()) exchanges_.Answered();
  wire::Payloads payloads;
  payloads.Add(wire::DeletePayload());
  SendRequest(now, wire::ExchangeType::kInformational, payloads);
  Die(now, false, "shut down");
}

void IkeSa::CreateChild(absl::Time now) {
  if (state_ != IkeState::kUp || Has(TaskKind::kChildCreate)) return;
  Enqueue(now, std::make_unique<ChildCreateTask>());
}

void IkeSa::RekeyChild(absl::Time now, ChildSa* child) {
  if (state_ != IkeState::kUp || child->rekey_queued || child->delete_queued || child->replaced_by != 0) return;
  child->rekey_queued = true;
  Enqueue(now, std::make_unique<ChildRekeyTask>(child->id));
}

void IkeSa::DeleteChild(absl::Time now, ChildSa* child) {
  if (child->delete_queued || child->state == ChildState::kClosing) return;
  child->delete_queued = true;
  Enqueue(now, std::make_unique<ChildDeleteTask>(std::vector<ChildId>{child->id}));
}

void IkeSa::Rekey(absl::Time now) {
  if (state_ != IkeState::kUp || Has(TaskKind::kIkeRekey)) return;
  Enqueue(now, std::make_unique<IkeRekeyTask>());
}

void IkeSa::ReportUnknownSpi(absl::Time now, uint32_t spi) {
  // At most one in a second: each is an exchange (IKE-055).
  if (state_ != IkeState::kUp || now - last_spi_report_ < absl::Seconds(1) || exchanges_.busy()) return;
  last_spi_report_ = now;
  wire::NotifyPayload notify(wire::NotifyType::kInvalidSpi);
  Writer(&notify.data).U32(spi);
  shared_->counters.Add(Counter::kInvalidSpiSent);
  Enqueue(now, std::make_unique<InformTask>(std::move(notify)));
}

void IkeSa::OnHint(absl::Time now) {
  if (state_ != IkeState::kUp || now - last_hint_ < absl::Seconds(5)) return;
  last_hint_ = now;
  // A request that is out is a check already.
  if (exchanges_.busy() || Has(TaskKind::kInform)) return;
  shared_->counters.Add(Counter::kLivenessChecks);
  Enqueue(now, std::make_unique<InformTask>());
}

void IkeSa::OnTraffic(absl::Time now, ChildSa* child, const ChildTraffic& traffic) {
  child->last_in = std::max(child->last_in, traffic.last_in);
  child->last_out = std::max(child->last_out, traffic.last_out);
  child->last_traffic = std::max({child->last_traffic, child->last_in, child->last_out});
  last_heard_ = std::max(last_heard_, std::min(now, traffic.last_in));
  if (state_ != IkeState::kUp || child->state == ChildState::kReplaced) return;
  if (traffic.bytes >= child->rekey_bytes || traffic.packets >= child->rekey_packets) RekeyChild(now, child);
}

}  // namespace espalier::ike
