// Private keys of Espalier's own certificates: ECDSA on P-256.
#ifndef ESPALIER_COMMON_X509_KEY_H_
#define ESPALIER_COMMON_X509_KEY_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/bytes.h"
#include "common/x509/openssl.h"

namespace espalier::x509 {

// A value; copies share the key, which OpenSSL wipes with the last of them. Thread-compatible.
class PrivateKey {
 public:
  static absl::StatusOr<PrivateKey> Generate();
  // PKCS #8 or SEC 1, unencrypted. InvalidArgument where it is no ECDSA P-256 key.
  static absl::StatusOr<PrivateKey> FromPem(absl::string_view pem);

  // PKCS #8, unencrypted. The caller wipes it (WipeText).
  absl::StatusOr<std::string> ToPem() const;
  // DER signature (SEQUENCE of r and s) over SHA2-256 of `data`.
  absl::StatusOr<Bytes> Sign(ByteSpan data) const;
  Bytes PublicSpkiDer() const;

  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(EVP_PKEY* key) : key_(key, EVP_PKEY_free) {}
  std::shared_ptr<EVP_PKEY> key_;
};

// Whether a public key may sign in the mesh: ECDSA on P-256, P-384 or P-521, Ed25519, RSA of 2048 to 8192 bits with an
// exponent of at least 65537 (RFC 8247 section 3.1; IKE-033). InvalidArgument says what it is otherwise.
absl::Status CheckPublicKey(EVP_PKEY* key);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_KEY_H_
