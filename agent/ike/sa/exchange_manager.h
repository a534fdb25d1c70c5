// Message IDs, window and retransmission of one IKE SA (RFC 7296 sections 2.1 to 2.3). Nobody else counts messages.
#ifndef ESPALIER_AGENT_IKE_SA_EXCHANGE_MANAGER_H_
#define ESPALIER_AGENT_IKE_SA_EXCHANGE_MANAGER_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "common/bytes.h"

namespace espalier::ike {

// When a request is sent again: after `first`, then `base` times longer each time, `tries` sendings after the first.
// Section 2.4 wants a dozen over several minutes. `jitter` in [0, 1) shortens each wait by up to a tenth.
struct RetransmitPolicy {
  absl::Duration first;
  double base = 1.8;
  int tries = 12;
  // From the first sending until the requester gives up.
  absl::Duration Total() const;
};

// One direction each: our requests (at most one outstanding: our window is 1) and the peer's (its window is 1 too, as
// we never send SET_WINDOW_SIZE).
class ExchangeManager {
 public:
  // --- our requests
  bool busy() const { return !outstanding_.empty(); }
  uint32_t next_request_id() const { return request_id_; }
  uint8_t outstanding_exchange() const { return outstanding_exchange_; }
  const std::vector<Bytes>& outstanding() const { return outstanding_; }
  int tries() const { return tries_; }
  // Keeps what was sent under next_request_id().
  void Sent(absl::Time now, uint8_t exchange, std::vector<Bytes> datagrams, const RetransmitPolicy& policy,
            double jitter);
  // Other octets under the same message ID: IKE_SA_INIT again (cookie, INVALID_KE_PAYLOAD), or smaller fragments.
  void Replace(absl::Time now, std::vector<Bytes> datagrams, const RetransmitPolicy& policy, double jitter);
  bool Answers(uint32_t message_id, uint8_t exchange) const {
    return busy() && message_id == request_id_ && exchange == outstanding_exchange_;
  }
  void Answered();
  // Forgets the outstanding request without an answer (the IKE SA is closing).
  void Abandon() { outstanding_.clear(); }
  enum class Tick { kNothing, kRepeat, kGiveUp };
  Tick OnTimer(absl::Time now, const RetransmitPolicy& policy, double jitter);
  absl::Time deadline() const { return busy() ? repeat_at_ : absl::InfiniteFuture(); }
  // Starts again at message ID 1 (another IKE_SA_INIT response was taken).
  void RestartRequests(uint32_t next) {
    outstanding_.clear();
    request_id_ = next;
  }

  // --- the peer's requests
  enum class Incoming { kNew, kRepeat, kOutside };
  Incoming Classify(uint32_t message_id) const {
    if (message_id == expected_id_) return Incoming::kNew;
    if (responded_ && message_id + 1 == expected_id_) return Incoming::kRepeat;
    return Incoming::kOutside;
  }
  uint32_t expected_id() const { return expected_id_; }
  // Keeps the response to expected_id() for repeats, and moves on.
  void Responded(std::vector<Bytes> datagrams) {
    response_ = std::move(datagrams);
    responded_ = true;
    ++expected_id_;
  }
  const std::vector<Bytes>& response() const { return response_; }

 private:
  std::vector<Bytes> outstanding_;
  uint8_t outstanding_exchange_ = 0;
  uint32_t request_id_ = 0;
  int tries_ = 0;
  absl::Duration wait_;
  absl::Time repeat_at_;

  std::vector<Bytes> response_;
  bool responded_ = false;
  uint32_t expected_id_ = 0;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_EXCHANGE_MANAGER_H_
