#include "agent/ike/auth/authenticator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/signature.h"
#include "agent/ike/sa/ike_sa.h"

namespace espalier::ike {
namespace {

// Limits of ours (IKE-034).
constexpr size_t kMostCertificates = 8;
constexpr size_t kMostCertificateOctets = 16 * 1024;
constexpr size_t kLongestCause = 200;

Bytes Signed(IkeSa& sa, bool by_initiator, ByteSpan id_body) {
  const InitRecord& init = sa.init();
  Bytes int_auth;
  // RFC 9242 section 3.3.2; where no IKE_INTERMEDIATE took place it is absent, not empty links with a number.
  if (!init.int_auth_i.empty() || !init.int_auth_r.empty()) {
    int_auth = crypto::IntAuth(init.int_auth_i, init.int_auth_r, static_cast<uint32_t>(init.additional.size() + 1));
  }
  return crypto::SignedOctets(sa.suite().prf, by_initiator ? init.request : init.response,
                              by_initiator ? init.nr : init.ni, by_initiator ? sa.keys().pi : sa.keys().pr, id_body,
                              int_auth);
}

}  // namespace

absl::StatusOr<LocalProof> MakeProof(IkeSa& sa) {
  // RFC 7427 section 4: only if the peer announced hashes, and with one of them.
  if (!sa.init().peer_signs_sha256) return absl::FailedPreconditionError("the peer did not announce SHA2-256");
  Host* host = sa.shared().host;
  LocalProof out;
  out.id = wire::IdPayload(wire::IdType::kKeyId, host->LocalKeyId());
  for (Bytes& der : host->LocalChain()) {
    out.certs.push_back({wire::CertEncoding::kX509Signature, std::move(der)});
  }
  absl::StatusOr<Bytes> signature = host->Sign(Signed(sa, sa.initiator(), out.id.body));
  if (!signature.ok()) return signature.status();
  out.auth.method = wire::AuthMethod::kDigitalSignature;
  out.auth.data = crypto::EcdsaSha256AuthData(*signature);
  return out;
}

absl::StatusOr<Proof> CheckProof(IkeSa& sa, const wire::IdPayload* id, const wire::Payloads& in) {
  if (id == nullptr) return absl::PermissionDeniedError("no identity");
  if (in.auth() == nullptr) return absl::PermissionDeniedError("no AUTH: EAP is not spoken here");  // IKE-044
  if (id->type() != wire::IdType::kKeyId) return absl::PermissionDeniedError("identity is not a KEY_ID");
  if (in.auth()->method != wire::AuthMethod::kDigitalSignature) {
    return absl::PermissionDeniedError("AUTH method is not 14");
  }
  std::vector<Bytes> chain;
  size_t octets = 0;
  for (const wire::CertPayload* cert : in.certs()) {
    if (cert->encoding != wire::CertEncoding::kX509Signature) continue;  // IKE-016
    octets += cert->data.size();
    chain.push_back(cert->data);
  }
  if (chain.empty()) return absl::PermissionDeniedError("no certificate");
  if (chain.size() > kMostCertificates || octets > kMostCertificateOctets) {
    return absl::PermissionDeniedError("too many certificates");
  }
  absl::StatusOr<Proof> proof = sa.shared().host->Authenticate(chain, id->data());
  if (!proof.ok()) {
    // It may quote the peer's certificate: bounded and escaped before it goes to a log (IKE-016).
    return absl::PermissionDeniedError(absl::CHexEscape(proof.status().message().substr(0, kLongestCause)));
  }
  // The initiator dialled one peer, not just anybody of the mesh (IKE-039).
  if (sa.initiator() && proof->peer != sa.peer_id()) return absl::PermissionDeniedError("another node than dialled");
  const Peer* peer = sa.shared().events->FindPeer(proof->peer);
  if (peer == nullptr) return absl::PermissionDeniedError("node is not in the view");
  if (!std::ranges::equal(peer->key_id, id->data())) {
    return absl::PermissionDeniedError("identity is not the one in the view");
  }
  if (peer->mlkem && sa.config().post_quantum && !sa.post_quantum()) {
    return absl::PermissionDeniedError("no ML-KEM, though both nodes can");
  }
  // One signature for each half-open SA (IKE-091): this is the only attempt.
  absl::Status verified = crypto::VerifyDigitalSignature(in.auth()->data, Signed(sa, !sa.initiator(), id->body),
                                                         proof->public_key_spki_der);
  if (!verified.ok()) return verified;
  return proof;
}

}  // namespace espalier::ike
