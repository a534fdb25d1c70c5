// What the engine counts: one list for the code, the metrics and their documentation.
#ifndef ESPALIER_AGENT_IKE_SA_COUNTERS_H_
#define ESPALIER_AGENT_IKE_SA_COUNTERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace espalier::ike {

#define ESPALIER_IKE_COUNTERS(X)                                                                  \
  X(PacketsIn, "ike_packets_in", "IKE messages and fragments received")                           \
  X(PacketsOut, "ike_packets_out", "IKE messages and fragments sent")                             \
  X(Malformed, "ike_packets_malformed", "not a well-formed IKE message; dropped")                 \
  X(BadIcv, "ike_packets_bad_icv", "integrity check failed; dropped")                             \
  X(UnknownSpi, "ike_packets_unknown_spi", "no IKE SA with that SPI")                             \
  X(BadVersion, "ike_packets_bad_version", "another major version")                               \
  X(OutOfWindow, "ike_packets_out_of_window", "message ID outside the window; dropped")           \
  X(WrongState, "ike_packets_wrong_state", "exchange not allowed in the IKE SA's state; dropped") \
  X(Unprotected, "ike_packets_unprotected", "unprotected notification; a hint at most")           \
  X(Fragments, "ike_fragments_in", "fragments accepted")                                          \
  X(Repeats, "ike_requests_repeated", "repeated requests, answered from store")                   \
  X(Retransmits, "ike_retransmits", "requests sent again")                                        \
  X(Timeouts, "ike_timeouts", "IKE SAs closed because the peer did not answer")                   \
  X(CookiesSent, "ike_cookies_sent", "IKE_SA_INIT requests answered with a cookie")               \
  X(CookiesBad, "ike_cookies_bad", "wrong or stale cookies")                                      \
  X(HalfOpenRefused, "ike_half_open_refused", "IKE_SA_INIT requests refused by a limit")          \
  X(HalfOpenExpired, "ike_half_open_expired", "half-open IKE SAs that were never finished")       \
  X(InitiationsLimited, "ike_initiations_limited", "initiations delayed by the rate limit")       \
  X(NoProposal, "ike_no_proposal_chosen", "no suite in common")                                   \
  X(InvalidKe, "ike_invalid_ke", "IKE_SA_INIT with another key exchange method than chosen")      \
  X(AuthFailed, "ike_auth_failed", "authentications that failed, ours and the peer's")            \
  X(Established, "ike_established", "IKE SAs established")                                        \
  X(Closed, "ike_closed", "established IKE SAs closed")                                           \
  X(IkeRekeyed, "ike_rekeyed", "IKE SAs rekeyed")                                                 \
  X(ChildEstablished, "child_established", "Child SAs established, rekeyed ones too")             \
  X(ChildRekeyed, "child_rekeyed", "Child SAs rekeyed")                                           \
  X(ChildFailed, "child_failed", "Child SA negotiations that failed")                             \
  X(ChildClosed, "child_closed", "Child SAs closed")                                              \
  X(InstallFailed, "datapath_install_failed", "SAs that the datapath refused")                    \
  X(Collisions, "ike_collisions", "rekeys begun by both ends at once")                            \
  X(TemporaryFailures, "ike_temporary_failures", "TEMPORARY_FAILURE sent or received")            \
  X(Limited, "ike_requests_limited", "authenticated requests refused by a limit")                 \
  X(InvalidSpiSent, "ike_invalid_spi_sent", "INVALID_SPI sent inside an IKE SA")                  \
  X(LivenessChecks, "ike_liveness_checks", "liveness checks sent")

enum class Counter : size_t {
#define X(name, text, help) k##name,
  ESPALIER_IKE_COUNTERS(X)
#undef X
      kCount
};

class CounterSet {
 public:
  void Add(Counter c) { ++values_[static_cast<size_t>(c)]; }
  uint64_t Get(Counter c) const { return values_[static_cast<size_t>(c)]; }
  std::map<std::string, uint64_t> All() const {
    std::map<std::string, uint64_t> out;
#define X(name, text, help) out[text] = Get(Counter::k##name);
    ESPALIER_IKE_COUNTERS(X)
#undef X
    return out;
  }

 private:
  std::array<uint64_t, static_cast<size_t>(Counter::kCount)> values_{};
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_COUNTERS_H_
