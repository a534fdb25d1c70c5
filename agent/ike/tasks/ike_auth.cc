#include "agent/ike/tasks/ike_auth.h"

#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/child_setup.h"
#include "agent/ike/tasks/inform.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

namespace {

// A Vendor ID of ours, and the process's boot id in 8 octets: which SAs a restart makes dead (engine.h).
constexpr std::string_view kBootIdVendor = "espalier.io/boot";

uint64_t BootIdOf(const Payloads& in) {
  for (const wire::Payload& p : in.list()) {
    const auto* body = std::get_if<wire::OpaquePayload>(&p.body);
    if (p.type != wire::PayloadType::kVendorId || body == nullptr) continue;
    Reader r(body->body);
    ByteSpan name;
    uint64_t id = 0;
    if (r.Take(kBootIdVendor.size(), &name) && r.U64(&id) && r.AtEnd() &&
        std::ranges::equal(name, kBootIdVendor, {}, {}, [](char c) { return static_cast<uint8_t>(c); })) {
      return id;
    }
  }
  return 0;
}

}  // namespace

void IkeAuthTask::AddBootId(IkeSa& sa, Payloads* out) const {
  if (sa.config().boot_id == 0) return;
  wire::OpaquePayload vendor;
  vendor.body.assign(kBootIdVendor.begin(), kBootIdVendor.end());
  Writer(&vendor.body).U64(sa.config().boot_id);
  out->Add(wire::PayloadType::kVendorId, std::move(vendor));
}

absl::StatusOr<Payloads> IkeAuthTask::BuildRequest(IkeSa& sa, absl::Time now) {
  absl::StatusOr<LocalProof> own = MakeProof(sa);
  const Peer* peer = sa.peer();
  if (!own.ok() || peer == nullptr) {
    sa.FailAuthentication(now, own.ok() ? "not in the view" : std::string(own.status().message()), true);
    return absl::FailedPreconditionError("cannot authenticate");
  }
  Payloads out;
  out.AddIdI(std::move(own->id));
  for (wire::CertPayload& cert : own->certs) out.Add(std::move(cert));
  if (sa.shared().events->TakeInitialContact(&sa)) out.Add(NotifyPayload(NotifyType::kInitialContact));
  out.Add(wire::CertReqPayload{wire::CertEncoding::kX509Signature, sa.shared().host->TrustAnchorHashes()});
  out.AddIdR(wire::IdPayload(wire::IdType::kKeyId, peer->key_id));
  out.Add(std::move(own->auth));
  spi_in_ = sa.shared().children.ReserveSpi();
  offer_ = EspOffer(sa.config(), PostQuantum::kNever, spi_in_, /*with_ke=*/false);
  ts_offered_ = AllTraffic();
  out.Add(offer_);
  out.AddTsI(wire::TsPayload{ts_offered_});
  out.AddTsR(wire::TsPayload{ts_offered_});
  AddBootId(sa, &out);
  return out;
}

Progress IkeAuthTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& in) {
  const NotifyPayload* error = in.first_error();
  if (in.auth() == nullptr || in.id_r() == nullptr) {
    Abandon(sa, now);
    sa.FailAuthentication(
        now, absl::StrCat("the peer answered ", error != nullptr ? wire::ToString(error->type) : "without AUTH"),
        false);
    return Progress::kClosed;
  }
  absl::StatusOr<Proof> proof = CheckProof(sa, in.id_r(), in);
  if (!proof.ok()) {
    Abandon(sa, now);
    sa.FailAuthentication(now, std::string(proof.status().message()), true);
    return Progress::kClosed;
  }
  sa.BecomeUp(now, *std::move(proof), BootIdOf(in));
  FinishChild(sa, now, in);
  sa.shared().events->OnEstablished(&sa, now, in.has(NotifyType::kInitialContact));
  return Progress::kDone;
}

void IkeAuthTask::FinishChild(IkeSa& sa, absl::Time now, const Payloads& in) {
  Shared& common = sa.shared();
  uint32_t spi_in = std::exchange(spi_in_, 0);
  if (in.sa() == nullptr || in.ts_i() == nullptr || in.ts_r() == nullptr) {
    // IKE-042: the IKE SA stands without a child.
    const NotifyPayload* error = in.first_error();
    common.children.ReleaseSpi(spi_in);
    common.counters.Add(Counter::kChildFailed);
    LOG(WARNING) << "first Child SA refused" << " peer=" << absl::StrCat(sa.peer_id())
                 << " cause=" << (error != nullptr ? wire::ToString(error->type) : "none");
    common.events->OnChildRefused(sa.peer_id(), now);
    return;
  }
  const wire::Proposal& chosen = in.sa()->proposals.front();
  ChildAgreement agreement;
  agreement.chosen = chosen;
  agreement.id = {sa.peer_id(), spi_in, chosen.spi32()};
  agreement.we_initiated = true;
  agreement.in_auth = true;
  agreement.ts_local = in.ts_i()->selectors;
  agreement.ts_remote = in.ts_r()->selectors;
  if (in.sa()->proposals.size() != 1 || !wire::IsChoiceOf(chosen, offer_) || chosen.spi32() == 0 ||
      !Within(agreement.ts_local, ts_offered_) || !Within(agreement.ts_remote, ts_offered_)) {
    // IKE-059, IKE-068: no message about a response; the peer's half is deleted.
    common.children.ReleaseSpi(spi_in);
    common.counters.Add(Counter::kChildFailed);
    sa.Enqueue(now, std::make_unique<ChildDeleteTask>(std::vector<ChildId>{agreement.id}));
    return;
  }
  ChildId id = agreement.id;
  absl::StatusOr<ChildSa*> child =
      InstallChild(sa, now, std::move(agreement), Secret(), sa.init().ni, sa.init().nr, {}, nullptr);
  if (!child.ok()) {
    sa.Enqueue(now, std::make_unique<ChildDeleteTask>(std::vector<ChildId>{id}));
    return;
  }
  UseChild(sa, now, *child);
}

Verdict IkeAuthTask::ProcessRequest(IkeSa& sa, absl::Time now, const Payloads& in) {
  auto refuse = [&](absl::string_view why) {
    why_ = std::string(why);
    sa.shared().counters.Add(Counter::kAuthFailed);
    if (!sa.shared().ShouldLog(now, why_)) return Verdict::kClose;
    LOG(WARNING) << "authentication failed" << " remote=" << sa.remote().ToString() << " cause=" << why_;
    return Verdict::kClose;
  };
  if (!sa.ReadyForAuth()) return refuse("IKE_AUTH before the key exchanges agreed on");
  absl::StatusOr<Proof> proof = CheckProof(sa, in.id_i(), in);
  if (!proof.ok()) return refuse(absl::string_view(proof.status().message()));
  PeerId peer = proof->peer;
  if (!sa.shared().events->AllowSa(peer, now)) return refuse("too many IKE SAs of this peer");
  sa.set_peer_id(peer);
  absl::StatusOr<LocalProof> own = MakeProof(sa);
  if (!own.ok()) return refuse(absl::string_view(own.status().message()));
  own_ = *std::move(own);
  authenticated_ = true;
  initial_contact_ = in.has(NotifyType::kInitialContact);
  sa.BecomeUp(now, *std::move(proof), BootIdOf(in));
  childless_ = in.sa() == nullptr;  // RFC 6023
  if (!childless_) child_error_ = AnswerChild(sa, now, in);
  if (child_error_.has_value()) sa.shared().counters.Add(Counter::kChildFailed);
  return Verdict::kDone;
}

std::optional<NotifyPayload> IkeAuthTask::AnswerChild(IkeSa& sa, absl::Time now, const Payloads& in) {
  Shared& common = sa.shared();
  std::optional<wire::Proposal> chosen =
      ChooseEsp(*in.sa(), sa.config(), PostQuantum::kNever, /*with_ke=*/false, wire::ke::kNone);
  if (!chosen.has_value()) return NotifyPayload(NotifyType::kNoProposalChosen);
  ts_i_ = Narrow(in.ts_i()->selectors, AllTraffic());
  ts_r_ = Narrow(in.ts_r()->selectors, AllTraffic());
  if (ts_i_.empty() || ts_r_.empty()) return NotifyPayload(NotifyType::kTsUnacceptable);
  if (common.children.OfPeer(sa.peer_id()).size() >= kMostChildrenOfPeer) {
    return NotifyPayload(NotifyType::kNoAdditionalSas);
  }
  uint32_t spi_out = 0;
  for (const wire::Proposal& p : in.sa()->proposals) {
    if (p.number == chosen->number) spi_out = p.spi32();
  }
  ChildAgreement agreement;
  agreement.id = {sa.peer_id(), common.children.ReserveSpi(), spi_out};
  agreement.in_auth = true;
  agreement.ts_local = ts_r_;
  agreement.ts_remote = ts_i_;
  chosen->set_spi32(agreement.id.spi_in);
  agreement.chosen = chosen_ = *std::move(chosen);
  absl::StatusOr<ChildSa*> child =
      InstallChild(sa, now, std::move(agreement), Secret(), sa.init().ni, sa.init().nr, {}, nullptr);
  if (!child.ok()) return NotifyPayload(NotifyType::kNoAdditionalSas);  // ERR-07
  return std::nullopt;
}

Payloads IkeAuthTask::BuildResponse(IkeSa& sa, absl::Time /*now*/) {
  Payloads out;
  if (!authenticated_) {
    // IKE-041: alone, without data, whatever the cause.
    out.Add(NotifyPayload(NotifyType::kAuthenticationFailed));
    return out;
  }
  out.AddIdR(own_->id);
  for (wire::CertPayload& cert : own_->certs) out.Add(std::move(cert));
  if (sa.shared().events->TakeInitialContact(&sa)) out.Add(NotifyPayload(NotifyType::kInitialContact));
  out.Add(own_->auth);
  if (child_error_.has_value()) {
    out.Add(*child_error_);
  } else if (!childless_) {
    out.Add(wire::SaPayload{{chosen_}});
    out.AddTsI(wire::TsPayload{ts_i_});
    out.AddTsR(wire::TsPayload{ts_r_});
  }
  AddBootId(sa, &out);
  return out;
}

void IkeAuthTask::Answered(IkeSa& sa, absl::Time now) {
  if (authenticated_) sa.shared().events->OnEstablished(&sa, now, initial_contact_);
}

void IkeAuthTask::Abandon(IkeSa& sa, absl::Time now) {
  if (spi_in_ != 0) sa.shared().children.ReleaseSpi(std::exchange(spi_in_, 0));
  if (authenticated_) sa.Close(now, /*tell=*/false, /*failed=*/true, "IKE_AUTH could not be answered");
}

}  // namespace espalier::ike
