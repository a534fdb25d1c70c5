// Which payloads an exchange's message must have before any handler sees it (IKE-007).
#ifndef ESPALIER_AGENT_IKE_WIRE_PAYLOAD_RULES_H_
#define ESPALIER_AGENT_IKE_WIRE_PAYLOAD_RULES_H_

#include "absl/status/status.h"
#include "agent/ike/wire/payloads.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::wire {

// OK, or malformed with the name of what is missing. Only for exchanges we know; others pass.
// Requests: IKE_SA_INIT SA, KE, Ni; IKE_AUTH IDi (AUTH may be missing: a wish for EAP, IKE-044), and SA, TSi, TSr all
// or none (RFC 6023, IKE-088); CREATE_CHILD_SA SA, Ni, with TSi and TSr both (a Child SA) or neither (then KE: a rekey
// of the IKE SA); IKE_FOLLOWUP_KE KE (no link: STATE_NOT_FOUND). Responses: the same by their exchange, unless there
// is an error notify, or COOKIE for IKE_SA_INIT; IKE_AUTH IDr, AUTH, where SA, TSi, TSr may give way to an error notify
// (IKE-042).
absl::Status CheckPayloads(ExchangeType exchange, bool response, const Payloads& payloads);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_PAYLOAD_RULES_H_
