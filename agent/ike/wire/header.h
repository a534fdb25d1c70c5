// The IKE header, RFC 7296 section 3.1.
#ifndef ESPALIER_AGENT_IKE_WIRE_HEADER_H_
#define ESPALIER_AGENT_IKE_WIRE_HEADER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                       IKE SA Initiator's SPI                  |
// |                                                               |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                       IKE SA Responder's SPI                  |
// |                                                               |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                          Message ID                           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                            Length                             |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr size_t kHeaderSize = 28;
inline constexpr uint8_t kFlagInitiator = 0x08;  // the sender is the original initiator of the IKE SA
inline constexpr uint8_t kFlagVersion = 0x10;    // sent 0, ignored
inline constexpr uint8_t kFlagResponse = 0x20;

// Numbers in host order.
struct Header {
  uint64_t spi_i = 0;
  uint64_t spi_r = 0;
  ExchangeType exchange = ExchangeType::kInformational;
  bool from_initiator = false;  // flag I: of the IKE SA, not of the exchange
  bool response = false;        // flag R
  uint32_t message_id = 0;
  // The two that follow from the content: set by a parse, computed (and so ignored) by a write.
  PayloadType first_payload = PayloadType::kNone;
  uint32_t length = 0;

  // The receiver's own SPI, by which alone the SA is found (IKE-002). 0 in the first message of an initiator.
  uint64_t receiver_spi() const { return from_initiator ? spi_r : spi_i; }

  friend bool operator==(const Header&, const Header&) = default;
};

// `datagram`: the IKE message without non-ESP marker. Checks the length against the datagram's (IKE-001), the major
// version (IKE-003: 1 is kDrop; above 2 kMajorVersion in a request, kDrop in a response) and the initiator's SPI
// (never 0, IKE-004). X bits, V and the minor version are ignored (IKE-002).
absl::StatusOr<Header> ParseHeader(ByteSpan datagram);

// 28 octets, version 2.0, with these `first_payload` and `length`.
void WriteHeader(const Header& header, PayloadType first_payload, uint32_t length, Writer* out);

// The unprotected answer to a message for which ParseHeader gave kMajorVersion: SPIs, message ID and exchange type
// copied, R set, the one notify INVALID_MAJOR_VERSION without data (IKE-003). Empty if `datagram` is no such message.
// The caller limits the rate.
Bytes MajorVersionAnswer(ByteSpan datagram);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_HEADER_H_
