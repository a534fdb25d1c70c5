// Notify payload, RFC 7296 section 3.10.
#ifndef ESPALIER_AGENT_IKE_WIRE_NOTIFY_H_
#define ESPALIER_AGENT_IKE_WIRE_NOTIFY_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  Protocol ID  |   SPI Size    |      Notify Message Type      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                Security Parameter Index (SPI)                 ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       Notification Data                       ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct NotifyPayload {
  NotifyType type = NotifyType::kInvalidSyntax;
  ProtocolId protocol = ProtocolId::kNone;  // means something only with an SPI
  Bytes spi;
  Bytes data;

  NotifyPayload() = default;
  explicit NotifyPayload(NotifyType t, Bytes d = {}) : type(t), data(std::move(d)) {}
  // REKEY_SA, CHILD_SA_NOT_FOUND, INVALID_SELECTORS: about a Child SA.
  static NotifyPayload AboutChild(NotifyType type, ProtocolId protocol, uint32_t spi);
  // Two octets of data: INVALID_KE_PAYLOAD's method.
  static NotifyPayload WithU16(NotifyType type, uint16_t value);
  // SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 4).
  static NotifyPayload HashAlgorithms(const std::vector<HashAlgorithm>& algorithms);

  bool is_error() const { return IsError(type); }
  // The Child SA it is about: an SPI of 4 octets with protocol AH or ESP, else nothing (IKE-012).
  std::optional<uint32_t> child_spi() const;
  // The data as a number, where it has that size.
  std::optional<uint16_t> u16() const;
  std::optional<uint32_t> u32() const;
  std::vector<HashAlgorithm> hash_algorithms() const;

  // Malformed also where the data of a type we know has a length it can't have (IKE-012).
  static absl::StatusOr<NotifyPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const NotifyPayload&, const NotifyPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_NOTIFY_H_
