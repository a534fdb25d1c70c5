#include "agent/ike/tasks/child_create.h"

#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/sa/proposals.h"
#include "agent/ike/tasks/inform.h"
#include "agent/ike/wire/proposal_rules.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

namespace {
PostQuantum ChildPolicy(IkeSa& sa, bool initiator) {
  if (!sa.config().post_quantum) return PostQuantum::kNever;
  if (sa.post_quantum()) return PostQuantum::kRequire;
  return initiator ? PostQuantum::kNever : PostQuantum::kPrefer;
}
}  // namespace

// ---- initiator

absl::StatusOr<Payloads> ChildCreateTask::BuildRequest(IkeSa& sa, absl::Time now) {
  if (in_chain_) return followup_.BuildRequest(sa.shared().random);
  we_initiate_ = true;
  // COL-10: the peer is putting another IKE SA in place of this one; the child is made on that.
  if (sa.PeerRekeysIke()) return absl::UnavailableError("the peer rekeys the IKE SA");
  if (absl::Status s = Prepare(sa, now); !s.ok()) return s;
  const Config& config = sa.config();
  if (config.key_exchanges.empty()) return absl::FailedPreconditionError("no key exchange method configured");
  if (method_ == 0) method_ = config.key_exchanges.front();
  tried_.insert(method_);
  absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke = crypto::KeyExchange::Create(method_, sa.shared().random);
  if (!ke.ok()) return ke.status();
  ke_ = *std::move(ke);
  if (reserved_spi_ == 0) reserved_spi_ = sa.shared().children.ReserveSpi();
  ni_ = sa.shared().RandomBytes(wire::kNonceSent);
  offer_ = EspOffer(config, ChildPolicy(sa, true), reserved_spi_, /*with_ke=*/true);
  ts_local_ = OfferedLocal(sa);
  ts_remote_ = OfferedRemote(sa);
  Payloads out;
  if (std::optional<NotifyPayload> first = FirstPayload(); first.has_value()) out.Add(*std::move(first));
  out.Add(offer_);
  out.Add(wire::NoncePayload{ni_});
  ByteSpan value = ke_->public_value();
  out.Add(wire::KePayload{method_, Bytes(value.begin(), value.end())});
  out.AddTsI(wire::TsPayload{ts_local_});
  out.AddTsR(wire::TsPayload{ts_remote_});
  return out;
}

Progress ChildCreateTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& in) {
  if (in.first_error() != nullptr) return Fail(sa, now, in);
  if (!in_chain_) return ProcessFirstResponse(sa, now, in);
  if (absl::Status s = followup_.ProcessResponse(in); !s.ok()) {
    // draft-ietf-ipsecme-ikev2-mlkem section 2.2: the IKE SA goes.
    Release(sa);
    sa.Close(now, /*tell=*/true, /*failed=*/true, "bad IKE_FOLLOWUP_KE response");
    return Progress::kClosed;
  }
  return followup_.done() ? FinishInitiator(sa, now) : Progress::kMore;
}

Progress ChildCreateTask::Fail(IkeSa& sa, absl::Time now, const Payloads& in) {
  const NotifyPayload* error = in.first_error();
  if (error->type == NotifyType::kInvalidKePayload && !in_chain_) {
    // IKE-062: another exchange with the method that is wanted, if we offer it and have not tried it.
    std::optional<uint16_t> method = error->u16();
    if (method.has_value() && std::ranges::count(sa.config().key_exchanges, *method) > 0 && !tried_.contains(*method)) {
      method_ = *method;
      return Progress::kMore;
    }
  }
  Release(sa);
  sa.shared().counters.Add(error->type == NotifyType::kTemporaryFailure ? Counter::kTemporaryFailures
                                                                        : Counter::kChildFailed);
  Refused(sa, now, error->type);
  return Progress::kDone;
}

void ChildCreateTask::Refused(IkeSa& sa, absl::Time now, NotifyType error) {
  LOG(WARNING) << "Child SA refused" << " peer=" << absl::StrCat(sa.peer_id()) << " cause=" << wire::ToString(error);
  sa.shared().events->OnChildRefused(sa.peer_id(), now);
}

Progress ChildCreateTask::ProcessFirstResponse(IkeSa& sa, absl::Time now, const Payloads& in) {
  if (in.sa() == nullptr || in.nonce() == nullptr || in.ts_i() == nullptr || in.ts_r() == nullptr ||
      in.sa()->proposals.size() != 1) {
    return Senseless(sa, now, true);
  }
  const wire::Proposal& chosen = in.sa()->proposals.front();
  std::vector<uint16_t> additional = AdditionalMethodsOf(chosen);
  nr_ = in.nonce()->data;
  agreement_.chosen = chosen;
  agreement_.id = {sa.peer_id(), reserved_spi_, chosen.spi32()};
  agreement_.we_initiated = true;
  agreement_.ts_local = in.ts_i()->selectors;
  agreement_.ts_remote = in.ts_r()->selectors;
  // IKE-025, IKE-068.
  if (!wire::IsChoiceOf(chosen, offer_) || !wire::AdditionalKeyExchangesDiffer(chosen) || chosen.spi32() == 0 ||
      KeMethodOf(chosen) != method_ || in.ke() == nullptr || in.ke()->method != method_ ||
      !Within(agreement_.ts_local, ts_local_) || !Within(agreement_.ts_remote, ts_remote_)) {
    return Senseless(sa, now, additional.empty());
  }
  absl::StatusOr<Secret> shared = ke_->Finish(in.ke()->data);
  ke_.reset();
  if (!shared.ok()) {
    Release(sa);
    sa.Close(now, /*tell=*/true, /*failed=*/true, "bad key exchange data");  // IKE-026
    return Progress::kClosed;
  }
  shared_ = *std::move(shared);
  if (Lost(sa, now)) {
    // RFC 9370 section 2.2.4: with a chain nothing was made yet; otherwise the loser's initiator deletes it.
    DeletePeersHalf(sa, now, additional.empty());
    return Progress::kDone;
  }
  followup_.Begin(std::move(additional));
  if (followup_.done()) return FinishInitiator(sa, now);
  if (!followup_.TakeLink(in)) return Senseless(sa, now, false);
  in_chain_ = true;
  return Progress::kMore;
}

Progress ChildCreateTask::Senseless(IkeSa& sa, absl::Time now, bool peer_is_done) {
  sa.shared().counters.Add(Counter::kChildFailed);
  DeletePeersHalf(sa, now, peer_is_done);
  Refused(sa, now, NotifyType::kInvalidSyntax);
  return Progress::kDone;
}

void ChildCreateTask::DeletePeersHalf(IkeSa& sa, absl::Time now, bool peer_is_done) {
  ChildId id{sa.peer_id(), reserved_spi_, agreement_.id.spi_out};
  Release(sa);
  if (peer_is_done && !doomed_.contains(id.spi_out)) {
    sa.Enqueue(now, std::make_unique<ChildDeleteTask>(std::vector<ChildId>{id}));
  }
}

Progress ChildCreateTask::FinishInitiator(IkeSa& sa, absl::Time now) {
  if (doomed_.contains(agreement_.id.spi_out)) {
    Release(sa);
    return Progress::kDone;
  }
  ChildId id = agreement_.id;
  reserved_spi_ = 0;
  absl::StatusOr<ChildSa*> child =
      InstallChild(sa, now, std::move(agreement_), shared_, ni_, nr_, followup_.secrets(), Predecessor(sa));
  if (!child.ok()) {
    sa.Enqueue(now, std::make_unique<ChildDeleteTask>(std::vector<ChildId>{id}));
    return Progress::kDone;
  }
  Made(sa, now, *child);
  return Progress::kDone;
}

// ---- responder

std::optional<NotifyPayload> ChildCreateTask::Admit(IkeSa& sa, absl::Time /*now*/, const Payloads& /*in*/) {
  // COL-10: we are putting another IKE SA in place of this one.
  if (sa.PeerRekeysIke() || (sa.active() != nullptr && sa.active()->kind() == TaskKind::kIkeRekey)) {
    return NotifyPayload(NotifyType::kTemporaryFailure);
  }
  // IKE-093. Equal selectors are no reason by themselves (COL-16), but their number is.
  if (Predecessor(sa) == nullptr && sa.shared().children.OfPeer(sa.peer_id()).size() >= kMostChildrenOfPeer) {
    sa.shared().counters.Add(Counter::kLimited);
    return NotifyPayload(NotifyType::kNoAdditionalSas);
  }
  // Only tunnel mode is made here: USE_TRANSPORT_MODE is not echoed, and so the peer knows (IKE-066).
  return std::nullopt;
}

Verdict ChildCreateTask::ProcessRequest(IkeSa& sa, absl::Time now, const Payloads& in) {
  if (!in_chain_) return ProcessFirstRequest(sa, now, in);
  error_.reset();
  if (!followup_.ProcessRequest(in, sa.shared().random).ok()) {
    // RFC 9370 section 2.2.4 and draft-ietf-ipsecme-ikev2-mlkem section 2.2.
    Release(sa);
    error_ = NotifyPayload(NotifyType::kInvalidSyntax);
    return Verdict::kClose;
  }
  return followup_.done() ? FinishResponder(sa, now) : Verdict::kMore;
}

Verdict ChildCreateTask::ProcessFirstRequest(IkeSa& sa, absl::Time now, const Payloads& in) {
  Shared& common = sa.shared();
  auto refuse = [&](NotifyPayload error) {
    common.counters.Add(error.type == NotifyType::kTemporaryFailure ? Counter::kTemporaryFailures
                                                                    : Counter::kChildFailed);
    error_ = std::move(error);
    return Verdict::kDone;
  };
  if (std::optional<NotifyPayload> error = Admit(sa, now, in); error.has_value()) return refuse(*std::move(error));
  const wire::KePayload* offered = in.ke();
  const uint16_t sent = offered == nullptr ? wire::ke::kNone : offered->method;
  std::optional<wire::Proposal> chosen =
      ChooseEsp(*in.sa(), sa.config(), ChildPolicy(sa, false), /*with_ke=*/true, sent);
  if (!chosen.has_value()) return refuse(NotifyPayload(NotifyType::kNoProposalChosen));
  uint16_t method = KeMethodOf(*chosen);
  if (method != wire::ke::kNone && method != sent) {
    return refuse(NotifyPayload::WithU16(NotifyType::kInvalidKePayload, method));
  }
  agreement_.ts_remote = Narrow(in.ts_i()->selectors, AllTraffic());
  agreement_.ts_local = Narrow(in.ts_r()->selectors, AllTraffic());
  if (agreement_.ts_local.empty() || agreement_.ts_remote.empty()) {
    return refuse(NotifyPayload(NotifyType::kTsUnacceptable));
  }
  if (method != wire::ke::kNone) {
    absl::StatusOr<crypto::KeResponse> ke = crypto::KeRespond(method, offered->data, common.random);
    if (!ke.ok()) {
      error_ = NotifyPayload(NotifyType::kInvalidSyntax);  // IKE-026
      return Verdict::kClose;
    }
    shared_ = std::move(ke->secret);
    ke_answer_ = wire::KePayload{method, std::move(ke->public_value)};
  }
  ni_ = in.nonce()->data;
  nr_ = common.RandomBytes(wire::kNonceSent);
  for (const wire::Proposal& p : in.sa()->proposals) {
    if (p.number == chosen->number) agreement_.id.spi_out = p.spi32();
  }
  reserved_spi_ = common.children.ReserveSpi();
  agreement_.id.peer = sa.peer_id();
  agreement_.id.spi_in = reserved_spi_;
  chosen->set_spi32(reserved_spi_);
  agreement_.chosen = *std::move(chosen);
  followup_.Begin(AdditionalMethodsOf(agreement_.chosen));
  Accepted(sa);
  return followup_.done() ? FinishResponder(sa, now) : Verdict::kMore;
}

Verdict ChildCreateTask::FinishResponder(IkeSa& sa, absl::Time now) {
  reserved_spi_ = 0;
  ChildAgreement agreement = agreement_;
  absl::StatusOr<ChildSa*> child =
      InstallChild(sa, now, std::move(agreement), shared_, ni_, nr_, followup_.secrets(), Predecessor(sa));
  if (!child.ok()) error_ = NotifyPayload(NotifyType::kTemporaryFailure);  // ERR-07
  return Verdict::kDone;
}

Payloads ChildCreateTask::BuildResponse(IkeSa& sa, absl::Time /*now*/) {
  Payloads out;
  if (error_.has_value()) {
    out.Add(*error_);
    return out;
  }
  if (in_chain_) {
    out.Add(followup_.Answer());
  } else {
    out.Add(wire::SaPayload{{agreement_.chosen}});
    out.Add(wire::NoncePayload{nr_});
    if (ke_answer_.has_value()) out.Add(*ke_answer_);
    out.AddTsI(wire::TsPayload{agreement_.ts_remote});
    out.AddTsR(wire::TsPayload{agreement_.ts_local});
  }
  if (!followup_.done()) {
    out.Add(followup_.NewLink(sa.shared().RandomBytes(8)));
    in_chain_ = true;
  }
  return out;
}

void ChildCreateTask::Release(IkeSa& sa) {
  if (reserved_spi_ != 0) sa.shared().children.ReleaseSpi(std::exchange(reserved_spi_, 0));
  shared_.Wipe();
}

void ChildCreateTask::Abandon(IkeSa& sa, absl::Time /*now*/) { Release(sa); }

}  // namespace espalier::ike
