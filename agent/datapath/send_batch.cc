#include "agent/datapath/send_batch.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <utility>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace espalier::datapath {
namespace {

// How long a full socket buffer may hold up the worker before packets are dropped.
constexpr int kSendWaitMs = 2;

template <typename T>
size_t PutControl(char* at, int level, int type, T value) {
  cmsghdr c{};
  c.cmsg_level = level;
  c.cmsg_type = type;
  c.cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(at, &c, sizeof(c));
  std::memcpy(at + CMSG_LEN(0), &value, sizeof(T));
  return CMSG_SPACE(sizeof(T));
}

size_t PutTrafficClass(char* at, bool v6, uint8_t traffic_class) {
  return v6 ? PutControl<int>(at, IPPROTO_IPV6, IPV6_TCLASS, traffic_class)
            : PutControl<int>(at, IPPROTO_IP, IP_TOS, traffic_class);
}

}  // namespace

SendBatch::SendBatch(Refused refused) : refused_(std::move(refused)), slab_(new uint8_t[kSlab]) {
  packets_.reserve(kMaxPackets);
  trains_.reserve(kMaxPackets);
  messages_.resize(kMaxPackets);
  controls_.resize(kMaxPackets);
  vectors_.resize(kMaxPackets);
}

uint8_t* SendBatch::Reserve(size_t size) {
  if (size > kSlab - used_ || packets_.size() == kMaxPackets) Flush();
  return slab_.get() + used_;
}

void SendBatch::Commit(Route* route, size_t size, uint8_t traffic_class) {
  const size_t index = packets_.size();
  packets_.push_back({slab_.get() + used_, size, kNone});
  used_ += size;
  if (route->batch == number_) {
    Train& t = trains_[route->train];
    // Only the last packet of a train may be shorter (udp(7), UDP_SEGMENT).
    if (!t.closed && t.traffic_class == traffic_class && size <= t.segment_size && t.count < kMaxSegments &&
        t.bytes + size <= kMaxTrain) {
      packets_[t.last].next = index;
      t.last = index;
      ++t.count;
      t.bytes += size;
      t.closed = size < t.segment_size;
      return;
    }
  }
  route->batch = number_;
  route->train = trains_.size();
  trains_.push_back({route, index, index, 1, size, size, false, traffic_class});
}

void SendBatch::BuildMessages() {
  size_t vector = 0;
  for (size_t i = 0; i < trains_.size(); ++i) {
    const Train& t = trains_[i];
    msghdr& h = messages_[i].msg_hdr;
    h = msghdr{};
    h.msg_name = &t.route->remote.storage;
    h.msg_namelen = t.route->remote.size;
    h.msg_iov = &vectors_[vector];
    const size_t start = vector;
    for (size_t p = t.first; p != kNone; p = packets_[p].next) {
      const Packet& packet = packets_[p];
      if (vector > start) {
        iovec& before = vectors_[vector - 1];
        if (static_cast<uint8_t*>(before.iov_base) + before.iov_len == packet.data) {
          before.iov_len += packet.size;
          continue;
        }
      }
      vectors_[vector++] = {packet.data, packet.size};
    }
    h.msg_iovlen = vector - start;
    char* control = controls_[i].octets;
    size_t used = 0;
    if (t.count > 1) used += PutControl<uint16_t>(control, SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(t.segment_size));
    if (t.traffic_class != 0) {
      used += PutTrafficClass(control + used, t.route->remote.storage.ss_family == AF_INET6, t.traffic_class);
    }
    h.msg_control = used > 0 ? control : nullptr;
    h.msg_controllen = used;
  }
}

void SendBatch::Flush() {
  if (packets_.empty()) return;
  BuildMessages();
  for (size_t first = 0; first < trains_.size();) {
    size_t end = first + 1;
    UdpSocket* socket = trains_[first].route->socket;
    while (end < trains_.size() && trains_[end].route->socket == socket) ++end;
    SendFrom(socket, first, end - first);
    first = end;
  }
  packets_.clear();
  trains_.clear();
  used_ = 0;
  ++number_;
}

void SendBatch::SendFrom(UdpSocket* socket, size_t first, size_t count) {
  bool waited = false;
  while (count > 0) {
    int error = 0;
    const size_t sent = socket->Send(&messages_[first], count, &error);
    first += sent;
    count -= sent;
    if (sent > 0) {
      waited = false;
      continue;
    }
    if (error == EINTR) continue;
    if ((error == EAGAIN || error == ENOBUFS) && !waited) {
      pollfd p{socket->fd(), POLLOUT, 0};
      poll(&p, 1, kSendWaitMs);
      waited = true;
      continue;
    }
    Train& t = trains_[first];
    if (t.count > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
      SendSingly(first);
    } else {
      refused_(t.route->owner, t.count, error);
    }
    ++first;
    --count;
  }
}

void SendBatch::SendSingly(size_t train) {
  const Train& t = trains_[train];
  for (size_t p = t.first; p != kNone; p = packets_[p].next) {
    iovec vector{packets_[p].data, packets_[p].size};
    Control control;
    mmsghdr message{};
    message.msg_hdr.msg_name = &t.route->remote.storage;
    message.msg_hdr.msg_namelen = t.route->remote.size;
    message.msg_hdr.msg_iov = &vector;
    message.msg_hdr.msg_iovlen = 1;
    if (t.traffic_class != 0) {
      message.msg_hdr.msg_control = control.octets;
      message.msg_hdr.msg_controllen =
          PutTrafficClass(control.octets, t.route->remote.storage.ss_family == AF_INET6, t.traffic_class);
    }
    int error = 0;
    if (t.route->socket->Send(&message, 1, &error) == 0) refused_(t.route->owner, 1, error);
  }
}

}  // namespace espalier::datapath
