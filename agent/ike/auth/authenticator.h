// Who is at the other end, and how we show who we are: digital signatures on certificates (RFC 7427, method 14).
#ifndef ESPALIER_AGENT_IKE_AUTH_AUTHENTICATOR_H_
#define ESPALIER_AGENT_IKE_AUTH_AUTHENTICATOR_H_

#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/host.h"
#include "agent/ike/wire/payloads.h"

namespace espalier::ike {

class IkeSa;

// Our ID, certificates and AUTH, ready for a message.
struct LocalProof {
  wire::IdPayload id;
  std::vector<wire::CertPayload> certs;  // leaf first
  wire::AuthPayload auth;
};
// Fails where the peer cannot take method 14 with SHA2-256 (IKE-032, IKE-033), or the key is not at hand.
absl::StatusOr<LocalProof> MakeProof(IkeSa& sa);

// Checks ID, certificates and AUTH of the peer's IKE_AUTH message. The identity must be proved by the chain, its node
// be in the view, and the suite no weaker than both nodes can (IKE-036 to 039, IKE-084). The error is for the log
// alone: on the wire all are AUTHENTICATION_FAILED (IKE-041).
absl::StatusOr<Proof> CheckProof(IkeSa& sa, const wire::IdPayload* id, const wire::Payloads& in);

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_AUTH_AUTHENTICATOR_H_
