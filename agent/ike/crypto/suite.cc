#include "agent/ike/crypto/suite.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/key_exchange.h"

namespace espalier::ike::crypto {
namespace {

absl::string_view PrfName(PrfId prf) {
  switch (prf) {
    case PrfId::kHmacSha256:
      return "PRF-HMAC-SHA2-256";
    case PrfId::kHmacSha384:
      return "PRF-HMAC-SHA2-384";
    case PrfId::kHmacSha512:
      return "PRF-HMAC-SHA2-512";
  }
  return "PRF?";
}

}  // namespace

wire::Transform EncrTransform(EspSuite suite) {
  wire::Transform t{.type = wire::TransformType::kEncr};
  switch (suite) {
    case EspSuite::kAesGcm128:
      t.id = wire::encr::kAesGcm16;
      t.key_bits = 128;
      break;
    case EspSuite::kAesGcm256:
      t.id = wire::encr::kAesGcm16;
      t.key_bits = 256;
      break;
    case EspSuite::kChaCha20Poly1305:
      t.id = wire::encr::kChaCha20Poly1305;
      break;
  }
  return t;
}

std::optional<EspSuite> EspSuiteOf(const wire::Transform& encr) {
  for (EspSuite s : {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305}) {
    if (encr == EncrTransform(s)) return s;
  }
  return std::nullopt;
}

std::optional<PrfId> PrfOf(uint16_t transform_id) {
  switch (transform_id) {
    case wire::prf::kHmacSha256:
    case wire::prf::kHmacSha384:
    case wire::prf::kHmacSha512:
      return static_cast<PrfId>(transform_id);
    default:
      return std::nullopt;
  }
}

std::optional<IkeSuite> SuiteOf(const wire::Proposal& chosen) {
  const wire::Transform* encr = chosen.Find(wire::TransformType::kEncr);
  const wire::Transform* prf = chosen.Find(wire::TransformType::kPrf);
  const wire::Transform* ke = chosen.Find(wire::TransformType::kKe);
  if (encr == nullptr || prf == nullptr || ke == nullptr) return std::nullopt;
  const std::optional<EspSuite> aead = EspSuiteOf(*encr);
  const std::optional<PrfId> prf_id = PrfOf(prf->id);
  if (!aead.has_value() || !prf_id.has_value() || !KeSupported(ke->id)) return std::nullopt;

  IkeSuite out{.aead = *aead, .prf = *prf_id, .ke = ke->id};
  std::vector<wire::Transform> additional;
  for (const wire::Transform& t : chosen.transforms) {
    if (wire::IsAddKe(t.type) && t.id != wire::ke::kNone) additional.push_back(t);
  }
  std::ranges::sort(additional, {}, &wire::Transform::type);  // RFC 9370 section 2.2.1: in the order of their types
  for (const wire::Transform& t : additional) {
    if (!KeSupported(t.id)) return std::nullopt;
    out.additional_ke.push_back(t.id);
  }
  return out;
}

std::string ToString(EspSuite suite) {
  switch (suite) {
    case EspSuite::kAesGcm128:
      return "AES-128-GCM";
    case EspSuite::kAesGcm256:
      return "AES-256-GCM";
    case EspSuite::kChaCha20Poly1305:
      return "CHACHA20-POLY1305";
  }
  return "?";
}

std::string KeMethodName(uint16_t method) {
  switch (method) {
    case wire::ke::kP256:
      return "P-256";
    case wire::ke::kP384:
      return "P-384";
    case wire::ke::kP521:
      return "P-521";
    case wire::ke::kX25519:
      return "X25519";
    case wire::ke::kMlKem768:
      return "ML-KEM-768";
    default:
      return absl::StrCat("KE-", method);
  }
}

std::string ToString(const IkeSuite& suite) {
  std::string out = absl::StrCat(ToString(suite.aead), "/", PrfName(suite.prf), "/", KeMethodName(suite.ke));
  for (uint16_t method : suite.additional_ke) absl::StrAppend(&out, "+", KeMethodName(method));
  return out;
}

size_t AeadKeySize(EspSuite suite) { return suite == EspSuite::kAesGcm128 ? 16 + 4 : 32 + 4; }

}  // namespace espalier::ike::crypto
