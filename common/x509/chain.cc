#include "common/x509/chain.h"

#include <openssl/err.h>
#include <openssl/sha.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "common/x509/spiffe_id.h"

namespace espalier::x509 {
namespace {

constexpr int kMaxIntermediates = 4;      // between anchor and leaf
constexpr int kSecurityLevel = 2;         // 112 bits: no SHA-1 signature, no RSA below 2048 bits
constexpr int kIpsecIke = NID_ipsec_IKE;  // 1.3.6.1.5.5.7.3.17

absl::Status Refused(absl::string_view why) { return absl::UnauthenticatedError(why); }

// RFC 4945 section 5.1.3.12: an extended key usage, where there is one, must allow IKE: ipsecIKE or any. Ours:
// serverAuth together with clientAuth passes too (IKE-036).
absl::Status CheckExtendedKeyUsage(const Certificate& certificate, absl::string_view whose) {
  int critical = 0;
  ExtendedUsagePtr usages(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate.get(), NID_ext_key_usage, &critical, nullptr)));
  ERR_clear_error();
  if (usages == nullptr) {
    if (critical == -1) return absl::OkStatus();
    return Refused(absl::StrCat("the extended key usage of the ", whose, " is malformed"));
  }
  bool ike = false, any = false, server = false, client = false;
  for (int i = 0; i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), i));
    ike |= nid == kIpsecIke;
    any |= nid == NID_anyExtendedKeyUsage;
    server |= nid == NID_server_auth;
    client |= nid == NID_client_auth;
  }
  if (ike || any || (server && client)) return absl::OkStatus();
  return Refused(absl::StrCat("the extended key usage of the ", whose, " does not allow IKE"));
}

absl::Status CheckLeaf(const Certificate& leaf) {
  uint32_t flags = X509_get_extension_flags(leaf.get());
  if ((flags & EXFLAG_INVALID) != 0) return Refused("the leaf has a malformed or doubled extension");
  if (X509_get_version(leaf.get()) != X509_VERSION_3) return Refused("the leaf is not X.509 version 3");
  // RFC 5280 section 4.2.1.9; a certificate with keyCertSign is an authority's too (SPIFFE X.509-SVID section 4.3).
  if ((flags & EXFLAG_CA) != 0) return Refused("the leaf is a CA");
  if ((flags & EXFLAG_KUSAGE) == 0) return Refused("the leaf has no key usage");
  uint32_t usage = X509_get_key_usage(leaf.get());
  if ((usage & KU_DIGITAL_SIGNATURE) == 0) return Refused("the leaf's key usage lacks digitalSignature");
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) return Refused("the leaf's key usage is an authority's");
  if (absl::Status s = CheckPublicKey(leaf.PublicKey()); !s.ok()) return Refused(s.message());
  return CheckExtendedKeyUsage(leaf, "leaf");
}

absl::StatusOr<SpiffeId> LeafSpiffeId(const Certificate& leaf) {
  absl::StatusOr<std::vector<std::string>> names = leaf.UriNames();
  if (!names.ok()) return Refused(names.status().message());
  if (names->size() != 1) {
    return Refused(absl::StrCat("the leaf has ", names->size(), " URI names; a SPIFFE certificate has exactly one"));
  }
  absl::StatusOr<SpiffeId> id = SpiffeId::Parse((*names)[0]);
  if (!id.ok()) return Refused(id.status().message());
  return id;
}

// RFC 5280 section 6.1.4 (k) and (n): every certificate that issued another is a CA and says keyCertSign. OpenSSL
// accepts a CA without any key usage; IKE-036 doesn't.
absl::Status CheckIssuers(STACK_OF(X509) * path) {
  for (int i = 1; i < sk_X509_num(path); ++i) {
    X509* issuer = sk_X509_value(path, i);
    X509_up_ref(issuer);
    Certificate certificate = Certificate::Own(issuer);
    if (!certificate.IsCa()) return Refused("an issuer in the chain is not a CA");
    if ((X509_get_extension_flags(issuer) & EXFLAG_KUSAGE) == 0 ||
        (X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN) == 0) {
      return Refused("the key usage of an issuer in the chain lacks keyCertSign");
    }
    if (absl::Status s = CheckExtendedKeyUsage(certificate, "issuer"); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckPath(const TrustStore& trust, const std::vector<Certificate>& chain, absl::Time wall_now) {
  CertStackPtr others(sk_X509_new_null());
  StoreContextPtr context(X509_STORE_CTX_new());
  if (others == nullptr || context == nullptr) return OpenSslError("preparing path validation");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (sk_X509_push(others.get(), chain[i].get()) <= 0) return OpenSslError("preparing path validation");
  }
  if (X509_STORE_CTX_init(context.get(), trust.store(), chain[0].get(), others.get()) != 1) {
    return OpenSslError("preparing path validation");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, absl::ToTimeT(wall_now));
  X509_VERIFY_PARAM_set_depth(param, kMaxIntermediates);
  X509_VERIFY_PARAM_set_auth_level(param, kSecurityLevel);
  // An anchor may be an operator's intermediate: what is in the bundle is trusted as it stands.
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  int verified = X509_verify_cert(context.get());
  ERR_clear_error();
  if (verified != 1) {
    int error = X509_STORE_CTX_get_error(context.get());
    return Refused(absl::StrCat(X509_verify_cert_error_string(error), " (at depth ",
                                X509_STORE_CTX_get_error_depth(context.get()), ")"));
  }
  STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(path); ++i) {
    X509* certificate = sk_X509_value(path, i);
    X509_up_ref(certificate);
    if (trust.IsRevoked(Certificate::Own(certificate))) {
      return Refused(i == 0 ? "the certificate is revoked" : "an issuer's certificate is revoked");
    }
  }
  return CheckIssuers(path);
}

}  // namespace

absl::StatusOr<TrustStore> TrustStore::Create(absl::string_view bundle_pem,
                                              const std::vector<std::string>& revoked_serials) {
  absl::StatusOr<std::vector<Certificate>> anchors = Certificate::FromPem(bundle_pem);
  if (!anchors.ok()) return absl::InvalidArgumentError(absl::StrCat("trust bundle: ", anchors.status().message()));
  TrustStore out;
  out.store_.reset(X509_STORE_new());
  if (out.store_ == nullptr) return OpenSslError("making a trust store");
  for (const Certificate& anchor : *anchors) {
    if (!anchor.IsCa()) {
      return absl::InvalidArgumentError(absl::StrCat("trust bundle: ", anchor.Subject(), " is not a CA"));
    }
    if (X509_STORE_add_cert(out.store_.get(), anchor.get()) != 1) return OpenSslError("adding a trust anchor");
  }
  out.anchors_ = *std::move(anchors);
  for (const std::string& text : revoked_serials) {
    absl::StatusOr<std::string> serial = NormalizeSerial(text);
    if (!serial.ok()) return absl::InvalidArgumentError(absl::StrCat("revoked: ", serial.status().message()));
    out.revoked_.insert(*serial);
  }
  return out;
}

Bytes TrustStore::AnchorHashes() const {
  Bytes out;
  for (const Certificate& anchor : anchors_) {
    Bytes spki = anchor.SpkiDer();
    std::array<uint8_t, SHA_DIGEST_LENGTH> hash{};
    SHA1(spki.data(), spki.size(), hash.data());
    out.insert(out.end(), hash.begin(), hash.end());
  }
  return out;
}

absl::StatusOr<NodeProof> ValidateNodeChain(const TrustStore& trust, absl::string_view trust_domain,
                                            const std::vector<Bytes>& chain_der, absl::Time wall_now) {
  if (chain_der.empty()) return Refused("no certificate");
  if (chain_der.size() > kMaxChainLength) return Refused("too many certificates");
  std::vector<Certificate> chain;
  chain.reserve(chain_der.size());
  for (const Bytes& der : chain_der) {
    absl::StatusOr<Certificate> certificate = Certificate::FromDer(der);
    if (!certificate.ok()) return Refused(certificate.status().message());
    chain.push_back(*std::move(certificate));
  }
  const Certificate& leaf = chain[0];
  // The leaf's own rules first: they are cheap, no signature is checked for what fails them.
  if (absl::Status s = CheckLeaf(leaf); !s.ok()) return s;
  absl::StatusOr<SpiffeId> id = LeafSpiffeId(leaf);
  if (!id.ok()) return id.status();
  if (absl::string_view(id->trust_domain) != trust_domain) return Refused("the SPIFFE id is of another trust domain");
  absl::StatusOr<std::string> uid = id->NodeUid();
  if (!uid.ok()) return Refused(uid.status().message());
  if (absl::Status s = CheckPath(trust, chain, wall_now); !s.ok()) return s;
  return NodeProof{NodeSpiffeId(trust_domain, *uid), *uid, leaf.Serial(), leaf.NotAfter(), leaf.SpkiDer()};
}

}  // namespace espalier::x509
