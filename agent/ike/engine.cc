#include "agent/ike/engine.h"

#include <algorithm>
#include <utility>

#include "agent/ike/engine_impl.h"
#include "agent/ike/wire/error.h"
#include "agent/ike/wire/message.h"

namespace espalier::ike {

std::unique_ptr<Engine> Engine::Create(Config config, Host* host) {
  return std::make_unique<EngineImpl>(std::move(config), host);
}

EngineImpl::EngineImpl(Config config, Host* host)
    : shared_(host, std::move(config), this),
      cookies_(shared_.random),
      initiations_(static_cast<double>(std::max<size_t>(1, shared_.config.initiations_per_second)),
                   static_cast<double>(std::max<size_t>(1, shared_.config.initiations_per_second))) {}

EngineImpl::~EngineImpl() = default;

void EngineImpl::SetConfig(Config config) {
  if (config.initiations_per_second != shared_.config.initiations_per_second) {
    double rate = static_cast<double>(std::max<size_t>(1, config.initiations_per_second));
    initiations_ = TokenBucket(rate, rate);
  }
  shared_.config = std::move(config);
}

void EngineImpl::OnDatagram(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan datagram) {
  shared_.counters.Add(Counter::kPacketsIn);
  absl::StatusOr<wire::Message> message = wire::ParseMessage(datagram);
  if (!message.ok()) {
    if (wire::FaultOf(message.status()) == wire::Fault::kMajorVersion) {
      shared_.counters.Add(Counter::kBadVersion);
      Bytes answer = wire::MajorVersionAnswer(datagram);
      if (!answer.empty() && unprotected_answers_.Take(now)) {
        shared_.counters.Add(Counter::kPacketsOut);
        shared_.host->Send(local, remote, answer);
      }
    } else {
      shared_.counters.Add(Counter::kMalformed);  // ERR-03
    }
    return;
  }
  const wire::Header& header = message->header;
  if (header.exchange == wire::ExchangeType::kIkeSaInit && !header.response) {
    OnInitRequest(now, local, remote, datagram, *message);
    return;
  }
  // By our own SPI alone (IKE-002).
  IkeSa* sa = FindSa(header.receiver_spi());
  if (sa == nullptr) {
    shared_.counters.Add(Counter::kUnknownSpi);
    // IKE-055. Only to what looks like a request under an IKE SA that we may have lost.
    if (!header.response && message->encrypted.has_value() && unprotected_answers_.Take(now)) {
      AnswerUnprotected(local, remote, header, wire::NotifyPayload(wire::NotifyType::kInvalidIkeSpi));
    }
    return;
  }
  sa->OnMessage(now, local, remote, datagram, *message);
  Settle(sa);
}

void EngineImpl::OnTimer(absl::Time now) {
  shared_.children.RemoveExpired(now);
  std::vector<uint64_t> due;
  for (const auto& [at, spi] : deadlines_) {
    if (at > now) break;
    due.push_back(spi);
  }
  for (uint64_t spi : due) {
    IkeSa* sa = FindSa(spi);
    if (sa == nullptr) continue;
    sa->OnTimer(now);
    Settle(sa);
  }
  std::vector<PeerId> peers_due;
  for (const auto& [at, id] : peer_deadlines_) {
    if (at > now) break;
    peers_due.push_back(id);
  }
  for (PeerId id : peers_due) {
    if (PeerEntry* entry = Entry(id); entry != nullptr) OnPeerTimer(entry, now);
    SettlePeer(id);
  }
}

absl::Time EngineImpl::NextDeadline() const {
  absl::Time at = shared_.children.NextRemoval();
  if (!deadlines_.empty()) at = std::min(at, deadlines_.begin()->first);
  if (!peer_deadlines_.empty()) at = std::min(at, peer_deadlines_.begin()->first);
  return at;
}

void EngineImpl::OnFirstInbound(absl::Time now, uint32_t spi_in) {
  ChildSa* child = shared_.children.Find(spi_in);
  if (child == nullptr || child->state == ChildState::kClosing || child->owner == nullptr) return;
  IkeSa* sa = child->owner;
  sa->Touch(now);
  child->last_in = std::max(child->last_in, now);
  child->last_traffic = std::max(child->last_traffic, now);
  // RFC 7296 section 2.8: what comes on the new SA shows that the peer has it.
  if (child->state == ChildState::kInstalled && child->outbound.has_value() &&
      !(IsSurplus(sa) && shared_.children.ActiveOf(child->id.peer) != nullptr)) {
    if (!shared_.children.Activate(child).ok()) {
      shared_.counters.Add(Counter::kInstallFailed);
      sa->DeleteChild(now, child);
    }
  }
  Settle(sa);
}

void EngineImpl::OnTraffic(absl::Time now, const ChildId& id, const ChildTraffic& traffic) {
  ChildSa* child = shared_.children.Find(id.spi_in);
  if (child == nullptr || child->id.peer != id.peer) return;
  if (child->owner == nullptr) {
    // One that is going: its last packets show that the tunnel is not idle.
    if (ChildSa* active = shared_.children.ActiveOf(id.peer); active != nullptr) {
      active->last_traffic = std::max({active->last_traffic, traffic.last_in, traffic.last_out});
    }
    return;
  }
  IkeSa* sa = child->owner;
  sa->OnTraffic(now, child, traffic);
  Settle(sa);
}

void EngineImpl::OnUnknownSpi(absl::Time now, const Endpoint& /*local*/, const Endpoint& remote, uint32_t spi) {
  auto it = by_address_.find(remote.address);
  PeerEntry* entry = it == by_address_.end() ? nullptr : Entry(it->second);
  IkeSa* sa = entry == nullptr ? nullptr : Primary(*entry);
  // Without an IKE SA nothing is said (IKE-055).
  if (sa == nullptr) return;
  sa->ReportUnknownSpi(now, spi);
  Settle(sa);
}

void EngineImpl::RekeyChild(absl::Time now, PeerId peer) {
  ChildSa* child = shared_.children.ActiveOf(peer);
  if (child == nullptr || child->owner == nullptr) return;
  IkeSa* sa = child->owner;
  sa->RekeyChild(now, child);
  Settle(sa);
}

void EngineImpl::RekeyIke(absl::Time now, PeerId peer) {
  PeerEntry* entry = Entry(peer);
  IkeSa* sa = entry == nullptr ? nullptr : Primary(*entry);
  if (sa == nullptr) return;
  sa->Rekey(now);
  Settle(sa);
}

void EngineImpl::CloseAll(absl::Time now) {
  std::vector<uint64_t> all;
  for (const auto& [spi, sa] : sas_) all.push_back(spi);
  std::ranges::sort(all);
  for (uint64_t spi : all) {
    if (IkeSa* sa = FindSa(spi); sa != nullptr) sa->SendLastDelete(now);
  }
  for (uint64_t spi : all) SettleSa(spi);
  for (auto& [id, entry] : peers_) {
    entry.wanted = absl::InfinitePast();
    entry.start_at = absl::InfiniteFuture();
    NotePeerDeadline(&entry);
  }
}

std::vector<PeerReport> EngineImpl::Report() const {
  std::vector<PeerReport> out;
  for (const auto& [id, entry] : peers_) {
    if (!entry.gone) out.push_back(ReportOf(entry));
  }
  return out;
}

std::map<std::string, uint64_t> EngineImpl::Counters() const { return shared_.counters.All(); }

// ---- bookkeeping

IkeSa* EngineImpl::FindSa(uint64_t own_spi) {
  auto it = sas_.find(own_spi);
  return it == sas_.end() ? nullptr : it->second.get();
}

void EngineImpl::Settle(IkeSa* sa) {
  if (sa == nullptr) return;
  PeerId peer = sa->peer_id();
  SettleSa(sa->own_spi());
  if (peer != 0) SettlePeer(peer);
}

void EngineImpl::SettlePeer(PeerId id) {
  auto it = peers_.find(id);
  if (it == peers_.end()) return;
  std::vector<uint64_t> sas(it->second.sas.begin(), it->second.sas.end());
  for (uint64_t spi : sas) SettleSa(spi);
  if (it->second.gone && it->second.sas.empty()) {
    peer_deadlines_.erase({it->second.deadline, id});
    peers_.erase(it);
    return;
  }
  NotePeerDeadline(&it->second);
}

void EngineImpl::SettleSa(uint64_t own_spi) {
  auto it = sas_.find(own_spi);
  if (it == sas_.end()) return;
  IkeSa* sa = it->second.get();
  auto noted = deadline_of_.find(own_spi);
  if (sa->state() == IkeState::kDead) {
    if (noted != deadline_of_.end()) {
      deadlines_.erase({noted->second, own_spi});
      deadline_of_.erase(noted);
    }
    half_open_.Remove(own_spi);
    if (auto peer = peers_.find(sa->peer_id()); peer != peers_.end()) peer->second.sas.erase(own_spi);
    sas_.erase(it);
    return;
  }
  if (sa->state() != IkeState::kHalfOpen) half_open_.Finished(own_spi);
  absl::Time at = sa->Deadline();
  if (noted != deadline_of_.end()) {
    if (noted->second == at) return;
    deadlines_.erase({noted->second, own_spi});
  }
  if (at == absl::InfiniteFuture()) {
    if (noted != deadline_of_.end()) deadline_of_.erase(noted);
    return;
  }
  deadline_of_[own_spi] = at;
  deadlines_.insert({at, own_spi});
}

void EngineImpl::NotePeerDeadline(PeerEntry* entry) {
  absl::Time at = std::min(entry->start_at, entry->surplus_at);
  if (at == entry->deadline) return;
  peer_deadlines_.erase({entry->deadline, entry->peer.id});
  entry->deadline = at;
  if (at != absl::InfiniteFuture()) peer_deadlines_.insert({at, entry->peer.id});
}

}  // namespace espalier::ike
