#include "agent/ike/wire/delete.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {

absl::StatusOr<DeletePayload> DeletePayload::Parse(ByteSpan body) {
  uint8_t protocol = 0, spi_size = 0;
  uint16_t count = 0;
  Reader r(body);
  r.U8(&protocol);
  r.U8(&spi_size);
  r.U16(&count);
  if (!r.ok() || r.remaining() != size_t{spi_size} * count) return MalformedError("delete length");
  DeletePayload out;
  out.protocol = static_cast<ProtocolId>(protocol);
  switch (out.protocol) {
    case ProtocolId::kIke:
      if (spi_size != 0 || count != 0) return MalformedError("delete of an IKE SA with SPIs");
      break;
    case ProtocolId::kAh:
    case ProtocolId::kEsp:
      if (spi_size != 4) return MalformedError("delete SPI size");
      out.spis.reserve(count);
      for (uint16_t i = 0; i < count; ++i) {
        uint32_t spi = 0;
        r.U32(&spi);
        out.spis.push_back(spi);
      }
      break;
    default:
      break;
  }
  return out;
}

void DeletePayload::Write(Writer* out) const {
  const bool child = protocol != ProtocolId::kIke;
  out->U8(static_cast<uint8_t>(protocol));
  out->U8(child ? 4 : 0);
  out->U16(child ? static_cast<uint16_t>(spis.size()) : 0);
  if (!child) return;
  for (uint32_t spi : spis) out->U32(spi);
}

}  // namespace espalier::ike::wire
