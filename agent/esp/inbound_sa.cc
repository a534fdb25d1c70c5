#include "agent/esp/inbound_sa.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/esp/octets.h"
#include "agent/esp/outbound_sa.h"

namespace espalier::esp {

static_assert(kEspFixedSize == 32);

absl::StatusOr<std::unique_ptr<InboundSa>> InboundSa::Create(const ike::EspSa& sa) {
  if (sa.spi < 256) return absl::InvalidArgumentError(absl::StrCat("SPI ", sa.spi, " is reserved"));
  if (sa.replay_window < ReplayWindow::kMinSize || sa.replay_window > ReplayWindow::kMaxSize) {
    return absl::InvalidArgumentError(absl::StrCat("replay window of ", sa.replay_window, " packets, not within ",
                                                   ReplayWindow::kMinSize, " to ", ReplayWindow::kMaxSize));
  }
  auto aead = Aead::Create(sa.suite, sa.key.span());
  if (!aead.ok()) return aead.status();
  std::unique_ptr<InboundSa> in(new InboundSa(sa.replay_window, sa.esn));
  in->aead_ = *std::move(aead);
  in->spi_ = sa.spi;
  return in;
}

OpenResult InboundSa::Open(ByteSpan packet, uint8_t* out, Opened* opened) {
  // At least the two octets of the trailer, padded to 4 (RFC 4303 section 2.4).
  if (packet.size() < kEspFixedSize + 4 || packet.size() % 4 != 0) return OpenResult::kMalformed;
  const uint8_t* p = packet.data();
  const std::optional<uint64_t> sequence = window_.Infer(Load32(p + 4));
  if (!sequence.has_value() || !window_.Check(*sequence)) return OpenResult::kReplay;

  uint8_t aad[12];
  Store32(aad, spi_);
  size_t aad_size = 8;
  if (esn_) {
    Store64(aad + 4, *sequence);
    aad_size = 12;
  } else {
    Store32(aad + 4, static_cast<uint32_t>(*sequence));
  }
  const size_t plain = packet.size() - kEspFixedSize;
  const uint8_t* body = p + kEspHeaderSize + kIvSize;
  if (!aead_->Open(p + kEspHeaderSize, aad, aad_size, body, plain, out, body + plain)) return OpenResult::kIcv;
  if (!window_.Accept(*sequence)) return OpenResult::kReplay;

  opened->sequence = *sequence;
  opened->next_header = out[plain - 1];
  const size_t padding = out[plain - 2];
  if (padding + 2 > plain) return OpenResult::kMalformed;
  opened->size = plain - 2 - padding;
  for (size_t i = 0; i < padding; ++i) {
    if (out[opened->size + i] != i + 1) return OpenResult::kMalformed;  // section 2.4: SHOULD inspect
  }
  if (opened->next_header == kNextDummy) return OpenResult::kDummy;
  if (opened->next_header != kNextIpv4 && opened->next_header != kNextIpv6) return OpenResult::kMalformed;
  return OpenResult::kOk;
}

}  // namespace espalier::esp
