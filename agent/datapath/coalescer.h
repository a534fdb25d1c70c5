// Joins opened packets of one flow into super-packets for the TUN: TCP segments that follow each other, UDP datagrams
// of one size. It is the inverse of the sender's segmentation, and as careful as the kernel's GRO.
#ifndef ESPALIER_AGENT_DATAPATH_COALESCER_H_
#define ESPALIER_AGENT_DATAPATH_COALESCER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "agent/datapath/frame.h"
#include "agent/esp/inner_packet.h"
#include "common/bytes.h"

namespace espalier::datapath {

// One pending super-packet. Packets are decrypted right to where they belong:
//   1. Place(): where the next packet is to be opened: behind the pending payload, so that its header covers the last
//      octets of that (which are kept aside).
//   2. nothing authentic came: Abandon(). Else TryAppend(): if the packet continues the pending one, done.
//   3. else Isolate(): the pending one is written out, the packet alone remains; check it; then Begin() or Abandon().
//   4. Flush() when there is nothing more to open.
// One thread.
class Coalescer {
 public:
  // Takes a frame (virtio header and packet) of so many packets.
  using Deliver = std::function<void(std::span<const uint8_t> frame, size_t packets)>;

  explicit Coalescer(Deliver deliver) : deliver_(std::move(deliver)) {}

  // Room for a packet of up to `size` octets (at most kMaxPacket).
  uint8_t* Place(size_t size);
  void Abandon();
  // `size` octets lie at the place. `owner` must be the same for all packets of a super-packet.
  bool TryAppend(size_t size, const void* owner);
  std::span<uint8_t> Isolate(size_t size);
  // The isolated packet was parsed into `inner` and may be delivered.
  void Begin(const esp::InnerPacket& inner, const void* owner);
  void Flush();

 private:
  static constexpr size_t kMaxHeader = 128;
  static constexpr size_t kMaxSegments = 128;  // of a UDP super-packet, as the kernel's UDP_MAX_SEGMENTS

  uint8_t* pending() const { return buffers_[current_].packet(); }
  bool Coalescable(const esp::InnerPacket& inner, const uint8_t* packet);
  bool ContinuesTcp(const uint8_t* at, size_t upper) const;
  bool ContinuesUdp(const uint8_t* at, size_t upper) const;
  void WriteMerged();
  void WriteAlone(size_t size);

  Deliver deliver_;
  std::array<FrameBuffer, 2> buffers_;
  int current_ = 0;

  bool open_ = false;    // something is pending
  bool placed_ = false;  // the header's room was taken from the pending tail
  bool v6_ = false, tcp_ = false;
  const void* owner_ = nullptr;
  size_t network_size_ = 0, header_size_ = 0, segment_size_ = 0;
  size_t size_ = 0;  // of the pending packet
  size_t packets_ = 0;
  uint32_t next_sequence_ = 0;
  uint16_t next_id_ = 0;
  // A copy of the pending header, with newer flags and window: a short first payload lets the packet at the place lie
  // over the header itself.
  std::array<uint8_t, kMaxHeader> head_{};
  std::array<uint8_t, kMaxHeader> kept_{};  // the pending tail under the header of the packet at the place
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_COALESCER_H_
