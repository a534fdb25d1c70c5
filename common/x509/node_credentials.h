// A node's own certificate and key, and the trust by which it judges others'.
#ifndef ESPALIER_COMMON_X509_NODE_CREDENTIALS_H_
#define ESPALIER_COMMON_X509_NODE_CREDENTIALS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/x509/certificate.h"
#include "common/x509/chain.h"
#include "common/x509/key.h"

namespace espalier::x509 {

// What ike::Host's Authenticate, LocalChain, LocalKeyId, Sign and TrustAnchorHashes are made of. Thread-compatible: one
// thread owns it. Identity and trust are replaced whole; what was there stays where the new one is refused.
class NodeCredentials {
 public:
  explicit NodeCredentials(std::string trust_domain) : trust_domain_(std::move(trust_domain)) {}

  // Leaf first, then intermediates, no root. InvalidArgument: the key isn't the leaf's, or the leaf is no node's of
  // this trust domain.
  absl::Status SetIdentity(PrivateKey key, const std::vector<Certificate>& chain);
  absl::Status SetTrust(absl::string_view bundle_pem, const std::vector<std::string>& revoked_serials);

  bool has_identity() const { return identity_.has_value(); }
  bool has_trust() const { return trust_.has_value(); }
  const std::string& trust_domain() const { return trust_domain_; }

  // Of our own identity; empty, or InfinitePast, without one.
  const std::vector<Bytes>& chain_der() const { return chain_der_; }
  std::string spiffe_id() const { return identity_ ? identity_->spiffe_id : ""; }
  std::string uid() const { return identity_ ? identity_->uid : ""; }
  std::string serial() const { return identity_ ? identity_->serial : ""; }
  absl::Time not_after() const { return identity_ ? identity_->not_after : absl::InfinitePast(); }

  // ValidateNodeChain, and the SPIFFE id is octet by octet the claimed one (IKE-038). Unauthenticated says why, for the
  // log; whether the node is in the view is for the caller to know.
  absl::StatusOr<NodeProof> Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_id,
                                         absl::Time wall_now) const;
  // DER ECDSA signature with SHA2-256. FailedPrecondition without an identity.
  absl::StatusOr<Bytes> Sign(ByteSpan data) const;
  Bytes TrustAnchorHashes() const { return trust_ ? trust_->AnchorHashes() : Bytes(); }

 private:
  const std::string trust_domain_;
  std::optional<PrivateKey> key_;
  std::optional<NodeProof> identity_;
  std::vector<Bytes> chain_der_;
  std::optional<TrustStore> trust_;
};

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_NODE_CREDENTIALS_H_
