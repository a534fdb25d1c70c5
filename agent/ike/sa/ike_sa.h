// One IKE SA: its keys, its exchanges in order, and its Child SAs' timers.
//
// How a message passes (ike_sa_receive.cc):
//  1. header: role, SPIs, and whether the exchange may happen in this state. Nothing here is authenticated.
//  2. message ID: a repeat is answered from store, what is outside the window is dropped.
//  3. the ICV, of the message or of each fragment. Until it holds nothing changes.
//  4. payloads parsed and complete for the exchange, or INVALID_SYNTAX and the IKE SA goes (RFC 7296 section 2.21.3).
//  5. the task: of ours that waits for this response, or a new one that answers this request.
// Requests of ours wait in a queue and go out one after the other: our window is 1.
#ifndef ESPALIER_AGENT_IKE_SA_IKE_SA_H_
#define ESPALIER_AGENT_IKE_SA_IKE_SA_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/ike/crypto/aead.h"
#include "agent/ike/crypto/key_material.h"
#include "agent/ike/crypto/suite.h"
#include "agent/ike/sa/child_sa.h"
#include "agent/ike/sa/exchange_manager.h"
#include "agent/ike/sa/proposals.h"
#include "agent/ike/sa/shared.h"
#include "agent/ike/tasks/task.h"
#include "agent/ike/wire/message.h"
#include "agent/ike/wire/reassembler.h"

namespace espalier::ike {

class IkeInitTask;

enum class IkeState {
  kConnecting,  // initiator: IKE_SA_INIT under way, no keys
  kHalfOpen,    // keys, and nobody is authenticated: IKE_INTERMEDIATE and IKE_AUTH only (IKE-031)
  kUp,          // authenticated
  kReplaced,    // a rekey put another in its place: INFORMATIONAL only
  kDeleting,    // our last request is out: Delete, or AUTHENTICATION_FAILED
  kLingering,   // gone; repeats of the last request are still answered
  kDead,        // to be removed
};

absl::string_view ToString(IkeState state);

// What IKE_SA_INIT left for the exchanges after it. Raw octets as they were on the wire (IKE-008).
struct InitRecord {
  Bytes request, response;
  Bytes ni, nr;
  bool fragmentation = false;
  bool intermediate = false;
  bool childless = false;  // the responder announced it
  bool peer_signs_sha256 = false;
  bool hashes_announced = false;
  bool nat_local = false, nat_remote = false;  // who is behind a NAT (RFC 7296 section 2.23)
  std::vector<uint16_t> additional;            // methods still to be exchanged, in order
  Bytes int_auth_i, int_auth_r;                // RFC 9242 section 3.3.2; empty: no IKE_INTERMEDIATE took place
};

class IkeSa {
 public:
  static std::unique_ptr<IkeSa> Initiate(Shared* shared, const Peer& peer, absl::Time now);
  static std::unique_ptr<IkeSa> Answer(Shared* shared, const Endpoint& local, const Endpoint& remote, uint64_t spi_i,
                                       absl::Time now);
  // The successor of `old` after a rekey; `initiator`: of the rekey, and so of the new SA (RFC 7296 section 2.18).
  static std::unique_ptr<IkeSa> Succeed(IkeSa& old, bool initiator, uint64_t spi_i, uint64_t spi_r,
                                        const wire::Proposal& chosen, crypto::IkeKeys keys, absl::Time now);
  ~IkeSa();
  IkeSa(const IkeSa&) = delete;
  IkeSa& operator=(const IkeSa&) = delete;

  // --- for the engine
  void OnMessage(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan datagram,
                 const wire::Message& message);
  // The first message of a responder: chooses, answers. False: nothing is left to keep.
  bool OnInitRequest(absl::Time now, ByteSpan datagram, const wire::Message& message);
  void OnInitRepeat();
  void OnTimer(absl::Time now);
  absl::Time Deadline() const;
  void OnTraffic(absl::Time now, ChildSa* child, const ChildTraffic& traffic);
  // A hint that the peer may have lost us: at most one liveness check in some seconds (IKE-054).
  void OnHint(absl::Time now);
  void CreateChild(absl::Time now);
  void RekeyChild(absl::Time now, ChildSa* child);
  void DeleteChild(absl::Time now, ChildSa* child);
  void Rekey(absl::Time now);
  void ReportUnknownSpi(absl::Time now, uint32_t spi);
  // Everything goes at once, the datapath's share too. `tell`: with a Delete.
  void Close(absl::Time now, bool tell, bool failed, const std::string& why);
  // A Delete that is sent once, for a shutdown.
  void SendLastDelete(absl::Time now);

  // --- for tasks
  Shared& shared() { return *shared_; }
  const Config& config() const { return shared_->config; }
  const Peer* peer() const { return shared_->events->FindPeer(peer_); }
  PeerId peer_id() const { return peer_; }
  void set_peer_id(PeerId id) { peer_ = id; }
  bool initiator() const { return initiator_; }
  IkeState state() const { return state_; }
  uint64_t spi_i() const { return spi_i_; }
  uint64_t spi_r() const { return spi_r_; }
  uint64_t own_spi() const { return initiator_ ? spi_i_ : spi_r_; }
  void set_spi_r(uint64_t spi) { spi_r_ = spi; }
  const Endpoint& local() const { return local_; }
  const Endpoint& remote() const { return remote_; }
  absl::Time created() const { return created_; }
  absl::Time established() const { return established_; }
  absl::Time rekey_at() const { return rekey_at_; }
  absl::Time not_after() const { return proof_.not_after; }
  const Proof& proof() const { return proof_; }
  uint64_t peer_boot_id() const { return peer_boot_id_; }
  const std::string& description() const { return description_; }
  bool post_quantum() const { return post_quantum_; }
  const crypto::IkeSuite& suite() const { return suite_; }
  const crypto::IkeKeys& keys() const { return keys_; }
  InitRecord& init() { return init_; }
  // All key exchanges that were agreed on are over (IKE-031).
  bool ReadyForAuth() const { return intermediates_done_ == init_.additional.size(); }
  // The new IKE SA that was to take this one's place did not come about.
  void RetryReauthentication(absl::Time at) {
    reauthenticating_ = false;
    reauthenticate_at_ = at;
  }

  // Takes a generation of keys into use; the one before still opens repeats.
  void UseKeys(const wire::Proposal& chosen, crypto::IkeKeys keys);
  void NextKeys(crypto::IkeKeys keys);
  void BecomeHalfOpen(absl::Time now);
  // AUTH held. `boot_id` 0: the peer did not say.
  void BecomeUp(absl::Time now, Proof proof, uint64_t boot_id);
  // Set-up failed, found by the initiator: takes another answer to its IKE_SA_INIT (IKE-024), or goes; `tell` the peer
  // (IKE-041).
  void FailAuthentication(absl::Time now, const std::string& why, bool tell);
  // Children and waiting work move to the successor; this SA serves INFORMATIONAL until it is deleted.
  void HandOver(absl::Time now, IkeSa* successor);

  void Enqueue(absl::Time now, std::unique_ptr<Task> task, bool first = false);
  // Of the request that is out.
  Task* active() { return active_.get(); }
  const std::vector<std::unique_ptr<Task>>& chains() const { return chains_; }
  void DropChain(absl::Time now, const Task* task);
  // Whether a task of this kind waits or is under way.
  bool Has(TaskKind kind) const;
  // A child or its making is under way from our side (COL-09).
  bool ChildWorkActive() const;
  // The peer's rekey of this IKE SA waits for its IKE_FOLLOWUP_KE.
  bool PeerRekeysIke() const;
  // Sends the IKE_SA_INIT request again with other octets (cookie, INVALID_KE_PAYLOAD).
  void ReplaceInitRequest(absl::Time now, const wire::Payloads& payloads);
  // TEMPORARY_FAILURE to a rekey of this IKE SA, or a lost collision: again later (IKE-064).
  void RetryRekeyLater(absl::Time now, bool count);
  void RetryChildLater(absl::Time now, ChildSa* child, bool count);
  // A new child is in the table: its timers.
  void StartChildTimers(absl::Time now, ChildSa* child, const ChildSa* predecessor);
  void Touch(absl::Time now) { last_heard_ = std::max(last_heard_, now); }

 private:
  IkeSa(Shared* shared, bool initiator, absl::Time now);

  void Transition(IkeState to);
  void SetRekeyTimes(absl::Time now);
  wire::Header HeaderFor(wire::ExchangeType exchange, bool response, uint32_t message_id) const;
  size_t FragmentLimit() const;
  void Send(const std::vector<Bytes>& datagrams, const Endpoint& local, const Endpoint& remote);
  void Pump(absl::Time now);
  bool SendRequest(absl::Time now, wire::ExchangeType exchange, const wire::Payloads& payloads);
  bool SendSmallerFragments(absl::Time now);
  bool Respond(absl::Time now, wire::ExchangeType exchange, const wire::Payloads& payloads);
  void RespondError(absl::Time now, wire::ExchangeType exchange, wire::NotifyPayload error);
  // Opens with the current key; takes fragments. Nothing if it isn't whole or its ICV does not hold.
  std::optional<wire::OpenedMessage> Open(absl::Time now, ByteSpan datagram, const wire::Message& message,
                                          absl::Status* fault);
  void OnInitResponse(absl::Time now, ByteSpan datagram, const wire::Message& message);
  void OnRepeat(absl::Time now, ByteSpan datagram, const wire::Message& message);
  bool Allowed(const wire::Header& header) const;
  void OnFault(absl::Time now, const wire::Header& header, const absl::Status& fault);
  void OnRequest(absl::Time now, const wire::Header& header, const wire::Payloads& payloads,
                 const wire::OpenedMessage& opened);
  void OnResponse(absl::Time now, const wire::Header& header, const wire::Payloads& payloads,
                  const wire::OpenedMessage& opened);
  std::unique_ptr<Task> TaskFor(const wire::Header& header, const wire::Payloads& payloads);
  // Starts anew with another response to IKE_SA_INIT; false: there is none.
  bool TryAlternate(absl::Time now);
  void StartAuthentication(absl::Time now);
  void AbandonWork(absl::Time now);
  void DropChildren(absl::Time now, absl::Duration linger);
  // Gone, but repeats of the last request are answered for a while.
  void Linger(absl::Time now, bool failed, const std::string& why);
  void Die(absl::Time now, bool failed, const std::string& why);
  void OnRetransmitTimer(absl::Time now);
  void OnChildTimers(absl::Time now);
  void OnLivenessTimer(absl::Time now);
  absl::Time LivenessDue() const;
  absl::Time ChildDeadline() const;

  Shared* shared_;
  const bool initiator_;
  IkeState state_;
  PeerId peer_ = 0;
  uint64_t spi_i_ = 0, spi_r_ = 0;
  Endpoint local_, remote_;
  Endpoint answer_local_, answer_remote_;  // of the request under way: answers go where it came from

  absl::Time created_, established_ = absl::InfiniteFuture();
  absl::Time half_open_until_ = absl::InfiniteFuture();
  absl::Time rekey_at_ = absl::InfiniteFuture(), expires_at_ = absl::InfiniteFuture();
  absl::Time reauthenticate_at_ = absl::InfiniteFuture(), authentic_until_ = absl::InfiniteFuture();
  absl::Time gone_at_ = absl::InfiniteFuture();  // kReplaced, kDeleting, kLingering: ends
  absl::Time pump_at_ = absl::InfiniteFuture();  // a request that had to wait is tried again
  absl::Time last_heard_, last_hint_ = absl::InfinitePast(), last_spi_report_ = absl::InfinitePast();
  int rekey_failures_ = 0;
  absl::Time first_failure_ = absl::InfiniteFuture();
  bool reauthenticating_ = false;
  bool told_closed_ = false;

  Proof proof_;
  uint64_t peer_boot_id_ = 0;
  std::string description_;
  bool post_quantum_ = false;
  wire::Proposal chosen_;
  crypto::IkeSuite suite_;
  crypto::IkeKeys keys_;
  std::optional<crypto::Aead> in_, out_, previous_in_;
  uint64_t next_iv_ = 1;
  InitRecord init_;

  ExchangeManager exchanges_;
  wire::PayloadType sent_first_ = wire::PayloadType::kNone;  // of the outstanding request, to fragment it anew
  Bytes sent_inner_;
  wire::Reassembler requests_in_, responses_in_;
  std::deque<std::unique_ptr<Task>> queue_;
  uint64_t work_epoch_ = 0;       // counts AbandonWork
  bool hold_requests_ = false;    // a message is being read: what it brings goes out after its answer
  std::unique_ptr<Task> active_;  // of the outstanding request; null while one is outstanding: nobody cares any more
  std::vector<std::unique_ptr<Task>> chains_;  // the peer's, between CREATE_CHILD_SA and the last IKE_FOLLOWUP_KE
  std::vector<absl::Time> chain_ends_;
  std::unique_ptr<IkeInitTask> init_task_;  // initiator, until AUTH holds
  size_t intermediates_done_ = 0;           // as responder
  std::vector<Bytes> alternates_;           // other answers to our IKE_SA_INIT (IKE-024)
  Bytes taken_response_;
  bool fragmentation_ = false;
  size_t fragment_limit_ = 0;  // 0: the configured one
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_IKE_SA_H_
