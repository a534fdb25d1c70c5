// What all IKE SAs of one engine have in common, and what they tell the engine.
#ifndef ESPALIER_AGENT_IKE_SA_SHARED_H_
#define ESPALIER_AGENT_IKE_SA_SHARED_H_

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "agent/ike/crypto/random.h"
#include "agent/ike/engine.h"
#include "agent/ike/host.h"
#include "agent/ike/sa/child_sa.h"
#include "agent/ike/sa/counters.h"
#include "agent/ike/sa/exchange_manager.h"

namespace espalier::ike {

class IkeSa;

// Times and limits of ours; the RFC leaves them open.
inline constexpr absl::Duration kHalfOpenLife = absl::Seconds(30);
inline constexpr absl::Duration kChainLife = absl::Seconds(20);     // RFC 9370 section 2.2.4: 5 to 20 s
inline constexpr absl::Duration kInboundLinger = absl::Seconds(5);  // of a deleted child (IKE-061)
inline constexpr absl::Duration kAnswerLinger = absl::Seconds(10);  // a gone IKE SA still answers repeats (IKE-058)
inline constexpr absl::Duration kReplacedLife = absl::Seconds(60);  // a replaced IKE SA that nobody deletes
inline constexpr absl::Duration kDuplicateLife = absl::Seconds(3);  // the loser of two initial SAs (DESIGN section 6)
inline constexpr size_t kMostChildrenOfPeer = 16;                   // IKE-093
inline constexpr size_t kMostSasOfPeer = 8;
inline constexpr double kRequestsPerSecondOfPeer = 20;  // CREATE_CHILD_SA; more get TEMPORARY_FAILURE
inline constexpr double kRequestsBurstOfPeer = 60;

// The engine's side of an IKE SA.
class SaEvents {
 public:
  virtual ~SaEvents() = default;
  // Null: not in the view (any more).
  virtual const Peer* FindPeer(PeerId id) const = 0;
  // Random, not 0, no other IKE SA's of this end (IKE-004).
  virtual uint64_t NewIkeSpi() = 0;
  virtual IkeSa* FindSa(uint64_t own_spi) = 0;
  // Takes an IKE SA that a rekey made.
  virtual IkeSa* Register(std::unique_ptr<IkeSa> sa) = 0;
  // AUTH held on both ends' side as far as we know; `initial_contact`: the peer said so.
  virtual void OnEstablished(IkeSa* sa, absl::Time now, bool initial_contact) = 0;
  // It is gone for its peer: `failed` if that is no one's wish. The object is removed after the call that led here.
  virtual void OnClosed(IkeSa* sa, absl::Time now, bool failed, const std::string& why) = 0;
  // A child that was wanted is gone; make one if there is demand.
  virtual void OnChildLost(PeerId peer, absl::Time now) = 0;
  // The certificate behind it ends soon: make another from the start, then close this one (IKE-045).
  virtual void OnReauthenticate(IkeSa* sa, absl::Time now) = 0;
  // The peer did not want a child that we wanted.
  virtual void OnChildRefused(PeerId peer, absl::Time now) = 0;
  // Whether this one of several IKE SAs with its peer is going to be deleted for another (IKE-029).
  virtual bool IsSurplus(const IkeSa* sa) const = 0;
  // Whether this peer may have one more IKE SA (IKE-093).
  virtual bool AllowSa(PeerId peer, absl::Time now) = 0;
  // Whether this peer may have another CREATE_CHILD_SA answered now (IKE-093).
  virtual bool AllowCreate(PeerId peer, absl::Time now) = 0;
  // INITIAL_CONTACT belongs into the IKE_AUTH message we are about to send to this peer (IKE-043).
  virtual bool TakeInitialContact(const IkeSa* sa) = 0;
};

struct Shared {
  Shared(Host* h, Config c, SaEvents* e)
      : host(h), config(std::move(c)), events(e), children(h), random([h](std::span<uint8_t> out) {
          h->Random(out);
        }) {}

  Host* host;
  Config config;
  SaEvents* events;
  ChildTable children;
  CounterSet counters;
  crypto::RandomSource random;

  Bytes RandomBytes(size_t n) {
    Bytes out(n);
    host->Random(out);
    return out;
  }
  uint64_t Random64() {
    uint64_t v = 0;
    Bytes octets = RandomBytes(8);
    Reader(octets).U64(&v);
    return v;
  }
  // For logs of what strangers cause: once a minute for each cause, however many they are.
  bool ShouldLog(absl::Time now, const std::string& cause) {
    auto [it, fresh] = logged.try_emplace(cause, now);
    if (!fresh && now - it->second < absl::Minutes(1)) return false;
    it->second = now;
    if (logged.size() > 64) logged.clear();
    return true;
  }
  std::map<std::string, absl::Time> logged;

  double Uniform() { return static_cast<double>(Random64() >> 11) * 0x1.0p-53; }  // [0, 1)
  RetransmitPolicy retransmit() const {
    return {config.retransmit_first, config.retransmit_base, config.retransmit_tries};
  }
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_SHARED_H_
