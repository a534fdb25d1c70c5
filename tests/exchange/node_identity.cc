#include "tests/exchange/node_identity.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace espalier::ike {
namespace {

std::shared_ptr<EVP_PKEY> NewKey() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

EVP_PKEY* Authority(bool foreign) {
  static std::shared_ptr<EVP_PKEY> trusted = NewKey(), other = NewKey();
  return foreign ? other.get() : trusted.get();
}

}  // namespace

std::string SpiffeIdOf(PeerId node) { return absl::StrCat("spiffe://test/node/", node); }

NodeIdentity NodeIdentity::Make(PeerId node, bool foreign) {
  static std::map<std::pair<PeerId, bool>, NodeIdentity> made;
  NodeIdentity& out = made[{node, foreign}];
  if (out.key != nullptr) return out;
  out.node = node;
  out.spiffe_id = SpiffeIdOf(node);
  out.key = NewKey();
  out.serial = absl::StrCat(node);
  std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), X509_free);
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), node);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86400);
  X509_set_pubkey(cert.get(), out.key.get());
  std::string san = absl::StrCat("URI:", out.spiffe_id);
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, cert.get(), cert.get(), nullptr, nullptr, 0);
  X509_EXTENSION* ext = X509V3_EXT_conf_nid(nullptr, &ctx, NID_subject_alt_name, san.c_str());
  X509_add_ext(cert.get(), ext, -1);
  X509_EXTENSION_free(ext);
  X509_sign(cert.get(), Authority(foreign), EVP_sha256());
  uint8_t* der = nullptr;
  int size = i2d_X509(cert.get(), &der);
  out.certificate.assign(der, der + size);
  OPENSSL_free(der);
  uint8_t* spki = nullptr;
  size = i2d_PUBKEY(out.key.get(), &spki);
  out.spki.assign(spki, spki + size);
  OPENSSL_free(spki);
  return out;
}

absl::StatusOr<Proof> CheckCertificate(ByteSpan der, ByteSpan claimed_key_id) {
  const uint8_t* p = der.data();
  std::unique_ptr<X509, decltype(&X509_free)> cert(d2i_X509(nullptr, &p, static_cast<long>(der.size())), X509_free);
  if (cert == nullptr) return absl::PermissionDeniedError("not a certificate");
  if (X509_verify(cert.get(), Authority(false)) != 1) return absl::PermissionDeniedError("unknown authority");
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert.get(), NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  std::string uri;
  if (names != nullptr && sk_GENERAL_NAME_num(names.get()) == 1) {
    GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
    if (name->type == GEN_URI) {
      uri.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
                 static_cast<size_t>(ASN1_STRING_length(name->d.uniformResourceIdentifier)));
    }
  }
  if (uri != std::string(claimed_key_id.begin(), claimed_key_id.end())) {
    return absl::PermissionDeniedError("certificate does not prove the identity");
  }
  Proof proof;
  uint64_t serial = 0;
  ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(cert.get()));
  proof.peer = static_cast<PeerId>(serial);
  proof.name = uri;
  proof.serial = absl::StrCat(serial);
  proof.not_after = absl::InfiniteFuture();
  uint8_t* spki = nullptr;
  int size = i2d_PUBKEY(X509_get0_pubkey(cert.get()), &spki);
  proof.public_key_spki_der.assign(spki, spki + size);
  OPENSSL_free(spki);
  return proof;
}

absl::StatusOr<Bytes> SignWith(const NodeIdentity& identity, ByteSpan data) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> ctx(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  size_t size = 0;
  if (EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr, identity.key.get()) != 1 ||
      EVP_DigestSign(ctx.get(), nullptr, &size, data.data(), data.size()) != 1) {
    return absl::InternalError("sign");
  }
  Bytes out(size);
  if (EVP_DigestSign(ctx.get(), out.data(), &size, data.data(), data.size()) != 1) return absl::InternalError("sign");
  out.resize(size);
  return out;
}

}  // namespace espalier::ike
