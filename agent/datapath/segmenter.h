// Cuts a super-packet of the TUN (TSO, USO) into the packets that go into ESP, in place and without copying payload.
#ifndef ESPALIER_AGENT_DATAPATH_SEGMENTER_H_
#define ESPALIER_AGENT_DATAPATH_SEGMENTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "agent/datapath/frame.h"
#include "agent/esp/inner_packet.h"

namespace espalier::datapath {

// Completes the checksum that NEEDS_CSUM leaves to the device. False: the header's offsets lie outside the packet.
bool CompleteChecksum(const VirtioHeader& header, std::span<uint8_t> packet);

// True if the frame is a super-packet.
inline bool IsSuperPacket(const VirtioHeader& header) { return (header.gso_type & ~kVirtioGsoEcn) != kVirtioGsoNone; }

// One super-packet at a time:
//   if (!segmenter.Start(...)) drop;
//   while (segmenter.Next(&segment)) seal(segment);
// Each segment lies in the packet's own memory: its header is written over the tail of the payload before it, which
// has been sealed by then. Up to kTrailer octets behind a segment may be overwritten by its user; Next() restores
// them. Checksums of the segments are complete, the IPv4 id counts up, FIN and PSH are on the last only, CWR on the
// first only.
class Segmenter {
 public:
  static constexpr size_t kTrailer = 8;

  // `packet` has kTrailer octets of room behind it. TCP segments are made to fit `inner_mtu` (smaller than the
  // sender's if need be); UDP datagrams keep their size. False: not a kind of super-packet that the TUN announced, or
  // headers that don't fit.
  bool Start(const VirtioHeader& header, std::span<uint8_t> packet, const esp::InnerPacket& inner, size_t inner_mtu);
  bool Next(std::span<uint8_t>* segment);
  size_t segment_size() const { return header_size_ + payload_size_; }  // of all but perhaps the last
  size_t count() const { return count_; }

 private:
  static constexpr size_t kMaxHeader = 256;

  void FinishTcp(uint8_t* ip, size_t size, size_t index, bool last);
  void FinishUdp(uint8_t* ip, size_t size);

  uint8_t* packet_ = nullptr;
  size_t size_ = 0, network_size_ = 0, header_size_ = 0, payload_size_ = 0, count_ = 0, index_ = 0;
  bool v6_ = false, tcp_ = false, saved_ = false;
  uint32_t sequence_ = 0;
  uint16_t id_ = 0;
  uint8_t flags_ = 0;
  std::array<uint8_t, kMaxHeader> header_{};
  std::array<uint8_t, kTrailer> behind_{};
  uint8_t* behind_at_ = nullptr;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_SEGMENTER_H_
