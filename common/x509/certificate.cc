#include "common/x509/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace espalier::x509 {
namespace {

constexpr size_t kMaxRequestSize = 8192;
constexpr size_t kMaxPemSize = 1 << 20;

absl::Time ToTime(const ASN1_TIME* time, absl::Time otherwise) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return otherwise;
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::StatusOr<std::vector<std::string>> Names(X509* certificate, int type) {
  int critical = 0;
  GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  std::vector<std::string> out;
  if (names == nullptr) {
    ERR_clear_error();
    if (critical == -1) return out;  // not there
    return absl::InvalidArgumentError(critical == -2 ? "subjectAltName is there twice" : "subjectAltName is malformed");
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != type) continue;
    const ASN1_IA5STRING* text = name->d.ia5;  // the same member for GEN_URI and GEN_DNS
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return out;
}

}  // namespace

absl::StatusOr<Certificate> Certificate::FromDer(ByteSpan der) {
  if (der.size() > kMaxCertificateSize) return absl::InvalidArgumentError("the certificate is too large");
  const uint8_t* at = der.data();
  CertPtr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("the certificate is not valid DER");
  if (at != der.data() + der.size()) return absl::InvalidArgumentError("octets follow the certificate");
  return Certificate(certificate.release());
}

absl::StatusOr<std::vector<Certificate>> Certificate::FromPem(absl::string_view pem) {
  if (pem.size() > kMaxPemSize) return absl::InvalidArgumentError("the PEM text is too large");
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return OpenSslError("reading PEM");
  std::vector<Certificate> out;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    out.push_back(Certificate(certificate));
    if (out.size() > kMaxBundleLength) return absl::InvalidArgumentError("more certificates than are read");
  }
  unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return absl::InvalidArgumentError(absl::StrCat("certificate ", out.size() + 1, " of the PEM text is malformed"));
  }
  if (out.empty()) return absl::InvalidArgumentError("no certificate in the PEM text");
  return out;
}

Bytes Certificate::ToDer() const {
  Bytes out;
  int length = i2d_X509(get(), nullptr);
  if (length <= 0) return out;
  out.resize(static_cast<size_t>(length));
  uint8_t* at = out.data();
  i2d_X509(get(), &at);
  return out;
}

std::string Certificate::ToPem() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), get()) != 1) return "";
  return BioText(bio.get());
}

std::string Certificate::Serial() const {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(get()), nullptr);
  if (number == nullptr) return "";
  char* hex = BN_bn2hex(number);
  std::string out = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  BN_free(number);
  absl::StatusOr<std::string> normal = NormalizeSerial(out);
  return normal.ok() ? *normal : absl::AsciiStrToLower(out);
}

absl::Time Certificate::NotBefore() const { return ToTime(X509_get0_notBefore(get()), absl::InfiniteFuture()); }
absl::Time Certificate::NotAfter() const { return ToTime(X509_get0_notAfter(get()), absl::InfinitePast()); }

std::string Certificate::Subject() const {
  BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), X509_get_subject_name(get()), 0, XN_FLAG_RFC2253) < 0) return "";
  return BioText(bio.get());
}

Bytes Certificate::SpkiDer() const {
  Bytes out;
  int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(get()), nullptr);
  if (length <= 0) return out;
  out.resize(static_cast<size_t>(length));
  uint8_t* at = out.data();
  i2d_X509_PUBKEY(X509_get_X509_PUBKEY(get()), &at);
  return out;
}

absl::StatusOr<std::vector<std::string>> Certificate::UriNames() const { return Names(get(), GEN_URI); }
absl::StatusOr<std::vector<std::string>> Certificate::DnsNames() const { return Names(get(), GEN_DNS); }

bool Certificate::IsCa() const { return (X509_get_extension_flags(get()) & (EXFLAG_CA | EXFLAG_INVALID)) == EXFLAG_CA; }

bool Certificate::IsSelfIssued() const {
  return X509_NAME_cmp(X509_get_subject_name(get()), X509_get_issuer_name(get())) == 0;
}

EVP_PKEY* Certificate::PublicKey() const {
  EVP_PKEY* key = X509_get0_pubkey(get());
  ERR_clear_error();
  return key;
}

std::string ChainToPem(const std::vector<Certificate>& chain) {
  std::string out;
  for (const Certificate& c : chain) out += c.ToPem();
  return out;
}

absl::StatusOr<std::string> NormalizeSerial(absl::string_view text) {
  std::string hex = absl::AsciiStrToLower(absl::StrReplaceAll(absl::StripAsciiWhitespace(text), {{":", ""}}));
  absl::string_view digits = hex;
  absl::ConsumePrefix(&digits, "0x");
  if (digits.empty() || digits.size() > 64) return absl::InvalidArgumentError("a serial number has 1 to 64 hex digits");
  for (char c : digits) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError("a serial number is hexadecimal");
    }
  }
  while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
  return std::string(digits);
}

absl::StatusOr<Bytes> BuildCertificateRequest(const PrivateKey& key) {
  ReqPtr request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0) {
    return OpenSslError("building a certificate request");
  }
  int length = i2d_X509_REQ(request.get(), nullptr);
  if (length <= 0) return OpenSslError("encoding a certificate request");
  Bytes out(static_cast<size_t>(length));
  uint8_t* at = out.data();
  i2d_X509_REQ(request.get(), &at);
  return out;
}

absl::StatusOr<KeyPtr> VerifyCertificateRequest(ByteSpan der) {
  if (der.size() > kMaxRequestSize) return absl::InvalidArgumentError("the certificate request is too large");
  const uint8_t* at = der.data();
  ReqPtr request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (request == nullptr || at != der.data() + der.size()) {
    return absl::InvalidArgumentError("the certificate request is not exactly one DER PKCS #10 request");
  }
  KeyPtr key(X509_REQ_get_pubkey(request.get()));
  ERR_clear_error();
  if (absl::Status s = CheckPublicKey(key.get()); !s.ok()) return s;
  int verified = X509_REQ_verify(request.get(), key.get());
  ERR_clear_error();
  if (verified != 1) return absl::InvalidArgumentError("the certificate request's signature does not verify");
  return key;
}

}  // namespace espalier::x509
