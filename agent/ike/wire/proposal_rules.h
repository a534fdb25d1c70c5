// What of an offered proposal may be chosen, whatever the local policy says: the rules IKE-009, IKE-010 and IKE-081.
#ifndef ESPALIER_AGENT_IKE_WIRE_PROPOSAL_RULES_H_
#define ESPALIER_AGENT_IKE_WIRE_PROPOSAL_RULES_H_

#include <optional>

#include "agent/ike/wire/sa.h"

namespace espalier::ike::wire {

// What the SA payload negotiates.
struct ProposalContext {
  ProtocolId protocol = ProtocolId::kIke;
  bool rekey_ike = false;     // IKE: SPIs of 8 octets that are not 0; otherwise none
  bool addke_allowed = true;  // false: INTERMEDIATE was not agreed, so ADDKE are unknown types (RFC 9370 section 2.2.1)
};

// A copy with only the transforms that can be chosen, or nullopt if the proposal is out as a whole: other protocol or
// SPI size, an SPI of a child below 256, an unknown transform type, a mandatory type with nothing usable left, every
// usable transform of an offered type gone, AEAD together with integrity, or classic encryption without it. NONE is no
// choice for the KE of an IKE SA. An unknown ID is kept (policy will not choose it).
std::optional<Proposal> UsableProposal(const Proposal& offered, const ProposalContext& context);

// RFC 9370 section 2.2.1: no two ADDKE transforms of a chosen proposal name the same method, NONE aside (IKE-081).
bool AdditionalKeyExchangesDiffer(const Proposal& chosen);

// Whether `answer` is one of `offer` as IKE-025 wants it: number of that proposal, its protocol, exactly one transform
// of each type offered there (a type for which NONE was offered may be left out: that is NONE), each with its
// attributes untouched, and no other type. SPI values are not compared.
bool IsChoiceOf(const Proposal& answer, const SaPayload& offer);

// Whether numbers of an offer run 1, 2, 3... (RFC 7296 section 3.3.1). Not for answers.
bool NumbersRunFromOne(const SaPayload& offer);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_PROPOSAL_RULES_H_
