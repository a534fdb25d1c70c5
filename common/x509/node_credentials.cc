#include "common/x509/node_credentials.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/x509/spiffe_id.h"

namespace espalier::x509 {

absl::Status NodeCredentials::SetIdentity(PrivateKey key, const std::vector<Certificate>& chain) {
  if (chain.empty()) return absl::InvalidArgumentError("no certificate");
  const Certificate& leaf = chain[0];
  if (leaf.SpkiDer() != key.PublicSpkiDer()) {
    return absl::InvalidArgumentError("the private key is not the certificate's");
  }
  absl::StatusOr<std::vector<std::string>> names = leaf.UriNames();
  if (!names.ok()) return names.status();
  if (names->size() != 1) return absl::InvalidArgumentError("the certificate has not exactly one URI name");
  absl::StatusOr<SpiffeId> id = SpiffeId::Parse((*names)[0]);
  if (!id.ok()) return id.status();
  if (id->trust_domain != trust_domain_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the certificate is of trust domain ", id->trust_domain, ", not ", trust_domain_));
  }
  absl::StatusOr<std::string> uid = id->NodeUid();
  if (!uid.ok()) return uid.status();
  chain_der_.clear();
  for (const Certificate& certificate : chain) chain_der_.push_back(certificate.ToDer());
  identity_ = NodeProof{(*names)[0], *uid, leaf.Serial(), leaf.NotAfter(), leaf.SpkiDer()};
  key_ = std::move(key);
  return absl::OkStatus();
}

absl::Status NodeCredentials::SetTrust(absl::string_view bundle_pem, const std::vector<std::string>& revoked_serials) {
  absl::StatusOr<TrustStore> trust = TrustStore::Create(bundle_pem, revoked_serials);
  if (!trust.ok()) return trust.status();
  trust_ = *std::move(trust);
  return absl::OkStatus();
}

absl::StatusOr<NodeProof> NodeCredentials::Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_id,
                                                        absl::Time wall_now) const {
  if (!trust_) return absl::FailedPreconditionError("no trust bundle yet");
  absl::StatusOr<NodeProof> proof = ValidateNodeChain(*trust_, trust_domain_, chain_der, wall_now);
  if (!proof.ok()) return proof.status();
  const std::string& id = proof->spiffe_id;
  if (!std::equal(claimed_id.begin(), claimed_id.end(), id.begin(), id.end(),
                  [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
    return absl::UnauthenticatedError("the claimed identity is not the certificate's");
  }
  return proof;
}

absl::StatusOr<Bytes> NodeCredentials::Sign(ByteSpan data) const {
  if (!key_) return absl::FailedPreconditionError("no certificate yet");
  return key_->Sign(data);
}

}  // namespace espalier::x509
