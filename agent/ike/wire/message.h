// One IKE message as it lies in a datagram: header, clear payloads, and the place of the encrypted one.
#ifndef ESPALIER_AGENT_IKE_WIRE_MESSAGE_H_
#define ESPALIER_AGENT_IKE_WIRE_MESSAGE_H_

#include <optional>

#include "absl/status/statusor.h"
#include "agent/ike/wire/encrypted.h"
#include "agent/ike/wire/header.h"
#include "agent/ike/wire/payloads.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

// Nothing in it is authenticated.
struct Message {
  Header header;
  std::optional<EncryptedPayload> encrypted;  // always the last payload (IKE-005)
  // The clear payloads of a message without encrypted one. Those before an encrypted payload are stepped over: no
  // exchange known today has any (RFC 7383 section 2.5.3).
  Payloads payloads;
  // Of one that was stepped over, unknown and marked critical: OpenMessage refuses the message once the ICV has held.
  PayloadType unknown_critical = PayloadType::kNone;
};

// `datagram`: one IKE message without non-ESP marker; faults as error.h tells. Message ID and SPI rules of exchanges
// are the caller's. Time and memory are linear in the datagram's size.
absl::StatusOr<Message> ParseMessage(ByteSpan datagram);

// A message without encrypted payload: IKE_SA_INIT, and unprotected errors.
absl::StatusOr<Bytes> WriteMessage(const Header& header, const Payloads& payloads);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_MESSAGE_H_
