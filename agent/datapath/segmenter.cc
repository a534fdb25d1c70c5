#include "agent/datapath/segmenter.h"

#include <algorithm>
#include <cstring>

#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"

namespace espalier::datapath {
namespace {

using esp::Load16;
using esp::Load32;
using esp::Store16;
using esp::Store32;

constexpr uint8_t kFin = 0x01, kPsh = 0x08, kCwr = 0x80;

}  // namespace

bool CompleteChecksum(const VirtioHeader& header, std::span<uint8_t> packet) {
  if ((header.flags & kVirtioNeedsChecksum) == 0) return true;
  const size_t start = header.checksum_start;
  const size_t place = start + header.checksum_offset;
  if (start > packet.size() || place + 2 > packet.size()) return false;
  // The field holds the pseudo-header's sum, uncomplemented.
  const esp::Sum sum = esp::SumOf(packet.data() + start, packet.size() - start);
  esp::StoreChecksum(packet.data() + place, sum);
  // RFC 768: a UDP checksum that comes out as zero is sent as all ones (TCP can't mistake it either).
  if (header.checksum_offset == 6 && Load16(packet.data() + place) == 0) Store16(packet.data() + place, 0xffff);
  return true;
}

bool Segmenter::Start(const VirtioHeader& header, std::span<uint8_t> packet, const esp::InnerPacket& inner,
                      size_t inner_mtu) {
  const uint8_t type = header.gso_type & static_cast<uint8_t>(~kVirtioGsoEcn);
  if (inner.fragment || header.gso_size == 0 || packet.size() < inner.total_size) return false;
  v6_ = inner.v6;
  network_size_ = inner.network_size;
  size_ = inner.total_size;
  const size_t upper = size_ - network_size_;
  const uint8_t* at = packet.data() + network_size_;
  switch (type) {
    case kVirtioGsoTcpV4:
    case kVirtioGsoTcpV6: {
      if (inner.protocol != esp::kProtocolTcp || v6_ != (type == kVirtioGsoTcpV6) || upper < 20) return false;
      tcp_ = true;
      const size_t tcp_header = static_cast<size_t>(at[12] >> 4) * 4;
      if (tcp_header < 20 || tcp_header > upper) return false;
      header_size_ = network_size_ + tcp_header;
      if (header_size_ >= inner_mtu) return false;
      payload_size_ = std::min<size_t>(header.gso_size, inner_mtu - header_size_);
      sequence_ = Load32(at + 4);
      flags_ = at[13];
      break;
    }
    case kVirtioGsoUdpL4:
      if (inner.protocol != esp::kProtocolUdp || upper < 8) return false;
      tcp_ = false;
      header_size_ = network_size_ + 8;
      payload_size_ = header.gso_size;
      break;
    default:
      return false;
  }
  if (header_size_ > kMaxHeader) return false;
  const size_t payload = size_ - header_size_;
  count_ = std::max<size_t>(1, (payload + payload_size_ - 1) / payload_size_);
  packet_ = packet.data();
  id_ = v6_ ? uint16_t{0} : Load16(packet_ + 4);
  index_ = 0;
  saved_ = false;
  std::memcpy(header_.data(), packet_, header_size_);
  return true;
}

bool Segmenter::Next(std::span<uint8_t>* segment) {
  if (saved_) std::memcpy(behind_at_, behind_.data(), kTrailer);
  saved_ = false;
  if (index_ == count_) return false;
  const bool last = index_ + 1 == count_;
  const size_t offset = index_ * payload_size_;
  const size_t payload = last ? size_ - header_size_ - offset : payload_size_;
  uint8_t* ip = packet_ + offset;
  if (index_ > 0) std::memcpy(ip, header_.data(), header_size_);
  const size_t size = header_size_ + payload;
  if (v6_) {
    Store16(ip + 4, static_cast<uint16_t>(size - 40));
  } else {
    Store16(ip + 2, static_cast<uint16_t>(size));
    Store16(ip + 4, static_cast<uint16_t>(id_ + index_));
    esp::FixIpv4Checksum(ip, size_t{ip[0] & 0x0fu} * 4);
  }
  if (tcp_) {
    FinishTcp(ip, size, index_, last);
  } else {
    FinishUdp(ip, size);
  }
  if (!last) {
    behind_at_ = ip + size;
    std::memcpy(behind_.data(), behind_at_, kTrailer);
    saved_ = true;
  }
  *segment = {ip, size};
  ++index_;
  return true;
}

void Segmenter::FinishTcp(uint8_t* ip, size_t size, size_t index, bool last) {
  uint8_t* tcp = ip + network_size_;
  const size_t upper = size - network_size_;
  Store32(tcp + 4, sequence_ + static_cast<uint32_t>(index * payload_size_));
  uint8_t flags = flags_;
  if (!last) flags &= static_cast<uint8_t>(~(kFin | kPsh));
  if (index > 0) flags &= static_cast<uint8_t>(~kCwr);
  tcp[13] = flags;
  tcp[16] = tcp[17] = 0;
  esp::StoreChecksum(tcp + 16, esp::SumOf(tcp, upper) + esp::PseudoHeader(ip, esp::kProtocolTcp, upper));
}

void Segmenter::FinishUdp(uint8_t* ip, size_t size) {
  uint8_t* udp = ip + network_size_;
  const size_t upper = size - network_size_;
  Store16(udp + 4, static_cast<uint16_t>(upper));
  udp[6] = udp[7] = 0;
  esp::StoreChecksum(udp + 6, esp::SumOf(udp, upper) + esp::PseudoHeader(ip, esp::kProtocolUdp, upper));
  if (udp[6] == 0 && udp[7] == 0) Store16(udp + 6, 0xffff);
}

}  // namespace espalier::datapath
