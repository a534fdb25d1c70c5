// The IKEv2 engine of one node: every IKE SA, its Child SAs and timers. Pure: see host.h. Single-threaded.
#ifndef ESPALIER_AGENT_IKE_ENGINE_H_
#define ESPALIER_AGENT_IKE_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/ike/host.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::ike {

struct Config {
  PeerId self = 0;
  // This agent process's, as the view tells it to the peers (Peer::boot_id); sent inside IKE_AUTH, so that a peer knows
  // which SAs a change of it in the view makes dead. 0: not known.
  uint64_t boot_id = 0;
  std::vector<EspSuite> esp = {EspSuite::kAesGcm256, EspSuite::kAesGcm128, EspSuite::kChaCha20Poly1305};
  std::vector<EspSuite> ike = {EspSuite::kAesGcm256, EspSuite::kAesGcm128, EspSuite::kChaCha20Poly1305};
  std::vector<uint16_t> key_exchanges = {31, 19, 20};  // X25519, P-256, P-384: IANA numbers of transform type 4
  bool post_quantum = true;  // offer ML-KEM-768 as ADDKE1, and demand it where both nodes can (IKE-084)
  uint32_t replay_window = 4096;
  absl::Duration child_lifetime = absl::Hours(1);  // rekeyed before it, with jitter (IKE-069)
  uint64_t child_bytes = uint64_t{1} << 36;
  uint64_t child_packets = uint64_t{1} << 32;
  absl::Duration ike_lifetime = absl::Hours(4);
  absl::Duration dpd_interval = absl::Seconds(30);
  absl::Duration child_idle = absl::Minutes(10);  // a child without traffic goes
  absl::Duration retransmit_first = absl::Milliseconds(500);
  double retransmit_base = 1.8;
  int retransmit_tries = 12;
  size_t fragment_size = 1280;   // IP datagram octets (IKE-070)
  size_t cookie_threshold = 64;  // half-open IKE SAs from which cookies are asked
  size_t half_open_limit = 4096;
  size_t initiations_per_second = 200;  // IKE-094
};

// A node of the view that we may talk to.
struct Peer {
  PeerId id = 0;
  std::string name;
  Bytes key_id;  // the SPIFFE id it must prove
  Endpoint local, remote;
  uint64_t boot_id = 0;
  bool mlkem = false;
};

enum class PeerState { kNone, kConnecting, kUp, kFailed };

struct PeerReport {
  PeerId id = 0;
  PeerState state = PeerState::kNone;
  bool initiator = false;
  uint64_t spi_local = 0, spi_remote = 0;
  std::string suite;  // "AES-256-GCM/PRF-HMAC-SHA2-512/X25519+ML-KEM-768"
  absl::Time established, rekey_at, certificate_not_after;
  std::string certificate_serial;
  std::string last_error;
  absl::Time last_error_at;
  struct Child {
    ChildId id;
    EspSuite suite;
    bool esn;
    std::string state;  // installed, active, rekeyed, closing
    absl::Time established, rekey_at;
  };
  std::vector<Child> children;
};

// Traffic of a Child SA, as the datapath counts it.
struct ChildTraffic {
  uint64_t bytes = 0, packets = 0;  // both directions: the larger counts
  absl::Time last_in, last_out;     // of authenticated, fresh packets; InfinitePast: never
};

class Engine {
 public:
  // `host` outlives the engine.
  static std::unique_ptr<Engine> Create(Config config, Host* host);
  virtual ~Engine() = default;

  // For new SAs and at the next rekey.
  virtual void SetConfig(Config config) = 0;
  // The whole set of peers. SAs of peers that are gone, or whose key_id or boot_id changed, are closed; those whose
  // certificate serial is in `revoked` too.
  virtual void SetPeers(absl::Time now, std::vector<Peer> peers, std::vector<std::string> revoked_serials) = 0;

  // One IKE message (without non-ESP marker), as it came.
  virtual void OnDatagram(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan message) = 0;
  // Runs what is due. Call it at NextDeadline().
  virtual void OnTimer(absl::Time now) = 0;
  virtual absl::Time NextDeadline() const = 0;  // InfiniteFuture: nothing

  // There is traffic to this peer and no outbound SA: start what is missing. Merged and rate-limited; a no-op while one
  // is under way or up.
  virtual void Acquire(absl::Time now, PeerId peer) = 0;
  // A valid packet came in on this inbound SPI for the first time (RFC 7296 section 2.8: the responder of a rekey may
  // switch).
  virtual void OnFirstInbound(absl::Time now, uint32_t spi_in) = 0;
  // Traffic counters since installation; the engine decides on rekey, idle and liveness.
  virtual void OnTraffic(absl::Time now, const ChildId& child, const ChildTraffic& traffic) = 0;
  // ESP with an unknown SPI came from this address (IKE-055).
  virtual void OnUnknownSpi(absl::Time now, const Endpoint& local, const Endpoint& remote, uint32_t spi) = 0;

  virtual void RekeyChild(absl::Time now, PeerId peer) = 0;
  virtual void RekeyIke(absl::Time now, PeerId peer) = 0;
  // Sends Delete for every IKE SA (clean shutdown); what it sends is not retransmitted.
  virtual void CloseAll(absl::Time now) = 0;

  virtual std::vector<PeerReport> Report() const = 0;
  // Monotonic counters by cause, for metrics ("ike_packets_malformed", "auth_failed", ...): a fixed list.
  virtual std::map<std::string, uint64_t> Counters() const = 0;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_ENGINE_H_
