// What the IKEv2 engine needs of the world around it. The engine does no I/O, reads no clock and draws no randomness by
// itself: the agent, the tests and the simulator each implement Host.
//
// Threads: the engine calls Host on the thread that called the engine, and never keeps a reference past the call.
#ifndef ESPALIER_AGENT_IKE_HOST_H_
#define ESPALIER_AGENT_IKE_HOST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/ip.h"
#include "common/secret.h"

namespace espalier::ike {

// A peer's name in the view; the tunnel's id. 0 is nobody.
using PeerId = uint32_t;

// ESP suites that a Child SA can have (RFC 8221 section 5).
enum class EspSuite : uint8_t { kAesGcm128 = 1, kAesGcm256 = 2, kChaCha20Poly1305 = 3 };

// One direction of a Child SA, ready for a datapath. `key` is KEYMAT with its 4 octets of salt at the end
// (RFC 4106 section 8.1).
struct EspSa {
  PeerId peer = 0;
  uint32_t spi = 0;  // host order; inbound: ours, outbound: the peer's
  EspSuite suite = EspSuite::kAesGcm256;
  Secret key;
  bool esn = true;
  uint32_t replay_window = 4096;  // inbound only, packets
  Endpoint local, remote;         // of the UDP encapsulation
};

struct ChildId {
  PeerId peer = 0;
  uint32_t spi_in = 0;   // ours
  uint32_t spi_out = 0;  // the peer's
};

// What a peer's certificate chain proved.
struct Proof {
  PeerId peer = 0;
  std::string name;           // the node's name
  std::string serial;         // hex
  absl::Time not_after;       // the IKE SA must not outlive it (RFC 4301 section 4.4.2.1)
  Bytes public_key_spki_der;  // of the leaf, for the AUTH signature
};

class Host {
 public:
  virtual ~Host() = default;

  // Sends one IKE message; the non-ESP marker of port 4500 is the host's business.
  virtual void Send(const Endpoint& local, const Endpoint& remote, ByteSpan message) = 0;

  virtual void Random(std::span<uint8_t> out) = 0;

  // Wall clock, for certificates only.
  virtual absl::Time WallNow() = 0;

  // Makes the datapath accept (inbound) or use (outbound) an SA. Outbound replaces the peer's previous outbound SA in
  // one step: packets go out on the new one from here on. An error means that nothing was installed.
  virtual absl::Status InstallInbound(EspSa sa) = 0;
  virtual absl::Status InstallOutbound(EspSa sa) = 0;
  virtual void RemoveInbound(PeerId peer, uint32_t spi) = 0;
  virtual void RemoveOutbound(PeerId peer, uint32_t spi) = 0;

  // Validates a chain (leaf first, DER) and the identity claimed with it (KEY_ID octets): path to the trust bundle,
  // times, leaf rules, revocation, SPIFFE id equal to the claimed one, node in the current view (IKE-036 to 038).
  // The message of an error is for the log, never for the wire.
  virtual absl::StatusOr<Proof> Authenticate(const std::vector<Bytes>& chain_der, ByteSpan claimed_key_id) = 0;
  // Our own: leaf first; KEY_ID octets (the SPIFFE id); DER signature over `data` with SHA2-256 (ECDSA P-256).
  virtual std::vector<Bytes> LocalChain() = 0;
  virtual Bytes LocalKeyId() = 0;
  virtual absl::StatusOr<Bytes> Sign(ByteSpan data) = 0;
  // SHA-1 of each trust anchor's SubjectPublicKeyInfo, concatenated (RFC 7296 section 3.7).
  virtual Bytes TrustAnchorHashes() = 0;

  // Something changed about a peer that a person or a metric may want to know. `what` is a short fixed word
  // ("established", "failed", "rekeyed", "closed", "child-established", "child-rekeyed", "child-closed"), `detail` one
  // sentence, escaped.
  virtual void OnPeerEvent(PeerId peer, absl::string_view what, absl::string_view detail) = 0;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_HOST_H_
