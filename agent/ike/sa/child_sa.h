// One Child SA: a pair of ESP SAs (RFC 7296 section 1.3), and all Child SAs of an engine by SPI.
#ifndef ESPALIER_AGENT_IKE_SA_CHILD_SA_H_
#define ESPALIER_AGENT_IKE_SA_CHILD_SA_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/ike/host.h"
#include "agent/ike/sa/traffic_selectors.h"

namespace espalier::ike {

class IkeSa;

enum class ChildState {
  kInstalled,  // inbound only: we answered the peer's request, and it has not shown yet that it has the keys
  kActive,     // both directions; packets to the peer leave on it
  kReplaced,   // both directions are known, but a younger one sends
  kClosing,    // deleted; only its inbound half stays a few seconds for what is on the way
};

absl::string_view ToString(ChildState state);

struct ChildSa {
  ChildId id;
  EspSuite suite = EspSuite::kAesGcm256;
  bool esn = true;
  bool we_initiated = false;  // the exchange that made it was ours
  std::string key_exchange;   // "X25519+ML-KEM-768", or that of the IKE SA
  ChildState state = ChildState::kInstalled;
  IkeSa* owner = nullptr;  // never null while not kClosing
  TrafficSelectors ts_local, ts_remote;
  std::optional<EspSa> outbound;  // until it is installed; then nobody may install it again (nonces)
  bool outbound_installed = false;
  absl::Time established, rekey_at, expires_at;
  absl::Time remove_at = absl::InfiniteFuture();        // kClosing: the inbound half goes
  absl::Time use_outbound_at = absl::InfiniteFuture();  // kInstalled: used without proof from here on
  uint64_t rekey_bytes = 0, rekey_packets = 0;
  absl::Time last_traffic, last_in = absl::InfinitePast(), last_out = absl::InfinitePast();
  uint32_t replaced_by = 0;   // inbound SPI of the child that a rekey put in its place
  bool rekey_queued = false;  // our rekey or our Delete waits or is out
  bool delete_queued = false;
  int rekey_failures = 0;
};

// Owns the Child SAs and their inbound SPIs, reserved ones too. The datapath is told here and nowhere else, so that
// what is in this table and what is in the datapath cannot differ.
class ChildTable {
 public:
  explicit ChildTable(Host* host) : host_(host) {}
  ~ChildTable();

  // A random SPI above 255 that nothing of ours uses; the caller releases it or adds a child with it.
  uint32_t ReserveSpi();
  void ReleaseSpi(uint32_t spi) { reserved_.erase(spi); }

  // Installs the inbound half and takes the child. On an error nothing is left, the reservation included.
  absl::StatusOr<ChildSa*> Add(std::unique_ptr<ChildSa> child, EspSa inbound);
  // Installs the outbound half of a child that has not been used yet; the peer's active child becomes kReplaced.
  absl::Status Activate(ChildSa* child);
  // Takes both halves away; the inbound one stays until `linger`. Uses another child for sending if one never did.
  void Close(ChildSa* child, absl::Time now, absl::Time linger);

  // Changes when a closing child's inbound half goes.
  void Linger(uint32_t spi_in, absl::Time until);

  ChildSa* Find(uint32_t spi_in);
  ChildSa* FindBySpiOut(PeerId peer, uint32_t spi_out);
  ChildSa* ActiveOf(PeerId peer);
  // Those that are not closing.
  std::vector<ChildSa*> OfPeer(PeerId peer);
  // Those too.
  std::vector<const ChildSa*> AllOfPeer(PeerId peer) const;
  std::vector<ChildSa*> OfOwner(PeerId peer, const IkeSa* owner);
  void MoveAll(PeerId peer, const IkeSa* from, IkeSa* to);

  // Removes what has lingered long enough; returns when to come again.
  absl::Time RemoveExpired(absl::Time now);
  absl::Time NextRemoval() const;
  size_t size() const { return children_.size(); }
  size_t reserved() const { return reserved_.size(); }

 private:
  Host* host_;
  std::map<uint32_t, std::unique_ptr<ChildSa>> children_;  // by inbound SPI
  std::map<PeerId, std::set<uint32_t>> by_peer_;
  std::map<PeerId, uint32_t> active_;  // inbound SPI of the child that sends
  std::set<std::pair<absl::Time, uint32_t>> removals_;
  std::set<uint32_t> reserved_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_CHILD_SA_H_
