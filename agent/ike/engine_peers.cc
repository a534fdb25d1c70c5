// What the engine keeps of each peer: when an IKE SA is started, and which of several stays.
#include <algorithm>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/ike/engine_impl.h"

namespace espalier::ike {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
constexpr absl::Duration kLongestBackoff = absl::Seconds(60);
// A wish for traffic is remembered this long while it cannot be served; the datapath asks again when it is still there.
constexpr absl::Duration kWishLife = absl::Seconds(10);
constexpr absl::Duration kRecheck = absl::Milliseconds(20);
// The end that does not decide between two IKE SAs waits longer for the one that does.
constexpr int kPatience = 10;

absl::Duration Backoff(int failures, double uniform) {
  absl::Duration wait = kFirstBackoff;
  for (int i = 1; i < failures && wait < kLongestBackoff; ++i) wait *= 2;
  return std::min(wait, kLongestBackoff) * (0.75 + 0.5 * uniform);
}

}  // namespace

EngineImpl::PeerEntry* EngineImpl::Entry(PeerId id) {
  auto it = peers_.find(id);
  return it == peers_.end() || it->second.gone ? nullptr : &it->second;
}

const EngineImpl::PeerEntry* EngineImpl::Entry(PeerId id) const {
  auto it = peers_.find(id);
  return it == peers_.end() || it->second.gone ? nullptr : &it->second;
}

const Peer* EngineImpl::FindPeer(PeerId id) const {
  const PeerEntry* entry = Entry(id);
  return entry == nullptr ? nullptr : &entry->peer;
}

uint64_t EngineImpl::NewIkeSpi() {
  for (;;) {
    uint64_t spi = shared_.Random64();
    if (spi != 0 && !sas_.contains(spi)) return spi;
  }
}

IkeSa* EngineImpl::Register(std::unique_ptr<IkeSa> sa) {
  IkeSa* out = sa.get();
  peers_[out->peer_id()].sas.insert(out->own_spi());
  sas_[out->own_spi()] = std::move(sa);
  return out;
}

std::vector<IkeSa*> EngineImpl::UpSas(const PeerEntry& entry) const {
  std::vector<IkeSa*> out;
  for (uint64_t spi : entry.sas) {
    auto it = sas_.find(spi);
    if (it != sas_.end() && it->second->state() == IkeState::kUp) out.push_back(it->second.get());
  }
  return out;
}

bool EngineImpl::Connecting(const PeerEntry& entry) const {
  return std::ranges::any_of(entry.sas, [this](uint64_t spi) {
    auto it = sas_.find(spi);
    return it != sas_.end() && it->second->initiator() &&
           (it->second->state() == IkeState::kConnecting || it->second->state() == IkeState::kHalfOpen);
  });
}

IkeSa* EngineImpl::Primary(const PeerEntry& entry) const {
  IkeSa* best = nullptr;
  for (IkeSa* sa : UpSas(entry)) {
    if (best == nullptr || Better(*sa, *best)) best = sa;
  }
  return best;
}

PeerId EngineImpl::InitiatorOf(const IkeSa& sa) const { return sa.initiator() ? shared_.config.self : sa.peer_id(); }

bool EngineImpl::Better(const IkeSa& a, const IkeSa& b) const {
  bool concurrent = a.created() < b.established() && b.created() < a.established();
  // DESIGN section 6: of two that began before either was up, the one of the lower node stays (IKE-029).
  if (concurrent && InitiatorOf(a) != InitiatorOf(b)) return InitiatorOf(a) < InitiatorOf(b);
  // One begun while another was up is meant to take its place: authentication anew, or a peer that lost its state.
  if (a.created() != b.created()) return a.created() > b.created();
  return a.own_spi() < b.own_spi();
}

bool EngineImpl::IsSurplus(const IkeSa* sa) const {
  const PeerEntry* entry = Entry(sa->peer_id());
  if (entry == nullptr || sa->state() != IkeState::kUp) return false;
  return std::ranges::any_of(UpSas(*entry), [&](const IkeSa* other) { return other != sa && Better(*other, *sa); });
}

bool EngineImpl::AllowSa(PeerId peer, absl::Time /*now*/) {
  const PeerEntry* entry = Entry(peer);
  return entry == nullptr || UpSas(*entry).size() < kMostSasOfPeer;
}

bool EngineImpl::AllowCreate(PeerId peer, absl::Time now) {
  PeerEntry* entry = Entry(peer);
  return entry != nullptr && entry->creates.Take(now);
}

bool EngineImpl::TakeInitialContact(const IkeSa* sa) {
  PeerEntry* entry = Entry(sa->peer_id());
  // Until the first IKE SA of this process with the peer is up. Two that begin at once may both say so: only what was
  // up before they began is removed for it.
  return entry != nullptr && !entry->contact_sent &&
         std::ranges::none_of(UpSas(*entry), [sa](const IkeSa* other) { return other != sa; });
}

// ---- what IKE SAs tell

void EngineImpl::OnEstablished(IkeSa* sa, absl::Time now, bool initial_contact) {
  PeerEntry* entry = Entry(sa->peer_id());
  if (entry == nullptr) return;
  entry->sas.insert(sa->own_spi());
  entry->contact_sent = true;
  entry->failures = entry->child_failures = 0;
  entry->retry_at = entry->child_retry_at = absl::InfinitePast();
  shared_.host->OnPeerEvent(entry->peer.id, "established",
                            absl::StrCat(sa->description(), sa->initiator() ? ", by us" : ", by the peer"));
  LOG(INFO) << "IKE SA established" << " peer=" << entry->peer.name << " suite=" << sa->description()
            << " initiator=" << absl::StrCat(sa->initiator());
  for (IkeSa* other : UpSas(*entry)) {
    if (other == sa) continue;
    // IKE-043: the peer had nothing when it began this one. What was up before then is dead; what is younger is not.
    if (initial_contact && other->established() < sa->created()) {
      other->Close(now, /*tell=*/false, /*failed=*/false, "the peer began anew");
    } else if (entry->reauthenticates != 0 && sa->initiator()) {
      other->Close(now, /*tell=*/true, /*failed=*/false, "authenticated anew");
    }
  }
  if (sa->initiator()) entry->reauthenticates = 0;
  if (UpSas(*entry).size() > 1) {
    bool decide = shared_.config.self < entry->peer.id;
    entry->surplus_at = now + kDuplicateLife * (decide ? 1 : kPatience);
  }
}

void EngineImpl::CloseSurplus(PeerEntry* entry, absl::Time now) {
  IkeSa* keep = Primary(*entry);
  for (IkeSa* sa : UpSas(*entry)) {
    if (sa != keep) sa->Close(now, /*tell=*/true, /*failed=*/false, "another IKE SA with the same peer stays");
  }
  // What was not installed for sending while the other could be used is needed now.
  if (entry->wanted != absl::InfinitePast()) StartWanted(entry, now);
}

void EngineImpl::OnClosed(IkeSa* sa, absl::Time now, bool failed, const std::string& why) {
  PeerEntry* entry = Entry(sa->peer_id());
  if (entry == nullptr) return;
  if (failed) {
    entry->last_error = why;
    entry->last_error_at = now;
  }
  if (sa->initiator() && sa->established() == absl::InfiniteFuture() && entry->reauthenticates != 0) {
    IkeSa* old = FindSa(std::exchange(entry->reauthenticates, 0));
    if (old == nullptr || old->state() != IkeState::kUp) old = Primary(*entry);  // rekeyed meanwhile
    if (old != nullptr) old->RetryReauthentication(now + Backoff(3, shared_.Uniform()));
  }
  bool other_up = std::ranges::any_of(UpSas(*entry), [sa](const IkeSa* other) { return other != sa; });
  if (failed && !other_up) {
    ++entry->failures;
    entry->retry_at = now + Backoff(entry->failures, shared_.Uniform());
    if (entry->wanted + kWishLife > now) entry->start_at = std::min(entry->start_at, entry->retry_at);
  }
  if (!other_up) {
    shared_.host->OnPeerEvent(entry->peer.id, failed ? "failed" : "closed", why);
    if (!failed || shared_.ShouldLog(now, absl::StrCat("closed ", entry->peer.id))) {
      LOG(INFO) << "IKE SA closed" << " peer=" << entry->peer.name << " failed=" << absl::StrCat(failed)
                << " cause=" << why;
    }
  }
}

void EngineImpl::OnChildLost(PeerId peer, absl::Time now) {
  PeerEntry* entry = Entry(peer);
  if (entry == nullptr) return;
  entry->wanted = now;
  // Not from inside the IKE SA's own work.
  entry->start_at = now;
}

void EngineImpl::OnChildRefused(PeerId peer, absl::Time now) {
  PeerEntry* entry = Entry(peer);
  if (entry == nullptr) return;
  ++entry->child_failures;
  entry->child_retry_at = now + Backoff(entry->child_failures, shared_.Uniform()) * 0.25;
  entry->last_error = "the peer refused the Child SA";
  entry->last_error_at = now;
  if (entry->wanted + kWishLife > now) entry->start_at = std::min(entry->start_at, entry->child_retry_at);
}

void EngineImpl::OnReauthenticate(IkeSa* sa, absl::Time now) {
  PeerEntry* entry = Entry(sa->peer_id());
  if (entry == nullptr) return;
  if (Connecting(*entry) || entry->reauthenticates != 0) return;
  entry->reauthenticates = sa->own_spi();
  Initiate(entry, now);
}

// ---- starting

void EngineImpl::Acquire(absl::Time now, PeerId peer) {
  PeerEntry* entry = Entry(peer);
  if (entry == nullptr || peer == shared_.config.self) return;
  entry->wanted = now;
  StartWanted(entry, now);
  SettlePeer(peer);
}

void EngineImpl::StartWanted(PeerEntry* entry, absl::Time now) {
  entry->start_at = absl::InfiniteFuture();
  PeerId peer = entry->peer.id;
  if (ChildSa* active = shared_.children.ActiveOf(peer); active != nullptr) {
    // One whose Delete still waits for its turn is no child to rely on.
    if (active->delete_queued) entry->start_at = now + kRecheck;
    return;
  }
  if (IkeSa* sa = Primary(*entry); sa != nullptr) {
    // One that the peer made is used as soon as that is safe.
    for (ChildSa* child : shared_.children.OfPeer(peer)) {
      if (child->state == ChildState::kInstalled && child->use_outbound_at != absl::InfiniteFuture()) return;
    }
    if (now >= entry->child_retry_at) {
      sa->CreateChild(now);
    } else {
      entry->start_at = entry->child_retry_at;
    }
    return;
  }
  if (Connecting(*entry)) return;
  if (now < entry->retry_at) {
    entry->start_at = entry->retry_at;
    return;
  }
  // IKE-094: one pod that scans the mesh does not start them all at once.
  if (!initiations_.Take(now)) {
    shared_.counters.Add(Counter::kInitiationsLimited);
    entry->start_at = initiations_.NextToken(now);
    return;
  }
  Initiate(entry, now);
}

void EngineImpl::Initiate(PeerEntry* entry, absl::Time now) {
  IkeSa* sa = Register(IkeSa::Initiate(&shared_, entry->peer, now));
  sa->OnTimer(now);
}

void EngineImpl::OnPeerTimer(PeerEntry* entry, absl::Time now) {
  if (entry->start_at <= now) {
    entry->start_at = absl::InfiniteFuture();
    if (entry->wanted + std::max(kWishLife, kLongestBackoff * 2) > now) StartWanted(entry, now);
  }
  if (entry->surplus_at <= now) {
    entry->surplus_at = absl::InfiniteFuture();
    CloseSurplus(entry, now);
  }
}

// ---- the view

void EngineImpl::CloseAllOf(PeerEntry* entry, absl::Time now, bool tell, const std::string& why) {
  std::vector<uint64_t> sas(entry->sas.begin(), entry->sas.end());
  for (uint64_t spi : sas) {
    if (IkeSa* sa = FindSa(spi); sa != nullptr) sa->Close(now, tell, /*failed=*/false, why);
  }
}

void EngineImpl::SetPeers(absl::Time now, std::vector<Peer> peers, std::vector<std::string> revoked_serials) {
  std::set<std::string> revoked(revoked_serials.begin(), revoked_serials.end());
  std::set<PeerId> present, wanted;
  by_address_.clear();
  for (Peer& peer : peers) {
    if (peer.id == 0 || peer.id == shared_.config.self) continue;
    PeerId id = peer.id;
    present.insert(id);
    by_address_[peer.remote.address] = id;
    PeerEntry& entry = peers_[id];
    bool known = entry.peer.id != 0;
    Peer before = std::exchange(entry.peer, std::move(peer));
    entry.gone = false;
    if (!known) continue;
    if (before.key_id != entry.peer.key_id) {
      CloseAllOf(&entry, now, /*tell=*/false, "the peer's identity changed");
    }
    if (before.boot_id != entry.peer.boot_id) {
      bool in_use = !shared_.children.OfPeer(id).empty();
      std::vector<uint64_t> sas(entry.sas.begin(), entry.sas.end());
      for (uint64_t spi : sas) {
        IkeSa* sa = FindSa(spi);
        if (sa == nullptr) continue;
        if (sa->established() == absl::InfiniteFuture()) {
          // A first message that nobody has answered went to the old process: its next repeat may be seconds away.
          if (!sa->initiator() || sa->spi_r() != 0) continue;
          sa->Close(now, /*tell=*/false, /*failed=*/false, "the peer restarted");
          in_use = true;
          continue;
        }
        // One that the new process made, before the view told us of it, stays.
        if (sa->peer_boot_id() != 0 && sa->peer_boot_id() == entry.peer.boot_id) continue;
        sa->Close(now, /*tell=*/false, /*failed=*/false, "the peer restarted");
      }
      entry.failures = 0;
      entry.retry_at = absl::InfinitePast();
      if (in_use && shared_.children.ActiveOf(id) == nullptr) wanted.insert(id);
    }
  }
  std::vector<PeerId> touched;
  for (auto& [id, entry] : peers_) {
    touched.push_back(id);
    if (!present.contains(id) && !entry.gone) {
      CloseAllOf(&entry, now, /*tell=*/true, "not in the view any more");
      entry.gone = true;
      entry.start_at = entry.surplus_at = absl::InfiniteFuture();
      continue;
    }
    for (IkeSa* sa : UpSas(entry)) {
      if (revoked.contains(sa->proof().serial)) {
        sa->Close(now, /*tell=*/true, /*failed=*/true, "certificate revoked");
      }
    }
  }
  for (PeerId id : touched) SettlePeer(id);
  for (PeerId id : wanted) Acquire(now, id);
}

PeerReport EngineImpl::ReportOf(const PeerEntry& entry) const {
  PeerReport out;
  out.id = entry.peer.id;
  out.last_error = entry.last_error;
  out.last_error_at = entry.last_error_at;
  if (const IkeSa* sa = Primary(entry); sa != nullptr) {
    out.state = PeerState::kUp;
    out.initiator = sa->initiator();
    out.spi_local = sa->own_spi();
    out.spi_remote = sa->initiator() ? sa->spi_r() : sa->spi_i();
    out.suite = sa->description();
    out.established = sa->established();
    out.rekey_at = sa->rekey_at();
    out.certificate_not_after = sa->not_after();
    out.certificate_serial = sa->proof().serial;
  } else if (Connecting(entry)) {
    out.state = PeerState::kConnecting;
  } else if (entry.failures > 0) {
    out.state = PeerState::kFailed;
  }
  for (const ChildSa* child : shared_.children.AllOfPeer(entry.peer.id)) {
    out.children.push_back({child->id, child->suite, child->esn, std::string(ToString(child->state)),
                            child->established, child->rekey_at});
  }
  return out;
}

}  // namespace espalier::ike
