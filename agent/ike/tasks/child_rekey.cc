#include "agent/ike/tasks/child_rekey.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/tasks/inform.h"

namespace espalier::ike {

using wire::NotifyPayload;
using wire::NotifyType;
using wire::Payloads;

ChildSa* ChildRekeyTask::Predecessor(IkeSa& sa) const {
  ChildSa* child = sa.shared().children.Find(old_.spi_in);
  if (child == nullptr || child->id.spi_out != old_.spi_out || child->state == ChildState::kClosing) return nullptr;
  return child;
}

// ---- initiator

absl::Status ChildRekeyTask::Prepare(IkeSa& sa, absl::Time now) {
  ChildSa* child = Predecessor(sa);
  if (child == nullptr || child->replaced_by != 0 || child->delete_queued) {
    return absl::FailedPreconditionError("nothing to rekey any more");
  }
  // The peer's own rekey of it waits for its IKE_FOLLOWUP_KE: it will be replaced without us.
  for (const auto& chain : sa.chains()) {
    auto* rekey = dynamic_cast<ChildRekeyTask*>(chain.get());
    if (rekey != nullptr && rekey->old_.spi_in == old_.spi_in) {
      sa.RetryChildLater(now, child, /*count=*/false);
      return absl::FailedPreconditionError("the peer rekeys it");
    }
  }
  return absl::OkStatus();
}

std::optional<NotifyPayload> ChildRekeyTask::FirstPayload() const {
  return NotifyPayload::AboutChild(NotifyType::kRekeySa, wire::ProtocolId::kEsp, old_.spi_in);
}

TrafficSelectors ChildRekeyTask::OfferedLocal(IkeSa& sa) const { return Predecessor(sa)->ts_local; }
TrafficSelectors ChildRekeyTask::OfferedRemote(IkeSa& sa) const { return Predecessor(sa)->ts_remote; }

bool ChildRekeyTask::Lost(IkeSa& sa, absl::Time now) {
  if (!rival_nonce_.has_value()) return false;
  sa.shared().counters.Add(Counter::kCollisions);
  if (lowest_nonce() < *rival_nonce_) {
    // The peer's exchange replaces the child; should that come to nothing, again later.
    if (ChildSa* child = Predecessor(sa); child != nullptr) sa.RetryChildLater(now, child, /*count=*/false);
    return true;
  }
  // The peer will not go on with its own.
  for (const auto& chain : sa.chains()) {
    auto* rekey = dynamic_cast<ChildRekeyTask*>(chain.get());
    if (rekey != nullptr && rekey->old_.spi_in == old_.spi_in) {
      sa.DropChain(now, rekey);
      break;
    }
  }
  return false;
}

void ChildRekeyTask::Made(IkeSa& sa, absl::Time now, ChildSa* child) {
  // Make before break: the new one sends before the old one is deleted (IKE-061).
  UseChild(sa, now, child);
  if (ChildSa* old = Predecessor(sa); old != nullptr) sa.DeleteChild(now, old);
}

void ChildRekeyTask::Refused(IkeSa& sa, absl::Time now, NotifyType error) {
  ChildSa* child = Predecessor(sa);
  // COL-05: a rekey of the peer's that we answered stands. COL-02, COL-06: nothing is left to retry.
  if (child == nullptr) return;
  child->rekey_queued = false;
  if (child->replaced_by != 0) return;
  PeerId peer = sa.peer_id();
  if (error == NotifyType::kChildSaNotFound) {
    // IKE-064: dropped in silence, and made anew if it is wanted.
    sa.shared().counters.Add(Counter::kChildClosed);
    sa.shared().children.Close(child, now, now + kInboundLinger);
    sa.shared().events->OnChildLost(peer, now);
    return;
  }
  if (error == NotifyType::kNoAdditionalSas) {
    // IKE-065: deleted and made anew instead.
    sa.DeleteChild(now, child);
    sa.shared().events->OnChildLost(peer, now);
    return;
  }
  if (error != NotifyType::kTemporaryFailure) {
    LOG(WARNING) << "rekey of a Child SA refused" << " peer=" << absl::StrCat(peer)
                 << " cause=" << wire::ToString(error);
  }
  sa.RetryChildLater(now, child, /*count=*/true);
}

void ChildRekeyTask::Abandon(IkeSa& sa, absl::Time now) {
  ChildCreateTask::Abandon(sa, now);
  if (ChildSa* child = Predecessor(sa); child != nullptr) child->rekey_queued = false;
}

// ---- responder

std::optional<NotifyPayload> ChildRekeyTask::Admit(IkeSa& sa, absl::Time now, const Payloads& in) {
  const NotifyPayload* rekey = in.notify(NotifyType::kRekeySa);
  std::optional<uint32_t> spi = rekey->child_spi();
  ChildSa* child = spi.has_value() && rekey->protocol == wire::ProtocolId::kEsp
                       ? sa.shared().children.FindBySpiOut(sa.peer_id(), *spi)
                       : nullptr;
  if (child == nullptr) {
    // COL-06: while our Delete of it is out.
    auto* deleting = dynamic_cast<ChildDeleteTask*>(sa.active());
    if (spi.has_value() && deleting != nullptr && deleting->Deletes(*spi)) {
      return NotifyPayload(NotifyType::kTemporaryFailure);
    }
    return NotifyPayload::AboutChild(NotifyType::kChildSaNotFound, wire::ProtocolId::kEsp, spi.value_or(0));
  }
  old_ = child->id;
  if (std::optional<NotifyPayload> error = ChildCreateTask::Admit(sa, now, in); error.has_value()) return error;
  // COL-17: it has been replaced, or goes.
  if (child->replaced_by != 0 || child->delete_queued) return NotifyPayload(NotifyType::kTemporaryFailure);
  for (const auto& chain : sa.chains()) {
    auto* other = dynamic_cast<ChildRekeyTask*>(chain.get());
    if (other == nullptr || other->old_.spi_in != old_.spi_in) continue;
    // The peer begins again with a child whose chain it left.
    sa.DropChain(now, other);
    break;
  }
  if (auto* own = dynamic_cast<ChildRekeyTask*>(sa.active()); own != nullptr && own->old_.spi_in == old_.spi_in) {
    // RFC 9370 section 2.2.4: ours is past CREATE_CHILD_SA.
    if (own->in_chain()) return NotifyPayload(NotifyType::kTemporaryFailure);
  }
  return std::nullopt;
}

void ChildRekeyTask::Accepted(IkeSa& sa) {
  auto* own = dynamic_cast<ChildRekeyTask*>(sa.active());
  if (own != nullptr && own->old_.spi_in == old_.spi_in) own->rival_nonce_ = lowest_nonce();
}

}  // namespace espalier::ike
