// A frame is what a TUN with IFF_VNET_HDR reads and takes: a virtio header (host order) and an IP packet, perhaps a
// super-packet of many segments.
#ifndef ESPALIER_AGENT_DATAPATH_FRAME_H_
#define ESPALIER_AGENT_DATAPATH_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace espalier::datapath {

// virtio 1.2 section 5.1.6, the form without num_buffers. (linux/virtio_net.h is not C++: it has a member `class`.)
struct VirtioHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_size;
  uint16_t gso_size;  // payload octets of each segment
  uint16_t checksum_start;
  uint16_t checksum_offset;  // from checksum_start
};
inline constexpr size_t kVirtioHeaderSize = sizeof(VirtioHeader);
static_assert(kVirtioHeaderSize == 10);
inline constexpr uint8_t kVirtioNeedsChecksum = 1;
inline constexpr uint8_t kVirtioGsoNone = 0, kVirtioGsoTcpV4 = 1, kVirtioGsoTcpV6 = 4, kVirtioGsoUdpL4 = 5;
inline constexpr uint8_t kVirtioGsoEcn = 0x80;  // beside a TCP type: CWR is set

inline constexpr size_t kMaxPacket = 65535;

// Room for one frame, with the packet on a cache line and room behind it for an ESP trailer and for what a cipher
// leaves there.
class FrameBuffer {
 public:
  static constexpr size_t kPacketOffset = 64;
  static constexpr size_t kTail = 256;
  FrameBuffer()
      : data_(static_cast<uint8_t*>(::operator new[](kPacketOffset + kMaxPacket + kTail, std::align_val_t(64)))) {}
  uint8_t* packet() const { return data_.get() + kPacketOffset; }
  uint8_t* frame() const { return packet() - kVirtioHeaderSize; }

 private:
  struct Free {
    void operator()(uint8_t* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<uint8_t[], Free> data_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_FRAME_H_
