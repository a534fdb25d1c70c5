#include "agent/ike/sa/proposals.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/suite.h"

namespace espalier::ike {

using wire::Proposal;
using wire::ProposalContext;
using wire::ProtocolId;
using wire::SaPayload;
using wire::Transform;
using wire::TransformType;

namespace {

constexpr std::array kPrfs = {wire::prf::kHmacSha512, wire::prf::kHmacSha384, wire::prf::kHmacSha256};

void AddKeys(const Config& config, bool pq, Proposal* p) {
  for (uint16_t method : config.key_exchanges) p->transforms.push_back({TransformType::kKe, method});
  if (pq) p->transforms.push_back({TransformType::kAddKe1, wire::ke::kMlKem768});
}

// Proposals with and without ML-KEM, numbered from 1 (RFC 9370 section 2.2.1: mixed policy is two proposals).
template <typename Make>
SaPayload Offer(PostQuantum pq, Make make) {
  SaPayload out;
  if (pq != PostQuantum::kNever) out.proposals.push_back(make(true));
  if (pq != PostQuantum::kRequire) out.proposals.push_back(make(false));
  for (size_t i = 0; i < out.proposals.size(); ++i) out.proposals[i].number = static_cast<uint8_t>(i + 1);
  return out;
}

bool Offers(const Proposal& p, const Transform& wanted) { return std::ranges::count(p.transforms, wanted) > 0; }

bool Offers(const Proposal& p, TransformType type) { return p.Find(type) != nullptr; }

// Takes the first of `preferences` that is offered.
template <typename List, typename ToTransform>
bool Choose(const Proposal& offered, const List& preferences, ToTransform to_transform, Proposal* out) {
  for (const auto& preference : preferences) {
    Transform t = to_transform(preference);
    if (!Offers(offered, t)) continue;
    out->transforms.push_back(t);
    return true;
  }
  return false;
}

bool ChooseKe(const Proposal& offered, const Config& config, uint16_t ke_sent, Proposal* out) {
  std::vector<uint16_t> order = config.key_exchanges;
  auto sent = std::ranges::find(order, ke_sent);
  if (sent != order.end()) std::rotate(order.begin(), sent, sent + 1);
  return Choose(offered, order, [](uint16_t m) { return Transform{TransformType::kKe, m}; }, out);
}

// One answer for each ADDKE type offered, ML-KEM-768 exactly once if it can be had, NONE elsewhere. A type that offers
// no NONE has the first claim on ML-KEM; two such types cannot both be served.
bool ChooseAdditional(const Proposal& offered, PostQuantum pq, Proposal* out) {
  std::optional<TransformType> with_mlkem;
  bool forced = false;
  for (int t = static_cast<int>(TransformType::kAddKe1); t <= static_cast<int>(TransformType::kAddKe7); ++t) {
    auto type = static_cast<TransformType>(t);
    if (!Offers(offered, type)) continue;
    bool can = pq != PostQuantum::kNever && Offers(offered, {type, wire::ke::kMlKem768});
    bool none = Offers(offered, {type, wire::ke::kNone});
    if (!none) {
      if (!can || forced) return false;
      forced = true;
      with_mlkem = type;
    } else if (can && !with_mlkem.has_value()) {
      with_mlkem = type;
    }
  }
  for (int t = static_cast<int>(TransformType::kAddKe1); t <= static_cast<int>(TransformType::kAddKe7); ++t) {
    auto type = static_cast<TransformType>(t);
    if (!Offers(offered, type)) continue;
    out->transforms.push_back({type, with_mlkem == type ? wire::ke::kMlKem768 : wire::ke::kNone});
  }
  return pq != PostQuantum::kRequire || with_mlkem.has_value();
}

// The first proposal that yields an answer; with kPrefer one with ML-KEM goes before one without.
template <typename Try>
std::optional<Proposal> ChooseFrom(const SaPayload& offer, const ProposalContext& context, Try attempt) {
  std::optional<Proposal> found;
  for (const Proposal& p : offer.proposals) {
    std::optional<Proposal> usable = wire::UsableProposal(p, context);
    if (!usable.has_value()) continue;
    Proposal answer;
    answer.number = p.number;
    answer.protocol = p.protocol;
    if (!attempt(*usable, &answer)) continue;
    if (HasMlKem(answer)) return answer;
    if (!found.has_value()) found = std::move(answer);
  }
  return found;
}

}  // namespace

SaPayload IkeOffer(const Config& config, PostQuantum pq, uint64_t spi) {
  return Offer(pq, [&](bool with_mlkem) {
    Proposal p;
    p.protocol = ProtocolId::kIke;
    if (spi != 0) p.set_spi64(spi);
    for (EspSuite suite : config.ike) p.transforms.push_back(crypto::EncrTransform(suite));
    for (uint16_t prf : kPrfs) p.transforms.push_back({TransformType::kPrf, prf});
    AddKeys(config, with_mlkem, &p);
    return p;
  });
}

SaPayload EspOffer(const Config& config, PostQuantum pq, uint32_t spi, bool with_ke) {
  return Offer(with_ke ? pq : PostQuantum::kNever, [&](bool with_mlkem) {
    Proposal p;
    p.protocol = ProtocolId::kEsp;
    p.set_spi32(spi);
    for (EspSuite suite : config.esp) p.transforms.push_back(crypto::EncrTransform(suite));
    if (with_ke) AddKeys(config, with_mlkem, &p);
    p.transforms.push_back({TransformType::kSequenceNumbers, wire::sequence_numbers::kEsn});
    p.transforms.push_back({TransformType::kSequenceNumbers, wire::sequence_numbers::kNoEsn});
    return p;
  });
}

std::optional<Proposal> ChooseIke(const SaPayload& offer, const Config& config, PostQuantum pq,
                                  const ProposalContext& context, uint16_t ke_sent) {
  return ChooseFrom(offer, context, [&](const Proposal& offered, Proposal* out) {
    return Choose(offered, config.ike, crypto::EncrTransform, out) &&
           Choose(
               offered, kPrfs, [](uint16_t id) { return Transform{TransformType::kPrf, id}; }, out) &&
           ChooseKe(offered, config, ke_sent, out) && ChooseAdditional(offered, pq, out);
  });
}

std::optional<Proposal> ChooseEsp(const SaPayload& offer, const Config& config, PostQuantum pq, bool with_ke,
                                  uint16_t ke_sent) {
  ProposalContext context;
  context.protocol = ProtocolId::kEsp;
  return ChooseFrom(offer, context, [&](const Proposal& offered, Proposal* out) {
    if (!Choose(offered, config.esp, crypto::EncrTransform, out)) return false;
    if (with_ke) {
      if (Offers(offered, TransformType::kKe)) {
        if (!ChooseKe(offered, config, ke_sent, out)) {
          // A peer that wants no key exchange of its own here; not when ML-KEM is demanded.
          if (!Offers(offered, {TransformType::kKe, wire::ke::kNone})) return false;
          out->transforms.push_back({TransformType::kKe, wire::ke::kNone});
        }
      }
      if (!ChooseAdditional(offered, pq, out)) return false;
      if (KeMethodOf(*out) == wire::ke::kNone && !AdditionalMethodsOf(*out).empty()) return false;
    }
    constexpr std::array kNumbers = {wire::sequence_numbers::kEsn, wire::sequence_numbers::kNoEsn};
    return Choose(offered, kNumbers, [](uint16_t id) { return Transform{TransformType::kSequenceNumbers, id}; }, out);
  });
}

std::optional<EspSuite> EspSuiteOf(const Proposal& chosen) {
  const Transform* t = chosen.Find(TransformType::kEncr);
  return t == nullptr ? std::nullopt : crypto::EspSuiteOf(*t);
}

uint16_t KeMethodOf(const Proposal& chosen) {
  const Transform* t = chosen.Find(TransformType::kKe);
  return t == nullptr ? wire::ke::kNone : t->id;
}

std::vector<uint16_t> AdditionalMethodsOf(const Proposal& chosen) {
  std::vector<uint16_t> out;
  for (int t = static_cast<int>(TransformType::kAddKe1); t <= static_cast<int>(TransformType::kAddKe7); ++t) {
    const Transform* found = chosen.Find(static_cast<TransformType>(t));
    if (found != nullptr && found->id != wire::ke::kNone) out.push_back(found->id);
  }
  return out;
}

bool EsnOf(const Proposal& chosen) {
  const Transform* t = chosen.Find(TransformType::kSequenceNumbers);
  return t != nullptr && t->id == wire::sequence_numbers::kEsn;
}

bool HasMlKem(const Proposal& chosen) {
  return std::ranges::count(AdditionalMethodsOf(chosen), wire::ke::kMlKem768) > 0;
}

std::string DescribeKe(const Proposal& chosen) {
  uint16_t method = KeMethodOf(chosen);
  if (method == wire::ke::kNone) return "";
  std::string out = crypto::KeMethodName(method);
  for (uint16_t m : AdditionalMethodsOf(chosen)) absl::StrAppend(&out, "+", crypto::KeMethodName(m));
  return out;
}

}  // namespace espalier::ike
