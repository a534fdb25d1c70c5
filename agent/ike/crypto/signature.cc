#include "agent/ike/crypto/signature.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "absl/strings/string_view.h"
#include "agent/ike/crypto/ke_methods.h"

namespace espalier::ike::crypto {
namespace {

using wire::HashAlgorithm;

enum class Scheme { kEcdsa, kEd25519, kRsaPss };

struct Algorithm {
  Scheme scheme;
  HashAlgorithm hash;
  absl::string_view identifier;  // DER, whole
};

// RFC 7427 appendix A.3.2 to A.3.4.
constexpr char kEcdsa256[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
constexpr char kEcdsa384[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";
constexpr char kEcdsa512[] = "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04";
// RFC 8420 appendix A.
constexpr char kEd25519[] = "\x30\x05\x06\x03\x2b\x65\x70";
// RFC 7427 appendix A.4.3, and its like for the longer hashes: hash = MGF1's hash, salt as long as the hash, trailer 1.
constexpr char kPss256[] =
    "\x30\x46\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04"
    "\x02\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65"
    "\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20\xa3\x03\x02\x01\x01";
constexpr char kPss384[] =
    "\x30\x46\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04"
    "\x02\x02\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65"
    "\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01\x30\xa3\x03\x02\x01\x01";
constexpr char kPss512[] =
    "\x30\x46\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04"
    "\x02\x03\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65"
    "\x03\x04\x02\x03\x05\x00\xa2\x03\x02\x01\x40\xa3\x03\x02\x01\x01";

template <size_t N>
constexpr absl::string_view Der(const char (&text)[N]) {
  return absl::string_view(text, N - 1);  // octets of zero inside
}

constexpr Algorithm kAlgorithms[] = {
    {Scheme::kEcdsa, HashAlgorithm::kSha256, Der(kEcdsa256)},
    {Scheme::kEcdsa, HashAlgorithm::kSha384, Der(kEcdsa384)},
    {Scheme::kEcdsa, HashAlgorithm::kSha512, Der(kEcdsa512)},
    {Scheme::kEd25519, HashAlgorithm::kIdentity, Der(kEd25519)},
    {Scheme::kRsaPss, HashAlgorithm::kSha256, Der(kPss256)},
    {Scheme::kRsaPss, HashAlgorithm::kSha384, Der(kPss384)},
    {Scheme::kRsaPss, HashAlgorithm::kSha512, Der(kPss512)},
};

constexpr int kRsaMinBits = 2048;  // RFC 8247 section 3.1.1
constexpr int kRsaMaxBits = 8192;  // ours: the time of one check stays bounded

const EVP_MD* DigestOf(HashAlgorithm hash) {
  switch (hash) {
    case HashAlgorithm::kSha256:
      return EVP_sha256();
    case HashAlgorithm::kSha384:
      return EVP_sha384();
    case HashAlgorithm::kSha512:
      return EVP_sha512();
    default:
      return nullptr;  // Ed25519 hashes by itself
  }
}

absl::Status Refuse(absl::string_view why) {
  ERR_clear_error();
  return absl::PermissionDeniedError(why);
}

bool CurveAllowed(const EVP_PKEY* key) {
  char name[32];
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), &size) != 1) return false;
  const absl::string_view curve(name, size);
  return curve == "prime256v1" || curve == "secp384r1" || curve == "secp521r1";
}

// IKE-033: e at least 65537.
bool RsaStrong(const EVP_PKEY* key) {
  if (EVP_PKEY_get_bits(key) < kRsaMinBits || EVP_PKEY_get_bits(key) > kRsaMaxBits) return false;
  BIGNUM* e = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1) return false;
  const bool strong = BN_num_bits(e) >= 17 && BN_num_bits(e) <= 64;
  BN_free(e);
  return strong;
}

absl::Status CheckKey(const EVP_PKEY* key, Scheme scheme) {
  switch (scheme) {
    case Scheme::kEcdsa:
      if (EVP_PKEY_is_a(key, "EC") != 1) return Refuse("signature algorithm is not the key's");
      return CurveAllowed(key) ? absl::OkStatus() : Refuse("curve");
    case Scheme::kEd25519:
      return EVP_PKEY_is_a(key, "ED25519") == 1 ? absl::OkStatus() : Refuse("signature algorithm is not the key's");
    case Scheme::kRsaPss:
      if (EVP_PKEY_is_a(key, "RSA") != 1) return Refuse("signature algorithm is not the key's");
      return RsaStrong(key) ? absl::OkStatus() : Refuse("RSA key size or exponent");
  }
  return Refuse("scheme");
}

bool SetPss(EVP_PKEY_CTX* ctx, const EVP_MD* digest) {
  return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

}  // namespace

const std::vector<HashAlgorithm>& SupportedHashes() {
  static const auto* const hashes = new std::vector<HashAlgorithm>{HashAlgorithm::kSha256, HashAlgorithm::kSha384,
                                                                   HashAlgorithm::kSha512, HashAlgorithm::kIdentity};
  return *hashes;
}

absl::Status VerifyDigitalSignature(ByteSpan auth_data, ByteSpan signed_octets, ByteSpan public_key_spki,
                                    const std::vector<HashAlgorithm>& announced) {
  // RFC 7427 section 3: length octet, AlgorithmIdentifier, signature.
  Reader r(auth_data);
  uint8_t length = 0;
  ByteSpan identifier;
  r.U8(&length);
  r.Take(length, &identifier);
  const ByteSpan signature = r.Rest();
  if (!r.ok() || signature.empty()) return Refuse("AUTH data too short");
  const absl::string_view name(reinterpret_cast<const char*>(identifier.data()), identifier.size());
  const Algorithm* algorithm = std::ranges::find(kAlgorithms, name, &Algorithm::identifier);
  if (algorithm == std::end(kAlgorithms)) return Refuse("signature algorithm not allowed");
  if (std::ranges::find(announced, algorithm->hash) == announced.end()) return Refuse("hash not announced");

  const unsigned char* at = public_key_spki.data();
  const Pkey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(public_key_spki.size())));
  if (key == nullptr || at != public_key_spki.data() + public_key_spki.size()) return Refuse("public key");
  if (absl::Status status = CheckKey(key.get(), algorithm->scheme); !status.ok()) return status;

  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> ctx(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* pctx = nullptr;  // owned by ctx
  const EVP_MD* const digest = DigestOf(algorithm->hash);
  if (ctx == nullptr || EVP_DigestVerifyInit(ctx.get(), &pctx, digest, nullptr, key.get()) != 1 ||
      (algorithm->scheme == Scheme::kRsaPss && !SetPss(pctx, digest))) {
    return Refuse("signature set-up");
  }
  if (EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), signed_octets.data(), signed_octets.size()) !=
      1) {
    return Refuse("signature does not hold");
  }
  return absl::OkStatus();
}

Bytes EcdsaSha256AuthData(ByteSpan der_signature) {
  constexpr absl::string_view kIdentifier = Der(kEcdsa256);
  Bytes out;
  Writer w(&out);
  w.U8(static_cast<uint8_t>(kIdentifier.size()));
  for (const char c : kIdentifier) w.U8(static_cast<uint8_t>(c));
  w.Raw(der_signature);
  return out;
}

}  // namespace espalier::ike::crypto
