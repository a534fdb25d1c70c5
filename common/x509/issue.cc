#include "common/x509/issue.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "common/x509/spiffe_id.h"

namespace espalier::x509 {
namespace {

constexpr size_t kMaxCommonName = 64;  // RFC 5280 appendix A.1: ub-common-name
constexpr char kOrganization[] = "Espalier";

absl::Status SetSerial(X509* certificate) {
  std::array<uint8_t, 16> octets{};
  if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) return OpenSslError("drawing a serial number");
  octets[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(octets.data(), static_cast<int>(octets.size()), nullptr);
  bool ok = number != nullptr && !BN_is_zero(number) &&
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return ok ? absl::OkStatus() : OpenSslError("setting the serial number");
}

absl::Status SetName(X509* certificate, absl::string_view common_name) {
  NamePtr name(X509_NAME_new());
  std::string cn(common_name.substr(0, kMaxCommonName));
  if (name == nullptr ||
      X509_NAME_add_entry_by_txt(name.get(), "O", MBSTRING_UTF8, reinterpret_cast<const uint8_t*>(kOrganization), -1,
                                 -1, 0) != 1 ||
      X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, reinterpret_cast<const uint8_t*>(cn.data()),
                                 static_cast<int>(cn.size()), -1, 0) != 1 ||
      X509_set_subject_name(certificate, name.get()) != 1) {
    return OpenSslError("setting the subject");
  }
  return absl::OkStatus();
}

absl::Status AddExtension(X509* certificate, X509V3_CTX* context, const ExtensionText& text) {
  ExtensionPtr extension(X509V3_EXT_nconf(nullptr, context, text.name.c_str(), text.value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return OpenSslError(absl::StrCat("adding the extension ", text.name));
  }
  return absl::OkStatus();
}

absl::Status AddNames(X509* certificate, const CertificateContent& content) {
  if (content.uri_names.empty() && content.dns_names.empty()) return absl::OkStatus();
  GeneralNamesPtr names(sk_GENERAL_NAME_new_null());
  if (names == nullptr) return OpenSslError("making subjectAltName");
  auto add = [&](int type, const std::string& text) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    if (name == nullptr || value == nullptr ||
        ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) != 1 ||
        sk_GENERAL_NAME_push(names.get(), name) <= 0) {
      GENERAL_NAME_free(name);
      ASN1_IA5STRING_free(value);
      return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return true;
  };
  for (const std::string& uri : content.uri_names) {
    if (!add(GEN_URI, uri)) return OpenSslError("adding a URI name");
  }
  for (const std::string& dns : content.dns_names) {
    if (!add(GEN_DNS, dns)) return OpenSslError("adding a DNS name");
  }
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_APPEND) != 1) {
    return OpenSslError("adding subjectAltName");
  }
  return absl::OkStatus();
}

absl::StatusOr<Certificate> Sign(const CertificateContent& content, EVP_PKEY* subject_key, const PrivateKey& signer,
                                 X509* issuer) {
  CertPtr owned(X509_new());
  if (owned == nullptr) return OpenSslError("making a certificate");
  X509* c = owned.get();
  if (absl::Status s = SetSerial(c); !s.ok()) return s;
  if (absl::Status s = SetName(c, content.common_name); !s.ok()) return s;
  X509* parent = issuer == nullptr ? c : issuer;
  if (X509_set_version(c, X509_VERSION_3) != 1 || X509_set_pubkey(c, subject_key) != 1 ||
      X509_set_issuer_name(c, X509_get_subject_name(parent)) != 1 ||
      ASN1_TIME_set(X509_getm_notBefore(c), absl::ToTimeT(content.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(c), absl::ToTimeT(content.not_after)) == nullptr) {
    return OpenSslError("filling a certificate");
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, parent, c, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  if (absl::Status s = AddExtension(c, &context, {"subjectKeyIdentifier", "hash"}); !s.ok()) return s;
  if (issuer != nullptr) {
    if (absl::Status s = AddExtension(c, &context, {"authorityKeyIdentifier", "keyid:always"}); !s.ok()) return s;
  }
  for (const ExtensionText& extension : content.extensions) {
    if (absl::Status s = AddExtension(c, &context, extension); !s.ok()) return s;
  }
  if (absl::Status s = AddNames(c, content); !s.ok()) return s;
  if (X509_sign(c, signer.get(), EVP_sha256()) <= 0) return OpenSslError("signing a certificate");
  // Read back from DER, so that OpenSSL's cached view of the extensions is that of the signed octets.
  Bytes der = Certificate::Own(owned.release()).ToDer();
  return Certificate::FromDer(der);
}

}  // namespace

absl::StatusOr<Certificate> SignCertificate(const CertificateContent& content, EVP_PKEY* subject_key,
                                            const Issuer& issuer) {
  return Sign(content, subject_key, issuer.key, issuer.certificate.get());
}

absl::StatusOr<Certificate> SelfSignCertificate(const CertificateContent& content, const PrivateKey& self) {
  return Sign(content, self.get(), self, nullptr);
}

absl::StatusOr<Certificate> MakeRoot(const PrivateKey& key, absl::string_view common_name, absl::Time not_before,
                                     absl::Time not_after) {
  CertificateContent content;
  content.common_name = std::string(common_name);
  content.not_before = not_before;
  content.not_after = not_after;
  content.extensions = {{"basicConstraints", "critical,CA:TRUE,pathlen:0"},
                        {"keyUsage", "critical,keyCertSign,cRLSign"}};
  return SelfSignCertificate(content, key);
}

absl::StatusOr<Certificate> IssueNodeCertificate(const Issuer& issuer, EVP_PKEY* subject_key,
                                                 absl::string_view trust_domain, absl::string_view uid,
                                                 absl::string_view node_name, absl::Time not_before,
                                                 absl::Time not_after) {
  if (absl::Status s = CheckTrustDomain(trust_domain); !s.ok()) return s;
  if (absl::Status s = CheckNodeUid(uid); !s.ok()) return s;
  CertificateContent content;
  content.common_name = absl::StrCat("node/", node_name);
  content.not_before = not_before;
  content.not_after = std::min(not_after, issuer.certificate.NotAfter());
  content.uri_names = {NodeSpiffeId(trust_domain, uid)};
  content.extensions = {
      {"basicConstraints", "critical,CA:FALSE"},
      {"keyUsage", "critical,digitalSignature"},
      {"extendedKeyUsage", "1.3.6.1.5.5.7.3.17,serverAuth,clientAuth"}};  // ipsecIKE, RFC 4945 5.1.3.12
  return SignCertificate(content, subject_key, issuer);
}

absl::StatusOr<Certificate> IssueServerCertificate(const Issuer& issuer, EVP_PKEY* subject_key,
                                                   const std::vector<std::string>& dns_names, absl::Time not_before,
                                                   absl::Time not_after) {
  CertificateContent content;
  content.common_name = dns_names.empty() ? "server" : dns_names[0];
  content.not_before = not_before;
  content.not_after = std::min(not_after, issuer.certificate.NotAfter());
  content.dns_names = dns_names;
  content.extensions = {{"basicConstraints", "critical,CA:FALSE"},
                        {"keyUsage", "critical,digitalSignature"},
                        {"extendedKeyUsage", "serverAuth"}};
  return SignCertificate(content, subject_key, issuer);
}

}  // namespace espalier::x509
