// The userspace datapath as the agent sees it: the control thread's side of the worker.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/datapath/datapath.h"
#include "agent/datapath/worker.h"
#include "agent/esp/tunnel_rules.h"

namespace espalier::datapath {
namespace {

constexpr uint8_t kNonEspMarker[4] = {0, 0, 0, 0};  // RFC 3948 section 2.2
constexpr int kMinOuterMtu = 576;

std::map<Drop, uint64_t> ToMap(const DropCounts& counts, bool zeros) {
  std::map<Drop, uint64_t> out;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (zeros || counts[i] != 0) out[static_cast<Drop>(i)] = counts[i];
  }
  return out;
}

void Fill(const SaCounts& counts, SaCounters* out) {
  out->packets = counts.packets;
  out->bytes = counts.bytes;
  if (counts.last_used_ns != 0) out->last_used = absl::FromUnixNanos(counts.last_used_ns);
  out->drops = ToMap(counts.drops, /*zeros=*/false);
}

SaCounters Describe(const OutboundTunnel& t) {
  SaCounters out;
  out.peer = t.peer;
  out.spi = t.sa->spi();
  out.sequence = t.sa->sequence();
  Fill(t.counts, &out);
  return out;
}

class UserDatapath final : public Datapath {
 public:
  explicit UserDatapath(std::unique_ptr<Worker> worker) : worker_(std::move(worker)) {}

  absl::Status InstallInbound(EspSa sa) override {
    auto made = esp::InboundSa::Create(sa);
    if (!made.ok()) return made.status();
    auto tunnel = std::make_unique<InboundTunnel>();
    tunnel->peer = sa.peer;
    tunnel->sa = *std::move(made);
    tunnel->inner_mtu = InnerMtuOf(sa.local.address);
    absl::Status status;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound&) {
      if (!state.inbound.try_emplace(sa.spi, std::move(tunnel)).second) {
        status = absl::AlreadyExistsError(absl::StrCat("inbound SPI ", absl::Hex(sa.spi), " is in use"));
      }
    });
    return status;
  }

  absl::Status InstallOutbound(EspSa sa) override {
    if (sa.peer == 0) return absl::InvalidArgumentError("an outbound SA without a peer");
    UdpSocket* socket = worker_->SocketFor(sa.local.address);
    if (socket == nullptr || socket->local().address.is_v6() != sa.remote.address.is_v6()) {
      return absl::FailedPreconditionError(
          absl::StrCat("no local address to reach ", sa.remote.ToString(), " from ", sa.local.ToString()));
    }
    auto made = esp::OutboundSa::Create(sa);
    if (!made.ok()) return made.status();
    auto tunnel = std::make_unique<OutboundTunnel>();
    tunnel->peer = sa.peer;
    tunnel->sa = *std::move(made);
    tunnel->route.socket = socket;
    tunnel->route.remote = SocketAddress::Of(sa.remote);
    tunnel->route.owner = tunnel.get();
    tunnel->remote = sa.remote.address;
    tunnel->inner_mtu = InnerMtuOf(sa.remote.address);
    absl::Status status;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound& outbound) {
      Peer& peer = state.peers[sa.peer];
      // The same SPI with the same key would start its numbers, and so its nonces, again.
      const auto same = [&](const std::unique_ptr<OutboundTunnel>& t) {
        return t != nullptr && t->sa->spi() == sa.spi;
      };
      if (same(peer.current) || std::any_of(peer.previous.begin(), peer.previous.end(), same)) {
        status = absl::AlreadyExistsError(absl::StrCat("outbound SPI ", absl::Hex(sa.spi), " is installed"));
        return;
      }
      if (peer.current != nullptr) {
        if (peer.current->remote == tunnel->remote) {  // the path is the same, whatever the key
          tunnel->inner_mtu = std::min(tunnel->inner_mtu, peer.current->inner_mtu);
          tunnel->path_until_ns = peer.current->path_until_ns;
        }
        peer.previous.push_back(std::move(peer.current));
      }
      peer.current = std::move(tunnel);
      outbound.Release(sa.peer);
    });
    return status;
  }

  void RemoveInbound(uint32_t spi) override {
    std::unique_ptr<InboundTunnel> gone;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound&) {
      auto it = state.inbound.find(spi);
      if (it == state.inbound.end()) return;
      gone = std::move(it->second);
      state.inbound.erase(it);
    });
  }

  void RemoveOutbound(PeerId id, uint32_t spi) override {
    std::unique_ptr<OutboundTunnel> gone;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound&) {
      auto it = state.peers.find(id);
      if (it == state.peers.end()) return;
      Peer& peer = it->second;
      if (peer.current != nullptr && peer.current->sa->spi() == spi) gone = std::move(peer.current);
      for (auto p = peer.previous.begin(); p != peer.previous.end(); ++p) {
        if ((*p)->sa->spi() != spi) continue;
        gone = std::move(*p);
        peer.previous.erase(p);
        break;
      }
    });
  }

  void SetSnapshot(std::shared_ptr<const policy::Snapshot> snapshot) override {
    worker_->Call([&](WorkerState& state, Inbound&, Outbound& outbound) {
      state.snapshot.swap(snapshot);  // the old one is freed on this side
      ++state.generation;
      outbound.SnapshotChanged();
    });
  }

  void SendIke(const Endpoint& local, const Endpoint& remote, ByteSpan message) override {
    UdpSocket* socket = worker_->SocketFor(local.address);
    if (socket == nullptr) {
      LOG_EVERY_N_SEC(WARNING, 1) << "no socket to send IKE from local=" << local.ToString();
      return;
    }
    if (absl::Status s = socket->SendOne(remote, kNonEspMarker, message); !s.ok()) {
      LOG_EVERY_N_SEC(WARNING, 1) << "IKE not sent: " << s.ToString();
    }
  }

  std::vector<SaCounters> Counters() override {
    std::vector<SaCounters> out;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound&) {
      for (const auto& [spi, t] : state.inbound) {
        SaCounters& c = out.emplace_back();
        c.peer = t->peer;
        c.spi = spi;
        c.inbound = true;
        c.sequence = t->sa->sequence();
        Fill(t->counts, &c);
      }
      for (const auto& [id, peer] : state.peers) {
        if (peer.current != nullptr) out.push_back(Describe(*peer.current));
        for (const auto& t : peer.previous) out.push_back(Describe(*t));
      }
    });
    return out;
  }

  std::map<Drop, uint64_t> Drops() override {
    std::map<Drop, uint64_t> out;
    worker_->Call([&](WorkerState& state, Inbound&, Outbound&) { out = ToMap(state.drops, /*zeros=*/true); });
    return out;
  }

  std::map<PeerId, uint64_t> Held() override {
    std::map<PeerId, uint64_t> out;
    worker_->Call([&](WorkerState&, Inbound&, Outbound& outbound) { out = outbound.Held(); });
    return out;
  }

  // The smallest over the families that tunnels can take.
  int inner_mtu() const override {
    size_t smallest = SIZE_MAX;
    for (const IpAddress& a : worker_->options().local_addresses) smallest = std::min(smallest, InnerMtuOf(a));
    return static_cast<int>(smallest);
  }
  std::string device() const override { return worker_->tun().name(); }
  int device_index() const override { return worker_->tun().index(); }

 private:
  size_t InnerMtuOf(const IpAddress& outer) const {
    return esp::InnerMtu(static_cast<size_t>(worker_->options().outer_mtu), outer.is_v6());
  }

  std::unique_ptr<Worker> worker_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Datapath>> CreateUserDatapath(Options options, Events events) {
  if (options.local_addresses.empty()) return absl::InvalidArgumentError("no local address for UDP encapsulation");
  if (options.outer_mtu < kMinOuterMtu || options.outer_mtu > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("outer MTU ", options.outer_mtu, " is not within 576 to 65535"));
  }
  if (!events.acquire) events.acquire = [](PeerId) {};
  if (!events.first_inbound) events.first_inbound = [](uint32_t) {};
  if (!events.ike) events.ike = [](Endpoint, Endpoint, Bytes) {};
  if (!events.unknown_spi) events.unknown_spi = [](Endpoint, Endpoint, uint32_t) {};
  auto tun = TunDevice::Open(options.device, options.outer_mtu);
  if (!tun.ok()) return tun.status();
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  for (const IpAddress& address : options.local_addresses) {
    auto socket = UdpSocket::Open({address, options.port});
    if (!socket.ok()) return socket.status();
    sockets.push_back(*std::move(socket));
  }
  std::vector<std::unique_ptr<IcmpSocket>> icmp;
  for (const bool v6 : {false, true}) {
    if (std::none_of(sockets.begin(), sockets.end(), [&](const auto& s) { return s->local().address.is_v6() == v6; })) {
      continue;
    }
    auto socket = IcmpSocket::Open(v6);
    if (!socket.ok()) return socket.status();
    icmp.push_back(*std::move(socket));
  }
  auto worker = std::make_unique<Worker>(std::move(options), std::move(events), *std::move(tun), std::move(sockets),
                                         std::move(icmp));
  if (absl::Status s = worker->Start(); !s.ok()) return s;
  return std::make_unique<UserDatapath>(std::move(worker));
}

}  // namespace espalier::datapath
