#include "agent/ike/wire/notify.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

// Of the types whose data we read.
bool DataLengthPossible(NotifyType type, size_t n) {
  switch (type) {
    case NotifyType::kUnsupportedCriticalPayload:  // RFC 7296 section 3.10.1
      return n == 1;
    case NotifyType::kInvalidKePayload:
      return n == 2;
    case NotifyType::kInvalidMessageId:
    case NotifyType::kSetWindowSize:
      return n == 4;
    case NotifyType::kNatDetectionSourceIp:  // RFC 7296 section 2.23: SHA-1
    case NotifyType::kNatDetectionDestinationIp:
      return n == 20;
    case NotifyType::kCookie:  // RFC 7296 section 2.6
      return n >= 1 && n <= 64;
    case NotifyType::kSignatureHashAlgorithms:  // RFC 7427 section 4
      return n % 2 == 0;
    default:
      return true;
  }
}

Bytes U32Octets(uint32_t v) {
  Bytes out;
  Writer(&out).U32(v);
  return out;
}

}  // namespace

NotifyPayload NotifyPayload::AboutChild(NotifyType type, ProtocolId protocol, uint32_t spi) {
  NotifyPayload out(type);
  out.protocol = protocol;
  out.spi = U32Octets(spi);
  return out;
}

NotifyPayload NotifyPayload::WithU16(NotifyType type, uint16_t value) {
  NotifyPayload out(type);
  Writer(&out.data).U16(value);
  return out;
}

NotifyPayload NotifyPayload::HashAlgorithms(const std::vector<HashAlgorithm>& algorithms) {
  NotifyPayload out(NotifyType::kSignatureHashAlgorithms);
  Writer w(&out.data);
  for (HashAlgorithm a : algorithms) w.U16(static_cast<uint16_t>(a));
  return out;
}

std::optional<uint32_t> NotifyPayload::child_spi() const {
  if (spi.size() != 4 || (protocol != ProtocolId::kAh && protocol != ProtocolId::kEsp)) return std::nullopt;
  uint32_t v = 0;
  Reader(spi).U32(&v);
  return v;
}

std::optional<uint16_t> NotifyPayload::u16() const {
  uint16_t v = 0;
  if (data.size() != 2 || !Reader(data).U16(&v)) return std::nullopt;
  return v;
}

std::optional<uint32_t> NotifyPayload::u32() const {
  uint32_t v = 0;
  if (data.size() != 4 || !Reader(data).U32(&v)) return std::nullopt;
  return v;
}

std::vector<HashAlgorithm> NotifyPayload::hash_algorithms() const {
  std::vector<HashAlgorithm> out;
  Reader r(data);
  uint16_t v = 0;
  while (r.remaining() >= 2 && r.U16(&v)) out.push_back(static_cast<HashAlgorithm>(v));
  return out;
}

absl::StatusOr<NotifyPayload> NotifyPayload::Parse(ByteSpan body) {
  uint8_t protocol = 0, spi_size = 0;
  uint16_t type = 0;
  ByteSpan spi;
  Reader r(body);
  r.U8(&protocol);
  r.U8(&spi_size);
  r.U16(&type);
  r.Take(spi_size, &spi);
  const ByteSpan data = r.Rest();
  if (!r.ok()) return MalformedError("notify too short");
  NotifyPayload out;
  out.type = static_cast<NotifyType>(type);
  if (!DataLengthPossible(out.type, data.size())) return MalformedError("notify data length");
  out.protocol = static_cast<ProtocolId>(protocol);
  out.spi.assign(spi.begin(), spi.end());
  out.data.assign(data.begin(), data.end());
  return out;
}

void NotifyPayload::Write(Writer* out) const {
  // Without an SPI the protocol is sent as 0 (RFC 7296 section 3.10).
  out->U8(spi.empty() ? 0 : static_cast<uint8_t>(protocol));
  out->U8(static_cast<uint8_t>(spi.size()));
  out->U16(static_cast<uint16_t>(type));
  out->Raw(spi);
  out->Raw(data);
}

}  // namespace espalier::ike::wire
