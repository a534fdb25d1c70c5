#include "agent/ike/tasks/inform.h"

#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/tasks/child_create.h"

namespace espalier::ike {

using wire::DeletePayload;
using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;
using wire::ProtocolId;

namespace {
// A child younger than this may be reported unknown by a peer that has not read our answer yet.
constexpr absl::Duration kYoungChild = absl::Seconds(2);
}  // namespace

absl::StatusOr<Payloads> InformTask::BuildRequest(IkeSa& /*sa*/, absl::Time /*now*/) {
  Payloads out;
  if (notify_.has_value()) out.Add(*notify_);
  return out;
}

Progress InformTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& /*in*/) {
  if (sa.state() == IkeState::kDeleting) {
    // The last word about a failed authentication was heard.
    sa.Close(now, /*tell=*/false, /*failed=*/true, "authentication failed");
    return Progress::kClosed;
  }
  return Progress::kDone;
}

Verdict InformTask::ProcessRequest(IkeSa& sa, absl::Time now, const Payloads& in) {
  Verdict verdict = Verdict::kDone;
  if (in.has(NotifyType::kAuthenticationFailed)) {
    // RFC 7296 section 2.21.2: the initiator did not accept our AUTH.
    sa.shared().counters.Add(Counter::kAuthFailed);
    failed_ = true;
    why_ = "the peer could not authenticate us";
    verdict = Verdict::kClose;
  }
  for (const DeletePayload* payload : in.deletes()) {
    if (payload->protocol == ProtocolId::kIke) {
      if (why_.empty()) why_ = "deleted by the peer";
      verdict = Verdict::kClose;
    } else if (payload->protocol == ProtocolId::kEsp) {
      for (uint32_t spi : payload->spis) ProcessDelete(sa, now, spi);
    }
  }
  if (verdict == Verdict::kDone) {
    if (const NotifyPayload* invalid = in.notify(NotifyType::kInvalidSpi); invalid != nullptr) {
      ProcessInvalidSpi(sa, now, *invalid);
    }
  }
  return verdict;
}

void InformTask::ProcessDelete(IkeSa& sa, absl::Time now, uint32_t spi_out) {
  Shared& common = sa.shared();
  // Children belong to the peer's newest IKE SA; a Delete on the one before is served as well (COL-10).
  ChildSa* child = common.children.FindBySpiOut(sa.peer_id(), spi_out);
  if (child == nullptr) {
    // COL-07: one that we are deleting is left out of the answer. COL-03: one whose making we have not heard the end
    // of.
    if (sa.active() != nullptr) {
      if (auto* create = dynamic_cast<ChildCreateTask*>(sa.active()); create != nullptr) create->Doom(spi_out);
    }
    return;
  }
  deleted_.push_back(child->id.spi_in);
  common.counters.Add(Counter::kChildClosed);
  common.host->OnPeerEvent(sa.peer_id(), "child-closed", "deleted by the peer");
  common.children.Close(child, now, now + kInboundLinger);
}

void InformTask::ProcessInvalidSpi(IkeSa& sa, absl::Time now, const NotifyPayload& notify) {
  // RFC 7296 section 1.5 makes INVALID_SPI a hint, and IKE-054 would change nothing. We go further where the notify is
  // authenticated and names the very SPI that we send on: the peer says it cannot open what we send, so that child is
  // made anew. A peer can do no more by this than by a Delete.
  std::optional<uint32_t> spi = notify.u32();
  ChildSa* child = spi.has_value() ? sa.shared().children.FindBySpiOut(sa.peer_id(), *spi) : nullptr;
  if (child == nullptr || child->state != ChildState::kActive || now - child->established < kYoungChild) {
    sa.OnHint(now);
    return;
  }
  LOG(WARNING) << "child unknown to the peer; made anew" << " peer=" << absl::StrCat(sa.peer_id());
  PeerId peer = sa.peer_id();
  sa.DeleteChild(now, child);
  sa.shared().events->OnChildLost(peer, now);
}

Payloads InformTask::BuildResponse(IkeSa& /*sa*/, absl::Time /*now*/) {
  Payloads out;
  if (!deleted_.empty()) {
    DeletePayload payload;
    payload.protocol = ProtocolId::kEsp;
    payload.spis = deleted_;
    out.Add(std::move(payload));
  }
  return out;
}

absl::StatusOr<Payloads> ChildDeleteTask::BuildRequest(IkeSa& sa, absl::Time now) {
  Shared& common = sa.shared();
  DeletePayload payload;
  payload.protocol = ProtocolId::kEsp;
  for (const ChildId& id : children_) {
    payload.spis.push_back(id.spi_in);
    ChildSa* child = common.children.Find(id.spi_in);
    if (child == nullptr || child->id.spi_out != id.spi_out || child->state == ChildState::kClosing) continue;
    common.counters.Add(Counter::kChildClosed);
    common.children.Close(child, now, now + kReplacedLife);
  }
  if (payload.spis.empty()) return absl::FailedPreconditionError("nothing to delete");
  Payloads out;
  out.Add(std::move(payload));
  return out;
}

Progress ChildDeleteTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& /*in*/) {
  for (const ChildId& id : children_) sa.shared().children.Linger(id.spi_in, now + kInboundLinger);
  return Progress::kDone;
}

bool ChildDeleteTask::Deletes(uint32_t spi_out) const {
  return std::ranges::any_of(children_, [spi_out](const ChildId& id) { return id.spi_out == spi_out; });
}

absl::StatusOr<Payloads> IkeDeleteTask::BuildRequest(IkeSa& /*sa*/, absl::Time /*now*/) {
  Payloads out;
  out.Add(DeletePayload());
  return out;
}

Progress IkeDeleteTask::ProcessResponse(IkeSa& sa, absl::Time now, const Payloads& /*in*/) {
  sa.Close(now, /*tell=*/false, /*failed=*/false, "deleted");
  return Progress::kClosed;
}

}  // namespace espalier::ike
