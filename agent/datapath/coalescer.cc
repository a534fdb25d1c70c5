#include "agent/datapath/coalescer.h"

#include <cstring>

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"

namespace espalier::datapath {
namespace {

using esp::Load16;
using esp::Load32;
using esp::Store16;

constexpr uint8_t kPsh = 0x08, kAck = 0x10, kEce = 0x40;

bool Same(const uint8_t* a, const uint8_t* b, size_t size) { return std::memcmp(a, b, size) == 0; }

}  // namespace

uint8_t* Coalescer::Place(size_t size) {
  if (open_ && size_ + size > kMaxPacket) Flush();
  if (!open_) return pending();
  uint8_t* at = pending() + size_ - header_size_;
  std::memcpy(kept_.data(), at, header_size_);
  placed_ = true;
  return at;
}

void Coalescer::Abandon() {
  if (placed_) std::memcpy(pending() + size_ - header_size_, kept_.data(), header_size_);
  placed_ = false;
}

bool Coalescer::TryAppend(size_t size, const void* owner) {
  if (!open_ || !placed_ || owner != owner_ || size <= header_size_) return false;
  const uint8_t* head = head_.data();
  uint8_t* at = pending() + size_ - header_size_;
  if (v6_) {
    // Version, class, flow label; next header and hop limit; addresses.
    if (!Same(at, head, 4) || !Same(at + 6, head + 6, 34)) return false;
    const size_t total = 40 + size_t{Load16(at + 4)};
    if (total > size) return false;
    size = total;
  } else {
    // Version and class; flags and offset, TTL, protocol; addresses. DF decides whether the id has to count up.
    if (!Same(at, head, 2) || !Same(at + 6, head + 6, 4) || !Same(at + 12, head + 12, 8)) return false;
    const size_t total = Load16(at + 2);
    if (total > size) return false;
    size = total;
    const bool dont_fragment = (at[6] & 0x40) != 0;
    if (!dont_fragment && Load16(at + 4) != next_id_) return false;
    if (!esp::Verifies(esp::SumOf(at, 20))) return false;
  }
  if (size <= header_size_) return false;
  const size_t payload = size - header_size_;
  if (payload > segment_size_) return false;
  const uint8_t* upper = at + network_size_;
  if (!(tcp_ ? ContinuesTcp(upper, size - network_size_) : ContinuesUdp(upper, size - network_size_))) return false;

  bool close = payload < segment_size_;
  if (tcp_) {
    uint8_t* tcp = head_.data() + network_size_;
    if ((upper[13] & kPsh) != 0) {
      tcp[13] |= kPsh;
      close = true;
    }
    std::memcpy(tcp + 14, upper + 14, 2);  // the newest window
    next_sequence_ += static_cast<uint32_t>(payload);
  } else {
    close = close || packets_ + 1 >= kMaxSegments;
  }
  std::memcpy(at, kept_.data(), header_size_);
  placed_ = false;
  size_ += payload;
  ++packets_;
  ++next_id_;
  if (close) Flush();
  return true;
}

bool Coalescer::ContinuesTcp(const uint8_t* at, size_t upper) const {
  const uint8_t* head = head_.data() + network_size_;
  const size_t tcp_header = header_size_ - network_size_;
  if (upper <= tcp_header) return false;
  // Ports, the next sequence number, acknowledgement and data offset, no flag but ACK, PSH and an equal ECE, options.
  return Same(at, head, 4) && Load32(at + 4) == next_sequence_ && Same(at + 8, head + 8, 5) &&
         (at[13] & static_cast<uint8_t>(~kPsh)) == head[13] && Same(at + 20, head + 20, tcp_header - 20);
}

bool Coalescer::ContinuesUdp(const uint8_t* at, size_t upper) const {
  const uint8_t* head = head_.data() + network_size_;
  return Same(at, head, 4) && Load16(at + 4) == upper && (at[6] | at[7]) != 0;
}

std::span<uint8_t> Coalescer::Isolate(size_t size) {
  if (open_) {
    uint8_t* other = buffers_[1 - current_].packet();
    std::memcpy(other, pending() + size_ - header_size_, size);
    Abandon();
    Flush();
    current_ = 1 - current_;
  }
  return {pending(), size};
}

bool Coalescer::Coalescable(const esp::InnerPacket& inner, const uint8_t* packet) {
  if (inner.fragment || inner.network_size != (inner.v6 ? 40u : 20u)) return false;
  const uint8_t* upper = packet + inner.network_size;
  const size_t upper_size = inner.total_size - inner.network_size;
  if (inner.protocol == esp::kProtocolTcp) {
    const size_t tcp_header = static_cast<size_t>(upper[12] >> 4) * 4;
    if (tcp_header < 20 || tcp_header >= upper_size) return false;        // nothing to join to without payload
    if ((upper[13] & static_cast<uint8_t>(~kEce)) != kAck) return false;  // PSH too: nothing follows
    tcp_ = true;
    header_size_ = inner.network_size + tcp_header;
    next_sequence_ = Load32(upper + 4) + static_cast<uint32_t>(upper_size - tcp_header);
  } else if (inner.protocol == esp::kProtocolUdp) {
    if (upper_size <= 8 || Load16(upper + 4) != upper_size || (upper[6] | upper[7]) == 0) return false;
    tcp_ = false;
    header_size_ = inner.network_size + 8;
  } else {
    return false;
  }
  if (!inner.v6 && !esp::Verifies(esp::SumOf(packet, 20))) return false;
  return header_size_ <= kMaxHeader;
}

void Coalescer::Begin(const esp::InnerPacket& inner, const void* owner) {
  uint8_t* packet = pending();
  if (!Coalescable(inner, packet)) {
    WriteAlone(inner.total_size);
    return;
  }
  open_ = true;
  placed_ = false;
  v6_ = inner.v6;
  owner_ = owner;
  network_size_ = inner.network_size;
  size_ = inner.total_size;
  segment_size_ = size_ - header_size_;
  packets_ = 1;
  std::memcpy(head_.data(), packet, header_size_);
  next_id_ = v6_ ? uint16_t{0} : static_cast<uint16_t>(Load16(packet + 4) + 1);
}

void Coalescer::WriteAlone(size_t size) {
  const FrameBuffer& buffer = buffers_[current_];
  std::memset(buffer.frame(), 0, kVirtioHeaderSize);
  deliver_({buffer.frame(), kVirtioHeaderSize + size}, 1);
}

void Coalescer::Flush() {
  if (!open_) return;
  open_ = false;
  if (packets_ == 1) {
    WriteAlone(size_);
  } else {
    WriteMerged();
  }
}

void Coalescer::WriteMerged() {
  uint8_t* ip = pending();
  std::memcpy(ip, head_.data(), header_size_);
  uint8_t* upper = ip + network_size_;
  const size_t upper_size = size_ - network_size_;
  if (v6_) {
    Store16(ip + 4, static_cast<uint16_t>(size_ - 40));
  } else {
    Store16(ip + 2, static_cast<uint16_t>(size_));
    esp::FixIpv4Checksum(ip, network_size_);
  }
  VirtioHeader header{};
  header.flags = kVirtioNeedsChecksum;
  header.header_size = static_cast<uint16_t>(header_size_);
  header.gso_size = static_cast<uint16_t>(segment_size_);
  header.checksum_start = static_cast<uint16_t>(network_size_);
  if (tcp_) {
    header.gso_type = v6_ ? kVirtioGsoTcpV6 : kVirtioGsoTcpV4;
    header.checksum_offset = 16;
  } else {
    header.gso_type = kVirtioGsoUdpL4;
    header.checksum_offset = 6;
    Store16(upper + 4, static_cast<uint16_t>(upper_size));
  }
  // NEEDS_CSUM: the field holds the pseudo-header's sum, not complemented.
  const uint8_t protocol = tcp_ ? esp::kProtocolTcp : esp::kProtocolUdp;
  uint8_t* place = upper + header.checksum_offset;
  esp::StoreChecksum(place, esp::PseudoHeader(ip, protocol, upper_size));
  Store16(place, static_cast<uint16_t>(~Load16(place)));
  std::memcpy(buffers_[current_].frame(), &header, kVirtioHeaderSize);
  deliver_({buffers_[current_].frame(), kVirtioHeaderSize + size_}, packets_);
}

}  // namespace espalier::datapath
