#include "agent/ike/wire/proposal_rules.h"

#include <algorithm>
#include <set>

namespace espalier::ike::wire {
namespace {

// Combined-mode ciphers in the registry (RFC 5282, RFC 7634, RFC 8750, Camellia and AES CCM, AES-GMAC).
bool IsAead(uint16_t encr) {
  return (encr >= 14 && encr <= 16) || (encr >= 18 && encr <= 21) || (encr >= 25 && encr <= 31);
}

// AES and Camellia in every mode: Key Length must be there (RFC 7296 section 3.3.5).
bool NeedsKeyLength(uint16_t encr) { return encr == 12 || encr == 13 || (encr >= 14 && encr <= 30 && encr != 28); }

bool EncrUsable(const Transform& t) {
  if (NeedsKeyLength(t.id)) return t.key_bits == 128 || t.key_bits == 192 || t.key_bits == 256;
  return !t.key_bits.has_value() || !IsAead(t.id);  // ChaCha20-Poly1305 (28, 31) has one size only
}

bool TypeBelongs(TransformType type, const ProposalContext& c) {
  switch (type) {
    case TransformType::kEncr:
      return c.protocol != ProtocolId::kAh;
    case TransformType::kPrf:
      return c.protocol == ProtocolId::kIke;
    case TransformType::kInteg:
    case TransformType::kKe:
      return true;
    case TransformType::kSequenceNumbers:
      return c.protocol != ProtocolId::kIke;
    default:
      return IsAddKe(type) && c.addke_allowed;
  }
}

bool TransformUsable(const Transform& t, const ProposalContext& c) {
  if (t.unusable) return false;
  if (t.type == TransformType::kEncr) return EncrUsable(t);
  if (t.key_bits.has_value()) return false;
  if (t.type == TransformType::kPrf) return t.id != 0;
  if (t.type == TransformType::kKe && c.protocol == ProtocolId::kIke) return t.id != ke::kNone;
  return true;
}

bool SpiFits(const Proposal& p, const ProposalContext& c) {
  if (c.protocol != ProtocolId::kIke) return p.spi.size() == 4 && p.spi32() >= 256;  // RFC 4303 section 2.1
  return c.rekey_ike ? p.spi64() != 0 : p.spi.empty();
}

bool Has(const Proposal& p, TransformType type) { return p.Find(type) != nullptr; }

// AEAD goes with no INTEG or with NONE, a classic cipher never without INTEG (RFC 7296 section 3.3, RFC 5282 section 8,
// RFC 8221 section 4). `offered_aead`, `offered_integ`: also where the transform itself was unusable.
bool SettleIntegrity(bool offered_aead, bool offered_integ, const ProposalContext& c, Proposal* p) {
  if (c.protocol != ProtocolId::kAh && offered_aead) {
    if (offered_integ) return false;
    std::erase_if(p->transforms, [](const Transform& t) {
      return t.type == TransformType::kEncr && (t.id == encr::kAesCbc || t.id == encr::kAesCtr);
    });
    return Has(*p, TransformType::kEncr);
  }
  std::erase_if(p->transforms,
                [](const Transform& t) { return t.type == TransformType::kInteg && t.id == integ::kNone; });
  return Has(*p, TransformType::kInteg);
}

}  // namespace

std::optional<Proposal> UsableProposal(const Proposal& offered, const ProposalContext& context) {
  if (offered.protocol != context.protocol || !SpiFits(offered, context)) return std::nullopt;
  Proposal out = offered;
  out.transforms.clear();
  bool aead = false, integ = false;
  for (const Transform& t : offered.transforms) {
    if (!TypeBelongs(t.type, context)) return std::nullopt;  // RFC 7296 section 3.3.6
    aead |= t.type == TransformType::kEncr && IsAead(t.id);
    integ |= t.type == TransformType::kInteg && t.id != integ::kNone;
    if (TransformUsable(t, context)) out.transforms.push_back(t);
  }
  for (const Transform& t : offered.transforms) {
    if (!Has(out, t.type)) return std::nullopt;
  }
  // RFC 7296 section 3.3.3.
  const bool ike = context.protocol == ProtocolId::kIke;
  if (ike && (!Has(out, TransformType::kPrf) || !Has(out, TransformType::kKe))) return std::nullopt;
  if (!ike && !Has(out, TransformType::kSequenceNumbers)) return std::nullopt;
  if (context.protocol != ProtocolId::kAh && !Has(out, TransformType::kEncr)) return std::nullopt;
  if (!SettleIntegrity(aead, integ, context, &out)) return std::nullopt;
  return out;
}

bool AdditionalKeyExchangesDiffer(const Proposal& chosen) {
  std::set<uint16_t> seen;
  for (const Transform& t : chosen.transforms) {
    if (IsAddKe(t.type) && t.id != ke::kNone && !seen.insert(t.id).second) return false;
  }
  return true;
}

bool IsChoiceOf(const Proposal& answer, const SaPayload& offer) {
  const auto from = std::ranges::find(offer.proposals, answer.number, &Proposal::number);
  if (from == offer.proposals.end() || from->protocol != answer.protocol) return false;
  std::set<TransformType> answered;
  for (const Transform& t : answer.transforms) {
    if (t.unusable || !answered.insert(t.type).second) return false;
    if (std::ranges::find(from->transforms, t) == from->transforms.end()) return false;
  }
  // What was offered and not answered must have been offered as optional.
  return std::ranges::all_of(from->transforms, [&](const Transform& offered) {
    if (answered.contains(offered.type)) return true;
    return std::ranges::any_of(from->transforms, [&](const Transform& other) {
      return other.type == offered.type && other.id == 0 && offered.type != TransformType::kSequenceNumbers;
    });
  });
}

bool NumbersRunFromOne(const SaPayload& offer) {
  for (size_t i = 0; i < offer.proposals.size(); ++i) {
    if (offer.proposals[i].number != i + 1) return false;
  }
  return true;
}

}  // namespace espalier::ike::wire
