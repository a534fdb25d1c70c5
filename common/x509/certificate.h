// X.509 certificates as values, and certificate signing requests.
#ifndef ESPALIER_COMMON_X509_CERTIFICATE_H_
#define ESPALIER_COMMON_X509_CERTIFICATE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/x509/key.h"
#include "common/x509/openssl.h"

namespace espalier::x509 {

// Largest certificate, and most certificates of one chain or bundle, that are read at all.
inline constexpr size_t kMaxCertificateSize = 16384;
inline constexpr size_t kMaxChainLength = 8;
inline constexpr size_t kMaxBundleLength = 32;

// A parsed certificate; nothing about it is verified. Copies share it. Thread-compatible.
class Certificate {
 public:
  // Exactly one DER certificate, nothing after it.
  static absl::StatusOr<Certificate> FromDer(ByteSpan der);
  // Every certificate of a PEM text, in order; other PEM blocks are passed over. At least 1, at most kMaxBundleLength.
  static absl::StatusOr<std::vector<Certificate>> FromPem(absl::string_view pem);
  static Certificate Own(X509* certificate) { return Certificate(certificate); }

  Bytes ToDer() const;
  std::string ToPem() const;
  // Lower-case hex without leading zeros.
  std::string Serial() const;
  absl::Time NotBefore() const;  // InfiniteFuture where unreadable
  absl::Time NotAfter() const;   // InfinitePast where unreadable
  std::string Subject() const;   // RFC 2253 text, escaped
  Bytes SpkiDer() const;
  // The URI and DNS names of subjectAltName. InvalidArgument: malformed or doubled.
  absl::StatusOr<std::vector<std::string>> UriNames() const;
  absl::StatusOr<std::vector<std::string>> DnsNames() const;
  // BasicConstraints says so, and nothing in the certificate's extensions is malformed.
  bool IsCa() const;
  bool IsSelfIssued() const;
  EVP_PKEY* PublicKey() const;  // not owned; null: unreadable

  X509* get() const { return certificate_.get(); }

 private:
  explicit Certificate(X509* c) : certificate_(c, X509_free) {}
  std::shared_ptr<X509> certificate_;
};

std::string ChainToPem(const std::vector<Certificate>& chain);
// Serials as written by people ("0A:FF", "0x0aff") in the form of Certificate::Serial. InvalidArgument otherwise.
absl::StatusOr<std::string> NormalizeSerial(absl::string_view text);

// PKCS #10, DER, with an empty subject: the authority decides what it certifies.
absl::StatusOr<Bytes> BuildCertificateRequest(const PrivateKey& key);
// Checks size, shape, the key's kind and the signature that proves possession (RFC 2986 section 4.2).
absl::StatusOr<KeyPtr> VerifyCertificateRequest(ByteSpan der);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_CERTIFICATE_H_
