#include "agent/ike/tasks/child_setup.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/key_material.h"
#include "agent/ike/sa/proposals.h"

namespace espalier::ike {

absl::StatusOr<ChildSa*> InstallChild(IkeSa& sa, absl::Time now, ChildAgreement agreement, const Secret& shared,
                                      ByteSpan ni, ByteSpan nr, std::span<const Secret> additional,
                                      ChildSa* predecessor) {
  Shared& common = sa.shared();
  std::optional<EspSuite> suite = EspSuiteOf(agreement.chosen);
  if (!suite.has_value()) {
    common.children.ReleaseSpi(agreement.id.spi_in);
    return absl::InvalidArgumentError("no suite");
  }
  crypto::ChildKeys keys = crypto::DeriveChildKeys(sa.suite().prf, sa.keys().d, *suite, shared, ni, nr, additional);

  auto child = std::make_unique<ChildSa>();
  child->id = agreement.id;
  child->suite = *suite;
  child->esn = EsnOf(agreement.chosen);
  child->we_initiated = agreement.we_initiated;
  std::string own = agreement.in_auth ? "" : DescribeKe(agreement.chosen);
  child->key_exchange = own.empty() ? sa.description() : own;
  child->owner = &sa;
  child->ts_local = std::move(agreement.ts_local);
  child->ts_remote = std::move(agreement.ts_remote);

  EspSa in;
  in.peer = sa.peer_id();
  in.suite = *suite;
  in.esn = child->esn;
  in.replay_window = sa.config().replay_window;
  in.local = sa.local();
  in.remote = sa.remote();
  EspSa out;
  out.peer = in.peer;
  out.suite = in.suite;
  out.esn = in.esn;
  out.replay_window = 0;
  out.local = in.local;
  out.remote = in.remote;
  in.spi = agreement.id.spi_in;
  out.spi = agreement.id.spi_out;
  in.key = std::move(agreement.we_initiated ? keys.from_responder : keys.from_initiator);
  out.key = std::move(agreement.we_initiated ? keys.from_initiator : keys.from_responder);
  child->outbound = std::move(out);
  // The responder waits for a sign that its answer arrived; without an older SA to send on, not for ever.
  if (!agreement.we_initiated) child->use_outbound_at = now + sa.config().retransmit_first * 1.5;
  sa.StartChildTimers(now, child.get(), predecessor);

  absl::StatusOr<ChildSa*> added = common.children.Add(std::move(child), std::move(in));
  if (!added.ok()) {
    common.counters.Add(Counter::kInstallFailed);
    LOG(ERROR) << "inbound SA refused" << " peer=" << absl::StrCat(sa.peer_id()) << " " << added.status();
    return added.status();
  }
  common.counters.Add(Counter::kChildEstablished);
  if (predecessor != nullptr) {
    predecessor->replaced_by = agreement.id.spi_in;
    common.counters.Add(Counter::kChildRekeyed);
  }
  common.host->OnPeerEvent(sa.peer_id(), predecessor != nullptr ? "child-rekeyed" : "child-established",
                           absl::StrCat((*added)->key_exchange, agreement.we_initiated ? ", by us" : ", by the peer"));
  return *added;
}

void UseChild(IkeSa& sa, absl::Time now, ChildSa* child) {
  Shared& common = sa.shared();
  // Two initial SAs: on the one that will go nothing is sent if the other can (DESIGN section 6).
  if (common.children.ActiveOf(sa.peer_id()) != nullptr && common.events->IsSurplus(&sa)) return;
  if (common.children.Activate(child).ok()) return;
  common.counters.Add(Counter::kInstallFailed);
  sa.DeleteChild(now, child);
}

}  // namespace espalier::ike
