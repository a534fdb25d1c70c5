#include "agent/esp/outbound_sa.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/esp/octets.h"

namespace espalier::esp {

absl::StatusOr<std::unique_ptr<OutboundSa>> OutboundSa::Create(const ike::EspSa& sa, uint64_t first) {
  if (sa.spi < 256) return absl::InvalidArgumentError(absl::StrCat("SPI ", sa.spi, " is reserved"));
  if (first == 0) return absl::InvalidArgumentError("sequence numbers start at 1");
  auto aead = Aead::Create(sa.suite, sa.key.span());
  if (!aead.ok()) return aead.status();
  std::unique_ptr<OutboundSa> out(new OutboundSa);
  out->aead_ = *std::move(aead);
  out->spi_ = sa.spi;
  out->esn_ = sa.esn;
  out->next_ = first;
  return out;
}

size_t OutboundSa::Seal(uint8_t* inner, size_t size, uint8_t next_header, uint8_t* out) {
  if (exhausted_) return 0;
  const uint64_t sequence = next_;
  if (!esn_ && sequence > UINT32_MAX) {
    exhausted_ = true;
    return 0;
  }
  if (sequence == UINT64_MAX) exhausted_ = true;  // this one still goes; there is no next
  next_ = sequence + 1;

  // RFC 4303 section 2.4: padding 1, 2, 3, ...
  const size_t padding = (4 - ((size + 2) & 3)) & 3;
  uint8_t* trailer = inner + size;
  for (size_t i = 0; i < padding; ++i) trailer[i] = static_cast<uint8_t>(i + 1);
  trailer[padding] = static_cast<uint8_t>(padding);
  trailer[padding + 1] = next_header;

  Store32(out, spi_);
  Store32(out + 4, static_cast<uint32_t>(sequence));
  Store64(out + kEspHeaderSize, sequence);
  // RFC 4106 section 5: SPI and sequence number as sent, or with the high half of an extended one between.
  uint8_t aad[12];
  Store32(aad, spi_);
  size_t aad_size = 8;
  if (esn_) {
    Store64(aad + 4, sequence);
    aad_size = 12;
  } else {
    Store32(aad + 4, static_cast<uint32_t>(sequence));
  }
  const size_t plain = size + padding + 2;
  uint8_t* body = out + kEspHeaderSize + kIvSize;
  aead_->Seal(out + kEspHeaderSize, aad, aad_size, inner, plain, body, body + plain);
  return kEspFixedSize + plain;
}

}  // namespace espalier::esp
