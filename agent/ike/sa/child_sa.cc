#include "agent/ike/sa/child_sa.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"

namespace espalier::ike {

absl::string_view ToString(ChildState state) {
  switch (state) {
    case ChildState::kInstalled:
      return "installed";
    case ChildState::kActive:
      return "active";
    case ChildState::kReplaced:
      return "rekeyed";
    case ChildState::kClosing:
      return "closing";
  }
  return "unknown";
}

ChildTable::~ChildTable() {
  for (auto& [spi, child] : children_) {
    if (child->outbound_installed && child->state != ChildState::kClosing) {
      host_->RemoveOutbound(child->id.peer, child->id.spi_out);
    }
    host_->RemoveInbound(child->id.peer, spi);
  }
}

uint32_t ChildTable::ReserveSpi() {
  for (;;) {
    uint8_t octets[4];
    host_->Random(octets);
    uint32_t spi = 0;
    Reader(octets).U32(&spi);
    // RFC 4303 section 2.1: 1 to 255 are reserved, 0 is for local use.
    if (spi > 255 && !children_.contains(spi) && reserved_.insert(spi).second) return spi;
  }
}

absl::StatusOr<ChildSa*> ChildTable::Add(std::unique_ptr<ChildSa> child, EspSa inbound) {
  uint32_t spi = child->id.spi_in;
  reserved_.erase(spi);
  if (children_.contains(spi)) return absl::InternalError("inbound SPI in use");
  if (absl::Status s = host_->InstallInbound(std::move(inbound)); !s.ok()) return s;
  ChildSa* out = child.get();
  by_peer_[out->id.peer].insert(spi);
  children_[spi] = std::move(child);
  return out;
}

absl::Status ChildTable::Activate(ChildSa* child) {
  if (child->state != ChildState::kInstalled || !child->outbound.has_value()) {
    return absl::FailedPreconditionError("outbound SA was used already");
  }
  EspSa sa = std::move(*child->outbound);
  child->outbound.reset();
  child->use_outbound_at = absl::InfiniteFuture();
  if (absl::Status s = host_->InstallOutbound(std::move(sa)); !s.ok()) return s;
  if (ChildSa* before = ActiveOf(child->id.peer); before != nullptr) before->state = ChildState::kReplaced;
  child->outbound_installed = true;
  child->state = ChildState::kActive;
  active_[child->id.peer] = child->id.spi_in;
  return absl::OkStatus();
}

void ChildTable::Close(ChildSa* child, absl::Time now, absl::Time linger) {
  if (child->state == ChildState::kClosing) return;
  PeerId peer = child->id.peer;
  bool was_active = child->state == ChildState::kActive;
  for (ChildSa* other : OfPeer(peer)) {
    if (other->replaced_by == child->id.spi_in) other->replaced_by = 0;
  }
  child->state = ChildState::kClosing;
  child->owner = nullptr;
  child->outbound.reset();
  if (was_active) {
    active_.erase(peer);
    // Make before break: a child that waits to be used takes over before this one's outbound half goes.
    ChildSa* next = nullptr;
    for (ChildSa* other : OfPeer(peer)) {
      if (other->state == ChildState::kInstalled && (next == nullptr || other->established >= next->established)) {
        next = other;
      }
    }
    if (next != nullptr) {
      if (absl::Status s = Activate(next); !s.ok())
        LOG(ERROR) << "outbound SA refused" << " peer=" << absl::StrCat(peer) << " " << s;
    }
  }
  if (child->outbound_installed) host_->RemoveOutbound(peer, child->id.spi_out);
  child->remove_at = std::max(now, linger);
  removals_.insert({child->remove_at, child->id.spi_in});
  if (linger <= now) RemoveExpired(now);
}

void ChildTable::Linger(uint32_t spi_in, absl::Time until) {
  ChildSa* child = Find(spi_in);
  if (child == nullptr || child->state != ChildState::kClosing) return;
  removals_.erase({child->remove_at, spi_in});
  child->remove_at = until;
  removals_.insert({until, spi_in});
}

ChildSa* ChildTable::Find(uint32_t spi_in) {
  auto it = children_.find(spi_in);
  return it == children_.end() ? nullptr : it->second.get();
}

ChildSa* ChildTable::FindBySpiOut(PeerId peer, uint32_t spi_out) {
  for (ChildSa* child : OfPeer(peer)) {
    if (child->id.spi_out == spi_out) return child;
  }
  return nullptr;
}

ChildSa* ChildTable::ActiveOf(PeerId peer) {
  auto it = active_.find(peer);
  return it == active_.end() ? nullptr : Find(it->second);
}

std::vector<ChildSa*> ChildTable::OfPeer(PeerId peer) {
  std::vector<ChildSa*> out;
  auto it = by_peer_.find(peer);
  if (it == by_peer_.end()) return out;
  for (uint32_t spi : it->second) {
    ChildSa* child = Find(spi);
    if (child != nullptr && child->state != ChildState::kClosing) out.push_back(child);
  }
  return out;
}

std::vector<const ChildSa*> ChildTable::AllOfPeer(PeerId peer) const {
  std::vector<const ChildSa*> out;
  auto it = by_peer_.find(peer);
  if (it == by_peer_.end()) return out;
  for (uint32_t spi : it->second) out.push_back(children_.at(spi).get());
  return out;
}

std::vector<ChildSa*> ChildTable::OfOwner(PeerId peer, const IkeSa* owner) {
  std::vector<ChildSa*> out = OfPeer(peer);
  std::erase_if(out, [owner](const ChildSa* child) { return child->owner != owner; });
  return out;
}

void ChildTable::MoveAll(PeerId peer, const IkeSa* from, IkeSa* to) {
  for (ChildSa* child : OfOwner(peer, from)) child->owner = to;
}

absl::Time ChildTable::RemoveExpired(absl::Time now) {
  while (!removals_.empty() && removals_.begin()->first <= now) {
    uint32_t spi = removals_.begin()->second;
    removals_.erase(removals_.begin());
    auto it = children_.find(spi);
    if (it == children_.end()) continue;
    PeerId peer = it->second->id.peer;
    host_->RemoveInbound(peer, spi);
    auto of_peer = by_peer_.find(peer);
    of_peer->second.erase(spi);
    if (of_peer->second.empty()) by_peer_.erase(of_peer);
    children_.erase(it);
  }
  return NextRemoval();
}

absl::Time ChildTable::NextRemoval() const {
  return removals_.empty() ? absl::InfiniteFuture() : removals_.begin()->first;
}

}  // namespace espalier::ike
