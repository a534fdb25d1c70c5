#include "tests/exchange/mesh.h"

#include <algorithm>
#include <utility>

#include "absl/log/globals.h"
#include "absl/strings/str_cat.h"

namespace espalier::ike {
namespace {

Endpoint EndpointOf(PeerId id) { return {*IpAddress::Parse(absl::StrCat("192.0.2.", id)), 4500}; }

Bytes Octets(const Secret& s) { return Bytes(s.span().begin(), s.span().end()); }

}  // namespace

std::string Datagram::ToString() const {
  wire::Header h = header();
  return absl::StrCat(wire::ToString(h.exchange), " ", h.message_id, h.response ? " response" : " request",
                      h.from_initiator ? " from initiator, " : " from responder, ", octets.size(), " octets");
}

// ---- Node

Node::Node(Mesh* mesh, PeerId id, Config config, uint64_t seed)
    : identity(NodeIdentity::Make(id)),
      mesh_(mesh),
      id_(id),
      config_(std::move(config)),
      endpoint_(EndpointOf(id)),
      random_(seed) {
  config_.self = id;
  config_.boot_id = id * 1000 + 1;
  engine_ = Engine::Create(config_, this);
}

void Node::Restart() {
  engine_ = nullptr;
  inbound.clear();
  current.clear();
  outbound.clear();
  ++config_.boot_id;
  engine_ = Engine::Create(config_, this);
}

void Node::Send(const Endpoint& local, const Endpoint& remote, ByteSpan message) {
  sent_octets += message.size();
  mesh_->Transmit({local, remote, Bytes(message.begin(), message.end())});
}

void Node::Random(std::span<uint8_t> out) {
  for (uint8_t& b : out) b = static_cast<uint8_t>(random_());
}

absl::Time Node::WallNow() { return mesh_->now(); }

absl::Status Node::InstallInbound(EspSa sa) {
  if (refuse_inbound) return absl::ResourceExhaustedError("test");
  EXPECT_FALSE(inbound.contains(sa.spi)) << "inbound SPI twice";
  inbound[sa.spi] = {sa.peer, Octets(sa.key), sa.suite};
  return absl::OkStatus();
}

absl::Status Node::InstallOutbound(EspSa sa) {
  if (refuse_outbound) return absl::ResourceExhaustedError("test");
  EXPECT_TRUE(used_outbound.insert({sa.spi, Octets(sa.key)}).second) << "outbound SA taken into use again";
  Sa entry{sa.peer, Octets(sa.key), sa.suite};
  outbound[{sa.peer, sa.spi}] = entry;
  current[sa.peer] = {sa.spi, entry};
  return absl::OkStatus();
}

void Node::RemoveInbound(PeerId peer, uint32_t spi) {
  auto it = inbound.find(spi);
  ASSERT_NE(it, inbound.end()) << "removed what is not there";
  EXPECT_EQ(it->second.peer, peer);
  inbound.erase(it);
}

void Node::RemoveOutbound(PeerId peer, uint32_t spi) {
  EXPECT_EQ(outbound.erase({peer, spi}), 1u) << "removed what is not there";
  auto it = current.find(peer);
  if (it != current.end() && it->second.first == spi) current.erase(it);
}

absl::StatusOr<Proof> Node::Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_key_id) {
  absl::StatusOr<Proof> proof = CheckCertificate(chain_der.front(), claimed_key_id);
  if (proof.ok() && distrusted.contains(proof->peer)) return absl::PermissionDeniedError("revoked");
  if (proof.ok()) proof->not_after = WallNow() + peers_life;
  return proof;
}

std::vector<Bytes> Node::LocalChain() { return {identity.certificate}; }
Bytes Node::LocalKeyId() { return Bytes(identity.spiffe_id.begin(), identity.spiffe_id.end()); }
absl::StatusOr<Bytes> Node::Sign(ByteSpan data) { return SignWith(identity, data); }
Bytes Node::TrustAnchorHashes() { return Bytes(20, 7); }
void Node::OnPeerEvent(PeerId peer, absl::string_view what, absl::string_view detail) {
  events.push_back(absl::StrCat(peer, " ", what, ": ", detail));
}

// ---- Mesh

Mesh::Mesh(uint64_t seed) : random_(seed) { absl::SetMinLogLevel(absl::LogSeverityAtLeast::kFatal); }

::testing::AssertionResult Mesh::Connect(PeerId from, PeerId to) {
  if (!RunUntil(now_ + absl::Minutes(2), [&] { return SendPacket(from, to) == Packet::kOpened; })) {
    return ::testing::AssertionFailure() << "no packet of node " << from << " arrives";
  }
  Settle();
  SendPacket(to, from);
  return OnePair(from, to);
}

::testing::AssertionResult Mesh::NothingLeft() {
  for (auto& [id, node] : nodes_) {
    if (!node->inbound.empty() || !node->outbound.empty()) {
      return ::testing::AssertionFailure() << "node " << id << " still has " << node->inbound.size() << " inbound, "
                                           << node->outbound.size() << " outbound SAs";
    }
    if (node->engine().NextDeadline() != absl::InfiniteFuture()) {
      return ::testing::AssertionFailure()
             << "node " << id << " has a timer in " << node->engine().NextDeadline() - now_;
    }
  }
  return ::testing::AssertionSuccess();
}

Node& Mesh::Add(PeerId id, Config config) {
  nodes_[id] = std::make_unique<Node>(this, id, std::move(config), random_());
  return *nodes_[id];
}

void Mesh::ShareViewWith(Node& node, const std::set<PeerId>& without) {
  std::vector<Peer> peers;
  for (auto& [id, other] : nodes_) {
    if (id == node.id() || without.contains(id)) continue;
    Peer p;
    p.id = id;
    p.name = absl::StrCat("node-", id);
    std::string spiffe = SpiffeIdOf(id);
    p.key_id.assign(spiffe.begin(), spiffe.end());
    p.local = node.endpoint();
    p.remote = other->endpoint();
    p.boot_id = other->boot_id();
    p.mlkem = other->config_.post_quantum;
    peers.push_back(std::move(p));
  }
  node.engine().SetPeers(now_, std::move(peers), {});
}

void Mesh::ShareView() {
  for (auto& [id, node] : nodes_) ShareViewWith(*node);
}

Node* Mesh::At(const Endpoint& e) {
  for (auto& [id, node] : nodes_) {
    if (node->endpoint() == e) return node.get();
  }
  return nullptr;
}

void Mesh::Inject(const Datagram& d, absl::Duration after) { flights_.insert({now_ + after, order_++, d}); }

void Mesh::Transmit(Datagram d) {
  if (record) sent.push_back(d);
  if (filter && !filter(d)) return;
  int copies = Uniform() < duplicate ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (Uniform() < loss) continue;
    flights_.insert({now_ + delay + jitter * Uniform(), order_++, d});
  }
}

bool Mesh::RunUntil(absl::Time until, const std::function<bool()>& done) {
  for (int steps = 0; steps < 20'000'000; ++steps) {
    if (done && done()) return true;
    absl::Time next = flights_.empty() ? absl::InfiniteFuture() : flights_.begin()->at;
    Node* due = nullptr;
    for (auto& [id, node] : nodes_) {
      if (absl::Time at = node->engine().NextDeadline(); at < next) {
        next = at;
        due = node.get();
      }
    }
    if (next > until) {
      now_ = std::max(now_, until);
      return done && done();
    }
    now_ = std::max(now_, next);
    if (due != nullptr) {
      due->engine().OnTimer(now_);
      EXPECT_GT(due->engine().NextDeadline(), now_ - absl::Nanoseconds(1)) << "a deadline that stays in the past";
      continue;
    }
    Datagram d = flights_.begin()->datagram;
    flights_.erase(flights_.begin());
    if (Node* node = At(d.to); node != nullptr) {
      node->received_octets += d.octets.size();
      node->engine().OnDatagram(now_, d.to, d.from, d.octets);
    }
  }
  ADD_FAILURE() << "the simulation does not come to rest";
  return false;
}

Mesh::Packet Mesh::SendPacket(PeerId from, PeerId to) {
  Node& a = node(from);
  Node& b = node(to);
  auto out = a.current.find(to);
  if (out == a.current.end()) {
    a.engine().Acquire(now_, to);
    return Packet::kNoSa;
  }
  const auto& [spi, sa] = out->second;
  Traffic& sent_on = traffic_out_[{from, spi}];
  sent_on.bytes += 100;
  sent_on.packets += 1;
  sent_on.last_out = now_;
  auto in = b.inbound.find(spi);
  if (in == b.inbound.end()) {
    b.engine().OnUnknownSpi(now_, b.endpoint(), a.endpoint(), spi);
    return Packet::kUnknownSpi;
  }
  if (in->second.key != sa.key || in->second.suite != sa.suite || in->second.peer != from) return Packet::kBadKey;
  Traffic& got_on = traffic_in_[{to, spi}];
  got_on.bytes += 100;
  got_on.packets += 1;
  got_on.last_in = now_;
  if (seen_inbound_.insert({to, spi}).second) b.engine().OnFirstInbound(now_, spi);
  return Packet::kOpened;
}

void Mesh::ReportTraffic() {
  for (auto& [id, node] : nodes_) {
    for (const PeerReport& peer : node->engine().Report()) {
      for (const PeerReport::Child& child : peer.children) {
        Traffic in = traffic_in_[{id, child.id.spi_in}], out = traffic_out_[{id, child.id.spi_out}];
        node->engine().OnTraffic(
            now_, child.id,
            {std::max(in.bytes, out.bytes), std::max(in.packets, out.packets), in.last_in, out.last_out});
      }
    }
  }
}

::testing::AssertionResult Mesh::AllOpenable() {
  for (auto& [id, node] : nodes_) {
    for (auto& [peer, out] : node->current) {
      Node& other = this->node(peer);
      auto in = other.inbound.find(out.first);
      if (in == other.inbound.end()) {
        return ::testing::AssertionFailure() << "node " << id << " sends on an SA that node " << peer << " has not";
      }
      if (in->second.key != out.second.key) return ::testing::AssertionFailure() << "keys differ";
    }
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult Mesh::OnePair(PeerId a, PeerId b) {
  for (auto [x, y] : {std::pair(a, b), std::pair(b, a)}) {
    for (const PeerReport& peer : node(x).engine().Report()) {
      if (peer.id != y) continue;
      if (peer.state != PeerState::kUp) return ::testing::AssertionFailure() << "node " << x << " is not up";
      std::string states;
      for (const PeerReport::Child& child : peer.children) absl::StrAppend(&states, child.state, " ");
      if (states != "active ") return ::testing::AssertionFailure() << "children at node " << x << ": " << states;
    }
    if (node(x).inbound.size() != 1 || node(x).outbound.size() != 1 || node(x).current.size() != 1) {
      return ::testing::AssertionFailure() << "node " << x << ": " << node(x).inbound.size() << " inbound, "
                                           << node(x).outbound.size() << " outbound SAs";
    }
  }
  auto spis = [&](PeerId x, PeerId y) {
    for (const PeerReport& peer : node(x).engine().Report()) {
      if (peer.id == y) return std::pair(peer.spi_local, peer.spi_remote);
    }
    return std::pair<uint64_t, uint64_t>();
  };
  if (spis(a, b).first != spis(b, a).second) return ::testing::AssertionFailure() << "not the same IKE SA";
  return AllOpenable();
}

}  // namespace espalier::ike
