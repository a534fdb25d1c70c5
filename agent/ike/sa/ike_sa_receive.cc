// The receiving half of an IKE SA: the stages that ike_sa.h names, in their order.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/sealed_message.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/child_create.h"
#include "agent/ike/tasks/child_rekey.h"
#include "agent/ike/tasks/ike_auth.h"
#include "agent/ike/tasks/ike_init.h"
#include "agent/ike/tasks/ike_intermediate.h"
#include "agent/ike/tasks/ike_rekey.h"
#include "agent/ike/tasks/inform.h"
#include "agent/ike/wire/error.h"
#include "agent/ike/wire/payload_rules.h"

namespace espalier::ike {

using wire::ExchangeType;
using wire::NotifyPayload;
using wire::NotifyType;

namespace {
constexpr size_t kMostAlternates = 4;  // IKE-024
constexpr size_t kMostChains = 4;
}  // namespace

bool IkeSa::OnInitRequest(absl::Time now, ByteSpan datagram, const wire::Message& message) {
  answer_local_ = local_;
  answer_remote_ = remote_;
  init_.request.assign(datagram.begin(), datagram.end());
  IkeInitTask task;
  Verdict verdict = task.ProcessRequest(*this, now, message.payloads);
  if (verdict == Verdict::kDrop) return false;
  wire::Header header = HeaderFor(ExchangeType::kIkeSaInit, /*response=*/true, 0);
  if (verdict == Verdict::kClose) header.spi_r = 0;
  absl::StatusOr<Bytes> response = wire::WriteMessage(header, task.BuildResponse(*this, now));
  if (!response.ok()) return false;
  Send({*response}, local_, remote_);
  if (verdict == Verdict::kClose) return false;
  init_.response = *response;
  exchanges_.Responded({*std::move(response)});
  BecomeHalfOpen(now);
  return true;
}

void IkeSa::OnInitRepeat() {
  // Once IKE_AUTH has begun the initiator has our answer (IKE-023).
  if (state_ != IkeState::kHalfOpen || exchanges_.expected_id() != 1) return;
  shared_->counters.Add(Counter::kRepeats);
  Send(exchanges_.response(), local_, remote_);
}

void IkeSa::OnInitResponse(absl::Time now, ByteSpan datagram, const wire::Message& message) {
  if (init_task_ == nullptr || message.header.message_id != 0 || message.encrypted.has_value()) {
    shared_->counters.Add(Counter::kWrongState);
    return;
  }
  if (state_ == IkeState::kHalfOpen) {
    Bytes raw(datagram.begin(), datagram.end());
    if (raw == taken_response_ || std::ranges::count(alternates_, raw) > 0) return;
    if (alternates_.size() < kMostAlternates && message.payloads.first_error() == nullptr) {
      alternates_.push_back(std::move(raw));
    }
    return;
  }
  if (!exchanges_.Answers(0, static_cast<uint8_t>(ExchangeType::kIkeSaInit))) return;
  if (!wire::CheckPayloads(ExchangeType::kIkeSaInit, /*response=*/true, message.payloads).ok()) {
    shared_->counters.Add(Counter::kMalformed);
    return;
  }
  Bytes raw(datagram.begin(), datagram.end());
  if (init_task_->Accept(*this, now, raw, message) != IkeInitTask::Result::kAccepted) return;
  taken_response_ = std::move(raw);
  exchanges_.Answered();
  StartAuthentication(now);
}

bool IkeSa::Allowed(const wire::Header& header) const {
  switch (header.exchange) {
    case ExchangeType::kIkeIntermediate:
    case ExchangeType::kIkeAuth:
      return state_ == IkeState::kHalfOpen;
    case ExchangeType::kCreateChildSa:
    case ExchangeType::kIkeFollowupKe:
      return state_ == IkeState::kUp || state_ == IkeState::kReplaced || state_ == IkeState::kDeleting;
    case ExchangeType::kInformational:
      // Half-open: the initiator's last word about our AUTH comes when we are up already.
      return state_ == IkeState::kUp || state_ == IkeState::kReplaced || state_ == IkeState::kDeleting;
    default:
      return false;
  }
}

void IkeSa::OnRepeat(absl::Time now, ByteSpan datagram, const wire::Message& message) {
  // A repeated request: its first fragment stands for it (RFC 7383 section 2.6.1). It may have come under the keys
  // before the last IKE_INTERMEDIATE (IKE-081).
  if (message.encrypted->total != 0 && message.encrypted->fragment != 1) return;
  auto opens = [&](const std::optional<crypto::Aead>& aead) {
    if (!aead.has_value()) return false;
    return message.encrypted->type == wire::PayloadType::kSk
               ? !absl::IsDataLoss(crypto::OpenMessage(datagram, message, *aead).status())
               : crypto::OpenFragment(datagram, message, *aead).ok();
  };
  if (!opens(in_) && !opens(previous_in_)) {
    shared_->counters.Add(Counter::kBadIcv);
    return;
  }
  shared_->counters.Add(Counter::kRepeats);
  Send(exchanges_.response(), answer_local_, answer_remote_);
  // The answer has not arrived yet, so neither have the keys of a child that it makes.
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    if (child->use_outbound_at != absl::InfiniteFuture()) {
      child->use_outbound_at = std::max(child->use_outbound_at, now + config().retransmit_first * 1.5);
    }
  }
}

std::optional<wire::OpenedMessage> IkeSa::Open(absl::Time now, ByteSpan datagram, const wire::Message& message,
                                               absl::Status* fault) {
  if (!in_.has_value()) return std::nullopt;
  if (message.encrypted->type == wire::PayloadType::kSk) {
    absl::StatusOr<wire::OpenedMessage> opened = crypto::OpenMessage(datagram, message, *in_);
    if (opened.ok()) return *std::move(opened);
    if (absl::IsDataLoss(opened.status())) {
      shared_->counters.Add(Counter::kBadIcv);
    } else {
      *fault = opened.status();
    }
    return std::nullopt;
  }
  if (!fragmentation_) {
    shared_->counters.Add(Counter::kMalformed);
    return std::nullopt;
  }
  wire::Reassembler& parts = message.header.response ? responses_in_ : requests_in_;
  if (parts.Expired(now)) parts.Clear();
  if (!parts.Wants(message.encrypted->fragment, message.encrypted->total)) return std::nullopt;
  absl::StatusOr<wire::OpenedFragment> fragment = crypto::OpenFragment(datagram, message, *in_);
  if (!fragment.ok()) {
    if (absl::IsDataLoss(fragment.status())) {
      shared_->counters.Add(Counter::kBadIcv);
    } else {
      *fault = fragment.status();
    }
    return std::nullopt;
  }
  shared_->counters.Add(Counter::kFragments);
  return parts.Add(now, *std::move(fragment));
}

void IkeSa::OnMessage(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan datagram,
                      const wire::Message& message) {
  const wire::Header& header = message.header;
  if (state_ == IkeState::kDead) return;
  if (header.from_initiator == initiator_) {
    shared_->counters.Add(Counter::kMalformed);
    return;
  }
  if (header.exchange == ExchangeType::kIkeSaInit) {
    if (initiator_ && header.response) OnInitResponse(now, datagram, message);
    return;
  }
  if (header.spi_i != spi_i_ || header.spi_r != spi_r_) {
    shared_->counters.Add(Counter::kUnknownSpi);
    return;
  }
  if (!message.encrypted.has_value()) {
    // INVALID_IKE_SPI and the like: anybody can send it (IKE-054).
    shared_->counters.Add(Counter::kUnprotected);
    OnHint(now);
    return;
  }
  if (header.response) {
    if (!exchanges_.Answers(header.message_id, static_cast<uint8_t>(header.exchange))) {
      shared_->counters.Add(Counter::kOutOfWindow);
      return;
    }
  } else {
    switch (exchanges_.Classify(header.message_id)) {
      case ExchangeManager::Incoming::kOutside:
        shared_->counters.Add(Counter::kOutOfWindow);
        return;
      case ExchangeManager::Incoming::kRepeat:
        answer_local_ = local;
        answer_remote_ = remote;
        OnRepeat(now, datagram, message);
        return;
      case ExchangeManager::Incoming::kNew:
        break;
    }
    if (!Allowed(header)) {
      shared_->counters.Add(Counter::kWrongState);
      return;
    }
  }
  absl::Status fault;
  std::optional<wire::OpenedMessage> opened = Open(now, datagram, message, &fault);
  if (!opened.has_value() && fault.ok()) return;

  // From here on the octets are the other end's, if not yet of somebody we know.
  Touch(now);
  answer_local_ = local;
  answer_remote_ = remote;
  absl::StatusOr<wire::Payloads> payloads =
      fault.ok() ? wire::ParsePayloads(opened->first_inner, opened->inner) : absl::StatusOr<wire::Payloads>(fault);
  fault = payloads.status();
  if (fault.ok()) fault = wire::CheckPayloads(header.exchange, header.response, *payloads);
  if (!fault.ok()) {
    OnFault(now, header, fault);
    return;
  }
  hold_requests_ = true;
  if (header.response) {
    OnResponse(now, header, *payloads, *opened);
  } else {
    OnRequest(now, header, *payloads, *opened);
  }
  hold_requests_ = false;
  Pump(now);
}

void IkeSa::OnFault(absl::Time now, const wire::Header& header, const absl::Status& fault) {
  shared_->counters.Add(Counter::kMalformed);
  bool half_open = state_ == IkeState::kHalfOpen;
  if (header.response) {
    // No message about a response (RFC 7296 section 2.21). What it should have brought cannot be known, so this IKE SA
    // goes; the peer believes it is up, and is told (IKE-059).
    if (half_open) {
      if (!TryAlternate(now)) Die(now, true, "malformed response");
      return;
    }
    exchanges_.Answered();
    Close(now, /*tell=*/true, /*failed=*/true, "malformed response");
    return;
  }
  if (wire::FaultOf(fault) == wire::Fault::kCritical) {
    NotifyPayload notify(NotifyType::kUnsupportedCriticalPayload);
    notify.data.push_back(static_cast<uint8_t>(wire::CriticalType(fault)));
    RespondError(now, header.exchange, std::move(notify));
    if (!half_open) return;  // ERR-02: that exchange only
  } else {
    RespondError(now, header.exchange, NotifyPayload(NotifyType::kInvalidSyntax));
  }
  // RFC 7296 section 2.21.3: both ends drop the IKE SA without a Delete. Repeats are answered for a while.
  if (shared_->ShouldLog(now, "malformed request")) {
    LOG(WARNING) << "malformed request" << " peer=" << absl::StrCat(peer_) << " remote=" << remote_.ToString()
                 << " cause=" << fault;
  }
  Linger(now, true, "malformed request");
}

void IkeSa::Linger(absl::Time now, bool failed, const std::string& why) {
  if (state_ == IkeState::kDead || state_ == IkeState::kLingering) return;
  bool counts = state_ == IkeState::kUp;
  bool known = state_ != IkeState::kHalfOpen;
  AbandonWork(now);
  exchanges_.Abandon();
  DropChildren(now, known ? kInboundLinger : absl::ZeroDuration());
  Transition(IkeState::kLingering);
  if (counts) shared_->counters.Add(Counter::kClosed);
  half_open_until_ = rekey_at_ = expires_at_ = reauthenticate_at_ = pump_at_ = absl::InfiniteFuture();
  gone_at_ = now + kAnswerLinger;
  if (!told_closed_) {
    told_closed_ = true;
    shared_->events->OnClosed(this, now, failed, why);
  }
}

std::unique_ptr<Task> IkeSa::TaskFor(const wire::Header& header, const wire::Payloads& payloads) {
  switch (header.exchange) {
    case ExchangeType::kIkeIntermediate:
      return std::make_unique<IkeIntermediateTask>(intermediates_done_);
    case ExchangeType::kIkeAuth:
      return std::make_unique<IkeAuthTask>();
    case ExchangeType::kCreateChildSa:
      if (payloads.ts_i() == nullptr) return std::make_unique<IkeRekeyTask>();
      if (payloads.has(NotifyType::kRekeySa)) return std::make_unique<ChildRekeyTask>();
      return std::make_unique<ChildCreateTask>();
    default:
      return std::make_unique<InformTask>();
  }
}

void IkeSa::OnRequest(absl::Time now, const wire::Header& header, const wire::Payloads& payloads,
                      const wire::OpenedMessage& opened) {
  // The next request of the peer shows that it has our last answer, and with it the keys of a child made by it.
  for (ChildSa* child : shared_->children.OfOwner(peer_, this)) {
    if (child->use_outbound_at != absl::InfiniteFuture()) child->use_outbound_at = now;
  }
  OnChildTimers(now);

  std::unique_ptr<Task> task;
  size_t chain = chains_.size();
  if (header.exchange == ExchangeType::kIkeFollowupKe) {
    const NotifyPayload* link = payloads.notify(NotifyType::kAdditionalKeyExchange);
    for (chain = 0; chain < chains_.size() && !chains_[chain]->Awaits(link->data); ++chain) {
    }
    if (chain == chains_.size()) {
      RespondError(now, header.exchange, NotifyPayload(NotifyType::kStateNotFound));
      return;
    }
    task = std::move(chains_[chain]);
    chains_.erase(chains_.begin() + static_cast<ptrdiff_t>(chain));
    chain_ends_.erase(chain_ends_.begin() + static_cast<ptrdiff_t>(chain));
  } else if (header.exchange == ExchangeType::kCreateChildSa &&
             (state_ != IkeState::kUp || !shared_->events->AllowCreate(peer_, now))) {
    // COL-15, RFC 7296 section 2.25.2; IKE-093.
    shared_->counters.Add(state_ == IkeState::kUp ? Counter::kLimited : Counter::kTemporaryFailures);
    RespondError(now, header.exchange, NotifyPayload(NotifyType::kTemporaryFailure));
    return;
  } else {
    task = TaskFor(header, payloads);
  }
  if (header.exchange == ExchangeType::kIkeIntermediate) {
    init_.int_auth_i =
        crypto::IntAuthLink(suite_.prf, keys_.pi, init_.int_auth_i, opened.int_auth_header, opened.inner);
  }
  Verdict verdict = task->ProcessRequest(*this, now, payloads);
  if (state_ == IkeState::kDead) return;
  if (verdict == Verdict::kDrop) {
    task->Abandon(*this, now);
    return;
  }
  if (!Respond(now, header.exchange, task->BuildResponse(*this, now))) {
    // ERR-08: nothing went out, so nothing of it stays.
    task->Abandon(*this, now);
    return;
  }
  if (header.exchange == ExchangeType::kIkeIntermediate) ++intermediates_done_;
  task->Answered(*this, now);
  if (state_ == IkeState::kDead) return;
  if (verdict == Verdict::kClose) {
    Linger(now, task->failed(), task->why());
  } else if (verdict == Verdict::kMore) {
    if (chains_.size() >= kMostChains) DropChain(now, chains_.front().get());
    chains_.push_back(std::move(task));
    chain_ends_.push_back(now + kChainLife);
  }
}

void IkeSa::OnResponse(absl::Time now, const wire::Header& header, const wire::Payloads& payloads,
                       const wire::OpenedMessage& opened) {
  if (header.exchange == ExchangeType::kIkeIntermediate) {
    init_.int_auth_r =
        crypto::IntAuthLink(suite_.prf, keys_.pr, init_.int_auth_r, opened.int_auth_header, opened.inner);
  }
  exchanges_.Answered();
  responses_in_.Clear();
  if (active_ != nullptr) {
    std::unique_ptr<Task> task = std::move(active_);
    switch (task->ProcessResponse(*this, now, payloads)) {
      case Progress::kMore:
        active_ = std::move(task);
        break;
      case Progress::kDone:
        break;
      case Progress::kClosed:
        break;
    }
  }
}

}  // namespace espalier::ike
