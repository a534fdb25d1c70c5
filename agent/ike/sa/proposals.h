// Which suites this node offers and chooses, RFC 7296 sections 2.7 and 3.3, RFC 9370 section 2.2.1.
#ifndef ESPALIER_AGENT_IKE_SA_PROPOSALS_H_
#define ESPALIER_AGENT_IKE_SA_PROPOSALS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/ike/engine.h"
#include "agent/ike/wire/proposal_rules.h"
#include "agent/ike/wire/sa.h"

namespace espalier::ike {

// Whether ML-KEM-768 is an additional key exchange of the suite.
enum class PostQuantum {
  kNever,
  kPrefer,   // one proposal with it, one without
  kRequire,  // IKE-084: both nodes can, so nothing else will do
};

// `spi`: 0 in IKE_SA_INIT, the new SPI in a rekey.
wire::SaPayload IkeOffer(const Config& config, PostQuantum pq, uint64_t spi);
// `with_ke`: not in IKE_AUTH (RFC 7296 section 1.2).
wire::SaPayload EspOffer(const Config& config, PostQuantum pq, uint32_t spi, bool with_ke);

// Our answer to an offer: the same proposal number, one transform of each type, no SPI yet. Of several possible choices
// the one that comes first in `config`, and a key exchange method that saves a round trip (`ke_sent`; 0: none).
std::optional<wire::Proposal> ChooseIke(const wire::SaPayload& offer, const Config& config, PostQuantum pq,
                                        const wire::ProposalContext& context, uint16_t ke_sent);
std::optional<wire::Proposal> ChooseEsp(const wire::SaPayload& offer, const Config& config, PostQuantum pq,
                                        bool with_ke, uint16_t ke_sent);

// Of a chosen ESP proposal.
std::optional<EspSuite> EspSuiteOf(const wire::Proposal& chosen);
bool EsnOf(const wire::Proposal& chosen);
// Of any chosen proposal.
uint16_t KeMethodOf(const wire::Proposal& chosen);  // 0: none
// The additional methods in their order, NONE left out.
std::vector<uint16_t> AdditionalMethodsOf(const wire::Proposal& chosen);
bool HasMlKem(const wire::Proposal& chosen);
// "X25519+ML-KEM-768"; empty without a key exchange.
std::string DescribeKe(const wire::Proposal& chosen);

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_PROPOSALS_H_
