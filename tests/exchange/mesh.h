// Engines in one process with a clock, a network and datapaths of our making.
//
// The network delivers each datagram after a delay, drawn from a seed; it can lose, repeat and reorder, and a test can
// look at, drop or hold each one. The datapath knows which (SPI, key) each node would open, so that "whatever this node
// sends now, its peer can open" is checked at every step.
#ifndef ESPALIER_TESTS_EXCHANGE_MESH_H_
#define ESPALIER_TESTS_EXCHANGE_MESH_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/ike/engine.h"
#include "agent/ike/wire/message.h"
#include "gtest/gtest.h"
#include "tests/exchange/node_identity.h"

namespace espalier::ike {

struct Datagram {
  Endpoint from, to;
  Bytes octets;
  wire::Header header() const { return wire::ParseHeader(octets).value_or(wire::Header()); }
  // "IKE_SA_INIT 0 -->" by the sender's role in the exchange.
  std::string ToString() const;
};

class Mesh;

class Node : public Host {
 public:
  Node(Mesh* mesh, PeerId id, Config config, uint64_t seed);

  PeerId id() const { return id_; }
  const Endpoint& endpoint() const { return endpoint_; }
  Engine& engine() { return *engine_; }
  // As a killed process that starts again: no memory, no datapath, another boot id.
  void Restart();
  uint64_t boot_id() const { return config_.boot_id; }
  Config& config() { return config_; }

  // What a test breaks.
  NodeIdentity identity;
  bool refuse_inbound = false, refuse_outbound = false;
  std::set<PeerId> distrusted;
  absl::Duration peers_life = absl::InfiniteDuration();  // of the certificates that it sees, from when it sees them

  // The datapath.
  struct Sa {
    PeerId peer;
    Bytes key;
    EspSuite suite;
  };
  std::map<uint32_t, Sa> inbound;                      // by SPI
  std::map<PeerId, std::pair<uint32_t, Sa>> current;   // the outbound SA of each peer
  std::map<std::pair<PeerId, uint32_t>, Sa> outbound;  // every one that is known
  std::set<std::pair<uint32_t, Bytes>> used_outbound;  // ever: none may come twice
  std::vector<std::string> events;
  uint64_t sent_octets = 0, received_octets = 0;

  // Host
  void Send(const Endpoint& local, const Endpoint& remote, ByteSpan message) override;
  void Random(std::span<uint8_t> out) override;
  absl::Time WallNow() override;
  absl::Status InstallInbound(EspSa sa) override;
  absl::Status InstallOutbound(EspSa sa) override;
  void RemoveInbound(PeerId peer, uint32_t spi) override;
  void RemoveOutbound(PeerId peer, uint32_t spi) override;
  absl::StatusOr<Proof> Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_key_id) override;
  std::vector<Bytes> LocalChain() override;
  Bytes LocalKeyId() override;
  absl::StatusOr<Bytes> Sign(ByteSpan data) override;
  Bytes TrustAnchorHashes() override;
  void OnPeerEvent(PeerId peer, absl::string_view what, absl::string_view detail) override;

 private:
  friend class Mesh;
  Mesh* mesh_;
  PeerId id_;
  Config config_;
  Endpoint endpoint_;
  std::mt19937_64 random_;
  std::unique_ptr<Engine> engine_;
};

class Mesh {
 public:
  explicit Mesh(uint64_t seed = 1);

  Node& Add(PeerId id, Config config = {});
  Node& node(PeerId id) { return *nodes_.at(id); }
  // Everybody knows everybody, with their current boot ids.
  void ShareView();
  void ShareViewWith(Node& node, const std::set<PeerId>& without = {});

  absl::Time now() const { return now_; }
  // Runs until nothing happens before `until`, or `done` holds. False: `done` did not come to hold.
  void RunFor(absl::Duration d) { RunUntil(now_ + d, {}); }
  bool RunUntil(absl::Time until, const std::function<bool()>& done);
  bool RunUntil(const std::function<bool()>& done) { return RunUntil(now_ + absl::Minutes(30), done); }
  // Delivers what is on the way now, and what follows at once.
  void Settle() { RunFor(absl::Milliseconds(200)); }

  // An IKE SA and a child between the two, made by `from`, and used both ways.
  ::testing::AssertionResult Connect(PeerId from, PeerId to);
  // Both engines have no timer left and both datapaths nothing: what a failure must leave behind (IKE-090).
  ::testing::AssertionResult NothingLeft();

  // Network.
  double loss = 0, duplicate = 0;
  absl::Duration delay = absl::Milliseconds(1), jitter = absl::ZeroDuration();
  // Called for each datagram as it is sent: false drops it.
  std::function<bool(const Datagram&)> filter;
  // Every datagram sent, in order, when set.
  bool record = false;
  std::vector<Datagram> sent;
  void Inject(const Datagram& d, absl::Duration after = absl::ZeroDuration());

  // One ESP packet from a to b: opened by b? Tells b's engine of the first on an SA, or of an unknown SPI.
  enum class Packet { kNoSa, kOpened, kUnknownSpi, kBadKey };
  Packet SendPacket(PeerId from, PeerId to);
  // Traffic counters to the engines, as a datapath does it once a second.
  void ReportTraffic();
  // Every node's current outbound SA is one that its peer opens.
  ::testing::AssertionResult AllOpenable();
  // Exactly one IKE SA that is up, and one child that sends, on either end; they are each other's.
  ::testing::AssertionResult OnePair(PeerId a, PeerId b);

 private:
  friend class Node;
  struct Flight {
    absl::Time at;
    uint64_t order;
    Datagram datagram;
    bool operator<(const Flight& o) const { return std::tie(at, order) < std::tie(o.at, o.order); }
  };
  void Transmit(Datagram d);
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  Node* At(const Endpoint& e);

  std::mt19937_64 random_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::map<PeerId, std::unique_ptr<Node>> nodes_;
  std::set<Flight> flights_;
  uint64_t order_ = 0;
  struct Traffic {
    uint64_t bytes = 0, packets = 0;
    absl::Time last_in = absl::InfinitePast(), last_out = absl::InfinitePast();
  };
  std::map<std::pair<PeerId, uint32_t>, Traffic> traffic_in_;   // by node and inbound SPI
  std::map<std::pair<PeerId, uint32_t>, Traffic> traffic_out_;  // by node and outbound SPI
  std::set<std::pair<PeerId, uint32_t>> seen_inbound_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_TESTS_EXCHANGE_MESH_H_
