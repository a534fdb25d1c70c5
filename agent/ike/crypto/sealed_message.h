// Sealing and opening messages with an SK payload (RFC 7296 section 3.14, RFC 5282) or in SKF fragments (RFC 7383).
#ifndef ESPALIER_AGENT_IKE_CRYPTO_SEALED_MESSAGE_H_
#define ESPALIER_AGENT_IKE_CRYPTO_SEALED_MESSAGE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/crypto/aead.h"
#include "agent/ike/wire/message.h"
#include "agent/ike/wire/payloads.h"
#include "agent/ike/wire/reassembler.h"
#include "common/bytes.h"

namespace espalier::ike::crypto {

struct SealOptions {
  // The other end agreed to FRAGMENTATION_SUPPORTED; without it one datagram of any size comes out.
  bool fragmentation = false;
  // Octets that one IKE message may have: see MaxMessageSize(). At least 128.
  size_t max_message = 1232;
};

// Octets left for an IKE message in an IP datagram of `ip_datagram` octets: minus 20 or 40 of IP, 8 of UDP, 4 of
// non-ESP marker.
size_t MaxMessageSize(size_t ip_datagram, bool ipv6, bool non_esp_marker);

struct SealedMessage {
  std::vector<Bytes> datagrams;  // what fits goes as one SK, never as SKF 1/1 (IKE-070)
  Bytes int_auth_header;         // "A" of RFC 9242 section 3.3.2; P is `inner`
};

// Each datagram takes one IV from *next_iv, counted up: it belongs to the key and never goes back (IKE-014).
// ResourceExhausted: more than 65,535 fragments or octets, or IVs used up.
absl::StatusOr<SealedMessage> SealMessage(const wire::Header& header, wire::PayloadType first_inner, ByteSpan inner,
                                          const Aead& aead, uint64_t* next_iv, const SealOptions& options);
absl::StatusOr<SealedMessage> SealMessage(const wire::Header& header, const wire::Payloads& inner, const Aead& aead,
                                          uint64_t* next_iv, const SealOptions& options);

// `message` = ParseMessage(datagram), with an encrypted payload of type SK. DataLoss: the ICV doesn't hold: drop in
// silence (IKE-013). A wire fault (FaultOf): the ICV held, the content is wrong: kMalformed (padding longer than the
// content) or kCritical (a clear payload before SK).
absl::StatusOr<wire::OpenedMessage> OpenMessage(ByteSpan datagram, const wire::Message& message, const Aead& aead);

// The same for SKF; ask Reassembler::Wants() first, give the result to Reassembler::Add().
absl::StatusOr<wire::OpenedFragment> OpenFragment(ByteSpan datagram, const wire::Message& message, const Aead& aead);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_SEALED_MESSAGE_H_
