// The engine behind engine.h. Its parts:
//   engine.cc            the interface; messages to the IKE SA they are for; timers
//   engine_responder.cc  IKE_SA_INIT requests: repeats, cookies, limits
//   engine_peers.cc      what is kept of each peer: when to start, which of several IKE SAs stays
#ifndef ESPALIER_AGENT_IKE_ENGINE_IMPL_H_
#define ESPALIER_AGENT_IKE_ENGINE_IMPL_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/ike/crypto/cookie.h"
#include "agent/ike/engine.h"
#include "agent/ike/sa/half_open_table.h"
#include "agent/ike/sa/ike_sa.h"
#include "agent/ike/sa/shared.h"
#include "agent/ike/sa/token_bucket.h"

namespace espalier::ike {

class EngineImpl : public Engine, private SaEvents {
 public:
  EngineImpl(Config config, Host* host);
  ~EngineImpl() override;

  void SetConfig(Config config) override;
  void SetPeers(absl::Time now, std::vector<Peer> peers, std::vector<std::string> revoked_serials) override;
  void OnDatagram(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan message) override;
  void OnTimer(absl::Time now) override;
  absl::Time NextDeadline() const override;
  void Acquire(absl::Time now, PeerId peer) override;
  void OnFirstInbound(absl::Time now, uint32_t spi_in) override;
  void OnTraffic(absl::Time now, const ChildId& child, const ChildTraffic& traffic) override;
  void OnUnknownSpi(absl::Time now, const Endpoint& local, const Endpoint& remote, uint32_t spi) override;
  void RekeyChild(absl::Time now, PeerId peer) override;
  void RekeyIke(absl::Time now, PeerId peer) override;
  void CloseAll(absl::Time now) override;
  std::vector<PeerReport> Report() const override;
  std::map<std::string, uint64_t> Counters() const override;

 private:
  struct PeerEntry {
    Peer peer;
    bool gone = false;                         // not in the view; kept until its last IKE SA is
    std::set<uint64_t> sas;                    // own SPIs, of every state
    bool contact_sent = false;                 // INITIAL_CONTACT (IKE-043)
    absl::Time wanted = absl::InfinitePast();  // last time somebody had traffic for it
    absl::Time retry_at = absl::InfinitePast();
    int failures = 0;
    absl::Time child_retry_at = absl::InfinitePast();
    int child_failures = 0;
    absl::Time start_at = absl::InfiniteFuture();    // an initiation waits for this
    absl::Time surplus_at = absl::InfiniteFuture();  // all but one IKE SA go
    uint64_t reauthenticates = 0;                    // own SPI of the IKE SA that the one under way is to replace
    std::string last_error;
    absl::Time last_error_at = absl::InfinitePast();
    TokenBucket creates{kRequestsPerSecondOfPeer, kRequestsBurstOfPeer};
    absl::Time deadline = absl::InfiniteFuture();  // as it stands in peer_deadlines_
  };

  // SaEvents
  const Peer* FindPeer(PeerId id) const override;
  uint64_t NewIkeSpi() override;
  IkeSa* FindSa(uint64_t own_spi) override;
  IkeSa* Register(std::unique_ptr<IkeSa> sa) override;
  void OnEstablished(IkeSa* sa, absl::Time now, bool initial_contact) override;
  void OnClosed(IkeSa* sa, absl::Time now, bool failed, const std::string& why) override;
  void OnChildLost(PeerId peer, absl::Time now) override;
  void OnReauthenticate(IkeSa* sa, absl::Time now) override;
  void OnChildRefused(PeerId peer, absl::Time now) override;
  bool IsSurplus(const IkeSa* sa) const override;
  bool AllowSa(PeerId peer, absl::Time now) override;
  bool AllowCreate(PeerId peer, absl::Time now) override;
  bool TakeInitialContact(const IkeSa* sa) override;

  // engine_responder.cc
  void OnInitRequest(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan datagram,
                     const wire::Message& message);
  void AnswerUnprotected(const Endpoint& local, const Endpoint& remote, const wire::Header& request,
                         wire::NotifyPayload notify);

  // engine_peers.cc
  PeerEntry* Entry(PeerId id);
  const PeerEntry* Entry(PeerId id) const;
  std::vector<IkeSa*> UpSas(const PeerEntry& entry) const;
  // The IKE SA on which new things happen; null: none is up.
  IkeSa* Primary(const PeerEntry& entry) const;
  bool Connecting(const PeerEntry& entry) const;
  // Starts what is missing for traffic, or notes when it may be started.
  void StartWanted(PeerEntry* entry, absl::Time now);
  void Initiate(PeerEntry* entry, absl::Time now);
  void OnPeerTimer(PeerEntry* entry, absl::Time now);
  PeerId InitiatorOf(const IkeSa& sa) const;
  // Which of two IKE SAs with one peer stays.
  bool Better(const IkeSa& a, const IkeSa& b) const;
  void CloseSurplus(PeerEntry* entry, absl::Time now);
  void CloseAllOf(PeerEntry* entry, absl::Time now, bool tell, const std::string& why);
  PeerReport ReportOf(const PeerEntry& entry) const;

  // After every call: dead IKE SAs removed, deadlines noted. `sa` may be null.
  void Settle(IkeSa* sa);
  void SettlePeer(PeerId id);
  void SettleSa(uint64_t own_spi);
  void NotePeerDeadline(PeerEntry* entry);

  Shared shared_;
  std::unordered_map<uint64_t, std::unique_ptr<IkeSa>> sas_;  // by own SPI
  std::set<std::pair<absl::Time, uint64_t>> deadlines_;
  std::unordered_map<uint64_t, absl::Time> deadline_of_;
  std::map<PeerId, PeerEntry> peers_;
  std::set<std::pair<absl::Time, PeerId>> peer_deadlines_;
  std::map<IpAddress, PeerId> by_address_;
  HalfOpenTable half_open_;
  crypto::CookieJar cookies_;
  TokenBucket initiations_;
  TokenBucket unprotected_answers_{10, 20};  // INVALID_IKE_SPI, INVALID_MAJOR_VERSION
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_ENGINE_IMPL_H_
