// Path validation of nodes' certificates, the same for IKE and for the controller's TLS.
#ifndef ESPALIER_COMMON_X509_CHAIN_H_
#define ESPALIER_COMMON_X509_CHAIN_H_

#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/x509/certificate.h"
#include "common/x509/openssl.h"

namespace espalier::x509 {

// The anchors that a mesh trusts (several while a CA is replaced) and the serials it no longer does. Immutable after
// construction, so const use is safe from several threads.
class TrustStore {
 public:
  // Every certificate must be a CA's. `revoked_serials` in any of NormalizeSerial's forms.
  static absl::StatusOr<TrustStore> Create(absl::string_view bundle_pem,
                                           const std::vector<std::string>& revoked_serials);

  const std::vector<Certificate>& anchors() const { return anchors_; }
  // SHA-1 of each anchor's SubjectPublicKeyInfo, concatenated in the bundle's order (RFC 7296 section 3.7).
  Bytes AnchorHashes() const;
  bool IsRevoked(const Certificate& certificate) const { return revoked_.contains(certificate.Serial()); }
  X509_STORE* store() const { return store_.get(); }

 private:
  TrustStore() = default;
  std::vector<Certificate> anchors_;
  StorePtr store_;
  std::unordered_set<std::string> revoked_;
};

// Who a valid chain speaks for.
struct NodeProof {
  std::string spiffe_id;
  std::string uid;
  std::string serial;  // as Certificate::Serial
  absl::Time not_after;
  Bytes public_key_spki_der;
};

// Leaf first, the rest in any order (IKE-034), at most kMaxChainLength certificates. Checks the path (RFC 5280 section
// 6.1: signatures, times, CA bit, keyCertSign, path length, name constraints, unknown critical extensions, strength),
// the leaf's rules (IKE-036: digitalSignature, extended key usage; IKE-037: no CA, one URI name, a node's SPIFFE id in
// `trust_domain`) and revocation. The message of an error names the cause for the log; nothing in it is the peer's
// text.
absl::StatusOr<NodeProof> ValidateNodeChain(const TrustStore& trust, absl::string_view trust_domain,
                                            const std::vector<Bytes>& chain_der, absl::Time wall_now);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_CHAIN_H_
