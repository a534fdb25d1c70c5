// Which policies speak of a flow, asked of the view itself: for `explain`, which names those that lost too. Slow and
// plain; verdicts come from the Snapshot.
#ifndef ESPALIER_AGENT_POLICY_DIRECT_H_
#define ESPALIER_AGENT_POLICY_DIRECT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "agent/policy/view.h"
#include "common/ip.h"

namespace espalier::policy {

struct End {
  uint32_t identity = 0;  // reserved or a label identity (Snapshot::BaseIdentity)
  IpAddress address;
};

struct Match {
  std::string policy;
  int rule = 0;
  v1::Action action = v1::ACTION_UNSPECIFIED;
  v1::Stage stage = v1::STAGE_UNSPECIFIED;
  int32_t priority = 0;
};

// Each policy's first rule that matches, the strongest policy first (priority, then strictness, then name).
// `port` is the server's. An unknown end matches what the view says for certain only (peers that are every pod, CIDRs).
std::vector<Match> MatchingPolicies(const View& view, const End& client, const End& server, uint8_t protocol,
                                    uint16_t port);

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_DIRECT_H_
