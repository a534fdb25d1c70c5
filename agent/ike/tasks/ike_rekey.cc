#include "agent/ike/tasks/ike_rekey.h"

#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/key_material.h"
#include "agent/ike/sa/proposals.h"
#include "agent/ike/tasks/inform.h"
#include "agent/ike/wire/proposal_rules.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

namespace {
PostQuantum RekeyPolicy(IkeSa& sa, bool initiator) {
  if (!sa.config().post_quantum) return PostQuantum::kNever;
  if (sa.post_quantum()) return PostQuantum::kRequire;
  return initiator ? PostQuantum::kNever : PostQuantum::kPrefer;
}
}  // namespace

// ---- initiator

absl::StatusOr<Payloads> IkeRekeyTask::BuildRequest(IkeSa& sa, absl::Time /*now*/) {
  if (in_chain_) return followup_.BuildRequest(sa.shared().random);
  we_initiate_ = true;
  // COL-09: the peer would refuse.
  if (sa.ChildWorkActive() || sa.PeerRekeysIke()) return absl::UnavailableError("other exchanges first");
  const Config& config = sa.config();
  if (config.key_exchanges.empty()) return absl::FailedPreconditionError("no key exchange method configured");
  if (method_ == 0) method_ = config.key_exchanges.front();
  tried_.insert(method_);
  absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke = crypto::KeyExchange::Create(method_, sa.shared().random);
  if (!ke.ok()) return ke.status();
  ke_ = *std::move(ke);
  own_spi_ = sa.shared().events->NewIkeSpi();
  ni_ = sa.shared().RandomBytes(wire::kNonceSent);
  offer_ = IkeOffer(config, RekeyPolicy(sa, true), own_spi_);
  Payloads out;
  out.Add(offer_);
  out.Add(wire::NoncePayload{ni_});
  ByteSpan value = ke_->public_value();
  out.Add(wire::KePayload{method_, Bytes(value.begin(), value.end())});
  return out;
}

Progress IkeRekeyTask::Fail(IkeSa& sa, absl::Time now, const NotifyPayload& error) {
  if (error.type == NotifyType::kInvalidKePayload && !in_chain_) {
    std::optional<uint16_t> method = error.u16();
    if (method.has_value() && std::ranges::count(sa.config().key_exchanges, *method) > 0 && !tried_.contains(*method)) {
      method_ = *method;
      return Progress::kMore;
    }
  }
  shared_.Wipe();
  if (rival_.has_value()) {
    YieldToRival(sa, now);
    return Progress::kDone;
  }
  if (error.type == NotifyType::kTemporaryFailure) sa.shared().counters.Add(Counter::kTemporaryFailures);
  if (error.type == NotifyType::kNoAdditionalSas) {
    // IKE-065: a new IKE SA from the start instead.
    sa.shared().events->OnReauthenticate(&sa, now);
    return Progress::kDone;
  }
  if (error.type != NotifyType::kTemporaryFailure) {
    LOG(WARNING) << "rekey of the IKE SA refused" << " peer=" << absl::StrCat(sa.peer_id())
                 << " cause=" << wire::ToString(error.type);
  }
  sa.RetryRekeyLater(now, /*count=*/true);
  return Progress::kDone;
}

Progress IkeRekeyTask::CloseFor(IkeSa& sa, absl::Time now, const std::string& why) {
  shared_.Wipe();
  sa.Close(now, /*tell=*/true, /*failed=*/true, why);
  return Progress::kClosed;
}

Progress IkeRekeyTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& in) {
  if (const NotifyPayload* error = in.first_error(); error != nullptr) return Fail(sa, now, *error);
  if (in_chain_) {
    if (!followup_.ProcessResponse(in).ok()) return CloseFor(sa, now, "bad IKE_FOLLOWUP_KE response");
    return followup_.done() ? FinishInitiator(sa, now) : Progress::kMore;
  }
  // The peer may think that a successor is up: it cannot be known, so all goes (IKE-059).
  if (in.sa() == nullptr || in.nonce() == nullptr || in.ke() == nullptr || in.sa()->proposals.size() != 1) {
    return CloseFor(sa, now, "senseless answer to a rekey");
  }
  chosen_ = in.sa()->proposals.front();
  peer_spi_ = chosen_.spi64();
  nr_ = in.nonce()->data;
  if (!wire::IsChoiceOf(chosen_, offer_) || !wire::AdditionalKeyExchangesDiffer(chosen_) || peer_spi_ == 0 ||
      KeMethodOf(chosen_) != method_ || in.ke()->method != method_) {
    return CloseFor(sa, now, "the peer chose what was not offered");
  }
  absl::StatusOr<Secret> shared = ke_->Finish(in.ke()->data);
  ke_.reset();
  if (!shared.ok()) return CloseFor(sa, now, "bad key exchange data");
  shared_ = *std::move(shared);
  followup_.Begin(AdditionalMethodsOf(chosen_));
  if (rival_.has_value()) {
    sa.shared().counters.Add(Counter::kCollisions);
    if (lowest_nonce() < rival_->lowest_nonce) {
      // COL-11. With a chain ours has made nothing yet; otherwise we delete what it made.
      IkeSa* loser = followup_.done() ? MakeSuccessor(sa, now) : nullptr;
      YieldToRival(sa, now);
      if (loser != nullptr) loser->Close(now, /*tell=*/true, /*failed=*/false, "lost a collision");
      return Progress::kDone;
    }
    // The peer deletes what its exchange made, or does not go on with it.
    for (const auto& chain : sa.chains()) {
      if (chain->kind() == TaskKind::kIkeRekey) {
        sa.DropChain(now, chain.get());
        break;
      }
    }
  }
  if (followup_.done()) return FinishInitiator(sa, now);
  if (!followup_.TakeLink(in)) return CloseFor(sa, now, "no link to the additional key exchange");
  in_chain_ = true;
  return Progress::kMore;
}

IkeSa* IkeRekeyTask::MakeSuccessor(IkeSa& sa, absl::Time now) {
  crypto::IkeSuite suite = crypto::SuiteOf(chosen_).value_or(crypto::IkeSuite());
  // RFC 7296 section 2.18: SKEYSEED by the old PRF, the keys by the new one.
  Secret skeyseed = crypto::RekeySkeyseed(sa.suite().prf, sa.keys().d, shared_, ni_, nr_, followup_.secrets());
  uint64_t spi_i = we_initiate_ ? own_spi_ : peer_spi_;
  uint64_t spi_r = we_initiate_ ? peer_spi_ : own_spi_;
  crypto::IkeKeys keys = crypto::DeriveIkeKeys(suite.prf, suite.aead, skeyseed, ni_, nr_, spi_i, spi_r);
  return sa.shared().events->Register(IkeSa::Succeed(sa, we_initiate_, spi_i, spi_r, chosen_, std::move(keys), now));
}

Progress IkeRekeyTask::FinishInitiator(IkeSa& sa, absl::Time now) {
  IkeSa* successor = MakeSuccessor(sa, now);
  sa.shared().counters.Add(Counter::kIkeRekeyed);
  sa.shared().host->OnPeerEvent(sa.peer_id(), "rekeyed", "by us");
  sa.HandOver(now, successor);
  sa.Enqueue(now, std::make_unique<IkeDeleteTask>());
  return Progress::kDone;
}

void IkeRekeyTask::YieldToRival(IkeSa& sa, absl::Time now) {
  IkeSa* made = rival_->own_spi == 0 ? nullptr : sa.shared().events->FindSa(rival_->own_spi);
  rival_.reset();
  if (made != nullptr && made->state() == IkeState::kUp && sa.state() == IkeState::kUp) {
    sa.shared().counters.Add(Counter::kIkeRekeyed);
    sa.shared().host->OnPeerEvent(sa.peer_id(), "rekeyed", "by the peer");
    sa.HandOver(now, made);
    return;
  }
  sa.RetryRekeyLater(now, /*count=*/false);
}

void IkeRekeyTask::Abandon(IkeSa& sa, absl::Time now) {
  shared_.Wipe();
  // COL-12: the old IKE SA is deleted while ours is out, so the peer's stands.
  if (rival_.has_value()) YieldToRival(sa, now);
}

// ---- responder

Verdict IkeRekeyTask::ProcessRequest(IkeSa& sa, absl::Time now, const Payloads& in) {
  Shared& common = sa.shared();
  auto refuse = [&](NotifyPayload error) {
    if (error.type == NotifyType::kTemporaryFailure) common.counters.Add(Counter::kTemporaryFailures);
    error_ = std::move(error);
    return Verdict::kDone;
  };
  error_.reset();
  if (in_chain_) {
    if (!followup_.ProcessRequest(in, common.random).ok()) {
      error_ = NotifyPayload(NotifyType::kInvalidSyntax);
      return Verdict::kClose;
    }
    if (!followup_.done()) return Verdict::kMore;
    made_ = MakeSuccessor(sa, now)->own_spi();
    return Verdict::kDone;
  }
  auto* own = dynamic_cast<IkeRekeyTask*>(sa.active());
  // COL-09; RFC 9370 section 2.2.4: our own is past its CREATE_CHILD_SA.
  if (sa.ChildWorkActive() || (own != nullptr && own->in_chain_) || !common.events->AllowSa(sa.peer_id(), now)) {
    return refuse(NotifyPayload(NotifyType::kTemporaryFailure));
  }
  wire::ProposalContext context;
  context.rekey_ike = true;
  std::optional<wire::Proposal> chosen =
      ChooseIke(*in.sa(), sa.config(), RekeyPolicy(sa, false), context, in.ke()->method);
  if (!chosen.has_value()) return refuse(NotifyPayload(NotifyType::kNoProposalChosen));
  uint16_t method = KeMethodOf(*chosen);
  if (method != in.ke()->method) return refuse(NotifyPayload::WithU16(NotifyType::kInvalidKePayload, method));
  absl::StatusOr<crypto::KeResponse> ke = crypto::KeRespond(method, in.ke()->data, common.random);
  if (!ke.ok()) {
    error_ = NotifyPayload(NotifyType::kInvalidSyntax);  // IKE-026
    return Verdict::kClose;
  }
  // The peer begins again: it left the chain before.
  for (const auto& chain : sa.chains()) {
    if (chain->kind() != TaskKind::kIkeRekey) continue;
    sa.DropChain(now, chain.get());
    break;
  }
  shared_ = std::move(ke->secret);
  ke_answer_ = {method, std::move(ke->public_value)};
  ni_ = in.nonce()->data;
  nr_ = common.RandomBytes(wire::kNonceSent);
  for (const wire::Proposal& p : in.sa()->proposals) {
    if (p.number == chosen->number) peer_spi_ = p.spi64();
  }
  own_spi_ = common.events->NewIkeSpi();
  chosen->set_spi64(own_spi_);
  chosen_ = *std::move(chosen);
  followup_.Begin(AdditionalMethodsOf(chosen_));
  if (followup_.done()) made_ = MakeSuccessor(sa, now)->own_spi();
  if (own != nullptr) own->rival_ = Rival{lowest_nonce(), made_};
  return followup_.done() ? Verdict::kDone : Verdict::kMore;
}

Payloads IkeRekeyTask::BuildResponse(IkeSa& sa, absl::Time /*now*/) {
  Payloads out;
  if (error_.has_value()) {
    out.Add(*error_);
    return out;
  }
  if (in_chain_) {
    out.Add(followup_.Answer());
  } else {
    out.Add(wire::SaPayload{{chosen_}});
    out.Add(wire::NoncePayload{nr_});
    out.Add(ke_answer_);
  }
  if (!followup_.done()) {
    out.Add(followup_.NewLink(sa.shared().RandomBytes(8)));
    in_chain_ = true;
  }
  return out;
}

void IkeRekeyTask::Answered(IkeSa& sa, absl::Time now) {
  if (made_ == 0 || error_.has_value()) return;
  IkeSa* made = sa.shared().events->FindSa(made_);
  auto* own = dynamic_cast<IkeRekeyTask*>(sa.active());
  // Crossed, and not decided yet: the children move when our own exchange has its answer (RFC 7296 section 2.8.2).
  if (made == nullptr || (own != nullptr && own->rival_.has_value() && own->rival_->own_spi == made_)) return;
  sa.shared().counters.Add(Counter::kIkeRekeyed);
  sa.shared().host->OnPeerEvent(sa.peer_id(), "rekeyed", "by the peer");
  sa.HandOver(now, made);
}

}  // namespace espalier::ike
