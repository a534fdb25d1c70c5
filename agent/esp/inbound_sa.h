// The receiving end of an ESP SA in tunnel mode (RFC 4303 section 3.4).
#ifndef ESPALIER_AGENT_ESP_INBOUND_SA_H_
#define ESPALIER_AGENT_ESP_INBOUND_SA_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/esp/aead.h"
#include "agent/esp/replay_window.h"
#include "agent/ike/host.h"
#include "common/bytes.h"

namespace espalier::esp {

enum class OpenResult : uint8_t {
  kOk,
  kDummy,      // next header 59: authentic, to be discarded without a word (RFC 4303 section 2.6)
  kReplay,     // seen before or left of the window
  kIcv,        // not authentic; nothing of the SA has changed
  kMalformed,  // too short, or authentic with bad padding or a next header that tunnel mode hasn't
};

struct Opened {
  size_t size = 0;          // octets at `out` that are payload (padding and trailer cut)
  uint8_t next_header = 0;  // 4 or 41
  uint64_t sequence = 0;
};

// One thread at a time.
class InboundSa {
 public:
  // InvalidArgument: SPI 0 to 255, suite, key length, or a window that is not within 32 to 4096 packets.
  static absl::StatusOr<std::unique_ptr<InboundSa>> Create(const ike::EspSa& sa);

  // Opens one ESP packet (SPI to ICV) into `out`, which has room for PlainSize(packet.size()) octets, is packet's own
  // payload (packet.data() + 16) or doesn't overlap it, and is garbage unless the result is kOk. Order: early replay
  // check, ICV, replay check again and window, padding, next header (sections 3.4.2 to 3.4.4).
  OpenResult Open(ByteSpan packet, uint8_t* out, Opened* opened);

  static constexpr size_t PlainSize(size_t packet) { return packet < 32 ? 0 : packet - 32; }

  uint32_t spi() const { return spi_; }
  uint64_t sequence() const { return window_.top(); }  // the highest accepted

 private:
  InboundSa(uint32_t window, bool esn) : esn_(esn), window_(window, esn) {}

  std::unique_ptr<Aead> aead_;
  uint32_t spi_ = 0;
  bool esn_;
  ReplayWindow window_;
};

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_INBOUND_SA_H_
