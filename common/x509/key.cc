#include "common/x509/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"

namespace espalier::x509 {
namespace {

// The curve's name as OpenSSL has it ("prime256v1"); empty for other keys.
std::string CurveName(EVP_PKEY* key) {
  char name[64] = "";
  size_t length = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name), &length) != 1) return "";
  return std::string(name, length);
}

bool IsP256(EVP_PKEY* key) { return EVP_PKEY_is_a(key, "EC") == 1 && CurveName(key) == "prime256v1"; }

// An encrypted PEM must not make OpenSSL ask a terminal for its password.
int NoPassword(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<PrivateKey> PrivateKey::Generate() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) return OpenSslError("generating an ECDSA key");
  return PrivateKey(key);
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(absl::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return OpenSslError("reading a key");
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no private key in PEM (", OpenSslError("PEM").message(), ")"));
  }
  if (!IsP256(key.get())) return absl::InvalidArgumentError("the private key is not an ECDSA key on P-256");
  return PrivateKey(key.release());
}

absl::StatusOr<std::string> PrivateKey::ToPem() const {
  BioPtr bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslError("writing a key");
  }
  return BioText(bio.get());
}

absl::StatusOr<Bytes> PrivateKey::Sign(ByteSpan data) const {
  MdContextPtr context(EVP_MD_CTX_new());
  size_t length = 0;
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &length, data.data(), data.size()) != 1) {
    return OpenSslError("preparing a signature");
  }
  Bytes out(length);
  if (EVP_DigestSign(context.get(), out.data(), &length, data.data(), data.size()) != 1) return OpenSslError("signing");
  out.resize(length);
  return out;
}

Bytes PrivateKey::PublicSpkiDer() const {
  Bytes out;
  int length = i2d_PUBKEY(key_.get(), nullptr);
  if (length <= 0) return out;
  out.resize(static_cast<size_t>(length));
  uint8_t* at = out.data();
  i2d_PUBKEY(key_.get(), &at);
  return out;
}

absl::Status CheckPublicKey(EVP_PKEY* key) {
  if (key == nullptr) return absl::InvalidArgumentError("the public key cannot be read");
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return absl::OkStatus();
  if (EVP_PKEY_is_a(key, "EC") == 1) {
    std::string curve = CurveName(key);
    if (curve == "prime256v1" || curve == "secp384r1" || curve == "secp521r1") return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the public key is on the curve ", curve.empty() ? "(explicit parameters)" : curve));
  }
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    int bits = EVP_PKEY_get_bits(key);
    if (bits < 2048 || bits > 8192) return absl::InvalidArgumentError(absl::StrCat("the RSA key has ", bits, " bits"));
    BIGNUM* e = nullptr;
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) && BN_num_bits(e) >= 17;
    BN_free(e);
    return ok ? absl::OkStatus() : absl::InvalidArgumentError("the RSA key's exponent is below 65537");
  }
  const char* name = EVP_PKEY_get0_type_name(key);
  return absl::InvalidArgumentError(absl::StrCat("the public key is of type ", name == nullptr ? "unknown" : name));
}

}  // namespace espalier::x509
