// From what two ends agreed on to a Child SA in the datapath, RFC 7296 section 2.17.
#ifndef ESPALIER_AGENT_IKE_TASKS_CHILD_SETUP_H_
#define ESPALIER_AGENT_IKE_TASKS_CHILD_SETUP_H_

#include <span>

#include "agent/ike/sa/ike_sa.h"

namespace espalier::ike {

struct ChildAgreement {
  wire::Proposal chosen;
  ChildId id;
  bool we_initiated = false;
  bool in_auth = false;  // keys follow from the IKE SA's alone
  TrafficSelectors ts_local, ts_remote;
};

// Derives the keys and installs the inbound half; `predecessor` (may be null) is what it replaces. The SPI reservation
// is used up in any case. An error: nothing is left (ERR-07).
absl::StatusOr<ChildSa*> InstallChild(IkeSa& sa, absl::Time now, ChildAgreement agreement, const Secret& shared,
                                      ByteSpan ni, ByteSpan nr, std::span<const Secret> additional,
                                      ChildSa* predecessor);

// As the initiator, who knows that the peer has both halves: sends on it from here on. A child that cannot be used is
// deleted.
void UseChild(IkeSa& sa, absl::Time now, ChildSa* child);

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_TASKS_CHILD_SETUP_H_
