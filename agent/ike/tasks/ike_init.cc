#include "agent/ike/tasks/ike_init.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/key_material.h"
#include "agent/ike/crypto/nat_detection.h"
#include "agent/ike/crypto/signature.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/sa/proposals.h"
#include "agent/ike/wire/proposal_rules.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

namespace {
constexpr int kMostCookies = 5;     // a few times only (IKE-021)
constexpr size_t kMostMethods = 3;  // IKE-020

void AddNatDetection(uint64_t spi_i, uint64_t spi_r, const Endpoint& local, const Endpoint& remote, Payloads* out) {
  out->Add(NotifyPayload(NotifyType::kNatDetectionSourceIp, crypto::NatDetectionHash(spi_i, spi_r, local)));
  out->Add(NotifyPayload(NotifyType::kNatDetectionDestinationIp, crypto::NatDetectionHash(spi_i, spi_r, remote)));
}

// RFC 7296 section 2.23: no source that fits the sender's address: the peer is behind a NAT; a destination that does
// not fit ours: we are.
void ReadFeatures(IkeSa& sa, uint64_t spi_i, uint64_t spi_r, const Payloads& in) {
  InitRecord& init = sa.init();
  init.fragmentation = in.has(NotifyType::kFragmentationSupported);
  init.intermediate = in.has(NotifyType::kIntermediateExchangeSupported);
  init.childless = in.has(NotifyType::kChildlessIkev2Supported);
  const NotifyPayload* hashes = in.notify(NotifyType::kSignatureHashAlgorithms);
  init.hashes_announced = hashes != nullptr;
  init.peer_signs_sha256 =
      hashes != nullptr && std::ranges::count(hashes->hash_algorithms(), wire::HashAlgorithm::kSha256) > 0;
  auto none_fits = [&in](NotifyType type, const Bytes& hash) {
    std::vector<const NotifyPayload*> all = in.notifies(type);
    return !all.empty() && std::ranges::none_of(all, [&](const NotifyPayload* n) { return n->data == hash; });
  };
  init.nat_remote = none_fits(NotifyType::kNatDetectionSourceIp, crypto::NatDetectionHash(spi_i, spi_r, sa.remote()));
  init.nat_local =
      none_fits(NotifyType::kNatDetectionDestinationIp, crypto::NatDetectionHash(spi_i, spi_r, sa.local()));
}

}  // namespace

absl::StatusOr<Payloads> IkeInitTask::BuildRequest(IkeSa& sa, absl::Time /*now*/) {
  const Config& config = sa.config();
  const Peer* peer = sa.peer();
  if (peer == nullptr) return absl::NotFoundError("not in the view");
  if (config.key_exchanges.empty()) return absl::FailedPreconditionError("no key exchange method configured");
  PostQuantum pq = !config.post_quantum ? PostQuantum::kNever
                   : peer->mlkem        ? PostQuantum::kRequire
                                        : PostQuantum::kPrefer;
  offer_ = IkeOffer(config, pq, 0);
  nonce_ = sa.shared().RandomBytes(wire::kNonceSent);
  uint16_t method = config.key_exchanges.front();
  absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke = crypto::KeyExchange::Create(method, sa.shared().random);
  if (!ke.ok()) return ke.status();
  ke_ = *std::move(ke);
  tried_ = {method};
  return Request(sa);
}

Payloads IkeInitTask::Request(IkeSa& sa) const {
  Payloads out;
  // RFC 7296 section 2.6: the cookie comes first, all else stays as it was.
  if (!cookie_.empty()) out.Add(NotifyPayload(NotifyType::kCookie, cookie_));
  out.Add(offer_);
  ByteSpan value = ke_->public_value();
  out.Add(wire::KePayload{ke_->method(), Bytes(value.begin(), value.end())});
  out.Add(wire::NoncePayload{nonce_});
  AddNatDetection(sa.spi_i(), 0, sa.local(), sa.remote(), &out);
  out.Add(NotifyPayload(NotifyType::kFragmentationSupported));
  out.Add(NotifyPayload::HashAlgorithms(crypto::SupportedHashes()));
  out.Add(NotifyPayload(NotifyType::kIntermediateExchangeSupported));
  return out;
}

IkeInitTask::Result IkeInitTask::Accept(IkeSa& sa, absl::Time now, ByteSpan raw, const wire::Message& message) {
  const Payloads& in = message.payloads;
  if (in.sa() == nullptr) {
    if (const NotifyPayload* cookie = in.notify(NotifyType::kCookie); cookie != nullptr) {
      if (cookie->data.empty() || cookie->data.size() > 64 || ++cookies_ > kMostCookies) return Result::kIgnored;
      cookie_ = cookie->data;
      sa.ReplaceInitRequest(now, Request(sa));
      return Result::kRetried;
    }
    const NotifyPayload* error = in.first_error();
    if (error == nullptr) return Result::kIgnored;
    if (error->type == NotifyType::kInvalidKePayload) {
      // A hint of anybody; taken only for what we offer and have not tried (IKE-020). The offer stays whole.
      std::optional<uint16_t> method = error->u16();
      const std::vector<uint16_t>& offered = sa.config().key_exchanges;
      if (!method.has_value() || std::ranges::count(offered, *method) == 0 || tried_.size() > kMostMethods ||
          !tried_.insert(*method).second) {
        return Result::kIgnored;
      }
      absl::StatusOr<std::unique_ptr<crypto::KeyExchange>> ke =
          crypto::KeyExchange::Create(*method, sa.shared().random);
      if (!ke.ok()) return Result::kIgnored;
      ke_ = *std::move(ke);
      sa.ReplaceInitRequest(now, Request(sa));
      return Result::kRetried;
    }
    refusal_ = absl::StrCat("the peer answered ", wire::ToString(error->type));
    return Result::kIgnored;
  }
  uint64_t spi_r = message.header.spi_r;
  if (spi_r == 0 || in.ke() == nullptr || in.nonce() == nullptr || in.sa()->proposals.size() != 1) {
    return Result::kIgnored;
  }
  const wire::Proposal& chosen = in.sa()->proposals.front();
  std::vector<uint16_t> additional = AdditionalMethodsOf(chosen);
  // IKE-025; RFC 9370 section 2.2.1.
  if (!wire::IsChoiceOf(chosen, offer_) || !wire::AdditionalKeyExchangesDiffer(chosen) ||
      !crypto::SuiteOf(chosen).has_value() || KeMethodOf(chosen) != ke_->method() || in.ke()->method != ke_->method() ||
      (!additional.empty() && !in.has(NotifyType::kIntermediateExchangeSupported))) {
    refusal_ = "the peer chose what was not offered";
    return Result::kIgnored;
  }
  absl::StatusOr<Secret> shared = ke_->Finish(in.ke()->data);
  if (!shared.ok()) return Result::kIgnored;  // IKE-026

  sa.set_spi_r(spi_r);
  InitRecord& init = sa.init();
  init.response.assign(raw.begin(), raw.end());
  init.ni = nonce_;
  init.nr = in.nonce()->data;
  init.additional = std::move(additional);
  ReadFeatures(sa, sa.spi_i(), spi_r, in);
  crypto::IkeSuite suite = *crypto::SuiteOf(chosen);
  Secret skeyseed = crypto::InitialSkeyseed(suite.prf, init.ni, init.nr, *shared);
  sa.UseKeys(chosen, crypto::DeriveIkeKeys(suite.prf, suite.aead, skeyseed, init.ni, init.nr, sa.spi_i(), spi_r));
  sa.BecomeHalfOpen(now);
  return Result::kAccepted;
}

Verdict IkeInitTask::ProcessRequest(IkeSa& sa, absl::Time /*now*/, const Payloads& in) {
  Shared& shared = sa.shared();
  const Config& config = sa.config();
  peer_intermediate_ = in.has(NotifyType::kIntermediateExchangeSupported);
  peer_fragmentation_ = in.has(NotifyType::kFragmentationSupported);
  peer_hashes_ = in.has(NotifyType::kSignatureHashAlgorithms);
  if (!wire::NumbersRunFromOne(*in.sa())) return Verdict::kDrop;
  wire::ProposalContext context;
  context.addke_allowed = peer_intermediate_;
  // Who it is nobody knows yet: what the view says of its ML-KEM is demanded in IKE_AUTH (IKE-084).
  std::optional<wire::Proposal> chosen = ChooseIke(
      *in.sa(), config, config.post_quantum ? PostQuantum::kPrefer : PostQuantum::kNever, context, in.ke()->method);
  if (!chosen.has_value()) {
    shared.counters.Add(Counter::kNoProposal);
    error_ = NotifyPayload(NotifyType::kNoProposalChosen);
    return Verdict::kClose;
  }
  chosen_ = *std::move(chosen);
  uint16_t method = KeMethodOf(chosen_);
  if (method != in.ke()->method) {
    shared.counters.Add(Counter::kInvalidKe);
    error_ = NotifyPayload::WithU16(NotifyType::kInvalidKePayload, method);
    return Verdict::kClose;
  }
  absl::StatusOr<crypto::KeResponse> ke = crypto::KeRespond(method, in.ke()->data, shared.random);
  if (!ke.ok()) {
    shared.counters.Add(Counter::kMalformed);
    return Verdict::kDrop;  // IKE-026
  }
  ke_answer_ = std::move(ke->public_value);
  InitRecord& init = sa.init();
  init.ni = in.nonce()->data;
  init.nr = shared.RandomBytes(wire::kNonceSent);
  init.additional = AdditionalMethodsOf(chosen_);
  ReadFeatures(sa, sa.spi_i(), 0, in);
  init.childless = true;
  crypto::IkeSuite suite = *crypto::SuiteOf(chosen_);
  Secret skeyseed = crypto::InitialSkeyseed(suite.prf, init.ni, init.nr, ke->secret);
  sa.UseKeys(chosen_, crypto::DeriveIkeKeys(suite.prf, suite.aead, skeyseed, init.ni, init.nr, sa.spi_i(), sa.spi_r()));
  return Verdict::kDone;
}

Payloads IkeInitTask::BuildResponse(IkeSa& sa, absl::Time /*now*/) {
  Payloads out;
  if (error_.has_value()) {
    out.Add(*error_);
    return out;
  }
  out.Add(wire::SaPayload{{chosen_}});
  out.Add(wire::KePayload{KeMethodOf(chosen_), ke_answer_});
  out.Add(wire::NoncePayload{sa.init().nr});
  AddNatDetection(sa.spi_i(), sa.spi_r(), sa.local(), sa.remote(), &out);
  if (peer_fragmentation_) out.Add(NotifyPayload(NotifyType::kFragmentationSupported));
  if (peer_hashes_) out.Add(NotifyPayload::HashAlgorithms(crypto::SupportedHashes()));
  if (peer_intermediate_) out.Add(NotifyPayload(NotifyType::kIntermediateExchangeSupported));
  out.Add(NotifyPayload(NotifyType::kChildlessIkev2Supported));
  out.Add(wire::CertReqPayload{wire::CertEncoding::kX509Signature, sa.shared().host->TrustAnchorHashes()});
  return out;
}

}  // namespace espalier::ike
