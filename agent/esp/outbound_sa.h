// The sending end of an ESP SA in tunnel mode (RFC 4303 section 3.3): one packet in, one ESP packet out.
#ifndef ESPALIER_AGENT_ESP_OUTBOUND_SA_H_
#define ESPALIER_AGENT_ESP_OUTBOUND_SA_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/esp/aead.h"
#include "agent/ike/host.h"

namespace espalier::esp {

// Specification constants.
inline constexpr size_t kEspHeaderSize = 8;  // SPI and sequence number (RFC 4303 section 2)
inline constexpr uint8_t kNextIpv4 = 4;
inline constexpr uint8_t kNextIpv6 = 41;
inline constexpr uint8_t kNextDummy = 59;
// The most that Seal() writes behind the inner packet: 3 octets of padding, the pad length, the next header.
inline constexpr size_t kTrailerMax = 5;
inline constexpr size_t kEspFixedSize = kEspHeaderSize + kIvSize + kIcvSize;

// The exact size of the ESP packet (from its SPI to its ICV) around an inner packet: padded to 4 octets (section 2.4).
constexpr size_t SealedSize(size_t inner) { return kEspFixedSize + ((inner + 2 + 3) & ~size_t{3}); }
// The largest inner packet whose ESP packet has at most `space` octets. 0: none.
constexpr size_t MaxInnerSize(size_t space) {
  return space < kEspFixedSize + 4 ? 0 : ((space - kEspFixedSize) & ~size_t{3}) - 2;
}

// One thread at a time.
class OutboundSa {
 public:
  // InvalidArgument: SPI 0 to 255 (RFC 4303 section 2.1), suite or key length. `first` is the first sequence number.
  static absl::StatusOr<std::unique_ptr<OutboundSa>> Create(const ike::EspSa& sa, uint64_t first = 1);

  // Seals inner[0, size) into out[0, SealedSize(size)) and returns that size. The trailer is written behind the inner
  // packet, so inner must have room for kTrailerMax more octets; `out` must not overlap it.
  // 0: the sequence numbers are used up, nothing may be sent on this SA any more (section 3.3.3). The number is also
  // the IV (RFC 4106 section 3.1), so that it can't repeat either.
  size_t Seal(uint8_t* inner, size_t size, uint8_t next_header, uint8_t* out);

  uint32_t spi() const { return spi_; }
  uint64_t sequence() const { return next_ - 1; }  // the last that was used
  bool exhausted() const { return exhausted_; }

 private:
  OutboundSa() = default;

  std::unique_ptr<Aead> aead_;
  uint32_t spi_ = 0;
  bool esn_ = true;
  bool exhausted_ = false;
  uint64_t next_ = 1;
};

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_OUTBOUND_SA_H_
