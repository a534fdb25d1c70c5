// Sealed packets on their way out: gathered into trains of equal packets for the same peer, one system call for many.
#ifndef ESPALIER_AGENT_DATAPATH_SEND_BATCH_H_
#define ESPALIER_AGENT_DATAPATH_SEND_BATCH_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "agent/datapath/udp_socket.h"

namespace espalier::datapath {

// Where a tunnel's packets go, and its train in the batch that is being built.
struct Route {
  UdpSocket* socket = nullptr;
  SocketAddress remote;
  void* owner = nullptr;  // given back with packets that could not be sent

  uint64_t batch = 0;  // of `train`; for SendBatch alone
  size_t train = 0;
};

// One thread. Packets of one route keep their order.
class SendBatch {
 public:
  // Told of each train that the kernel refused: its route's owner and how many packets.
  using Refused = std::function<void(void* owner, size_t packets, int error)>;

  explicit SendBatch(Refused refused);

  // Room for a packet of `size` octets; flushes first if there is none. Valid until the next call.
  uint8_t* Reserve(size_t size);
  // The packet at the last Reserve() is ready. `route` stays where it is until the flush.
  void Commit(Route* route, size_t size, uint8_t traffic_class);
  void Flush();

  size_t packets() const { return packets_.size(); }
  bool empty() const { return packets_.empty(); }

 private:
  static constexpr size_t kSlab = 512 * 1024;
  static constexpr size_t kMaxPackets = 1024;
  static constexpr size_t kMaxSegments = 64;  // UDP_MAX_SEGMENTS of older kernels
  static constexpr size_t kMaxTrain = 65507;
  static constexpr size_t kNone = SIZE_MAX;

  struct Packet {
    uint8_t* data;
    size_t size;
    size_t next;  // of the same train
  };
  struct Train {
    Route* route;
    size_t first, last;  // packets
    size_t count = 0, bytes = 0, segment_size = 0;
    bool closed = false;
    uint8_t traffic_class = 0;
  };
  struct Control {
    alignas(cmsghdr) char octets[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
  };

  void BuildMessages();
  void SendFrom(UdpSocket* socket, size_t first, size_t count);
  // A train that the kernel won't take whole (no checksum offload on the way out, say): one packet a call.
  void SendSingly(size_t train);

  Refused refused_;
  std::unique_ptr<uint8_t[]> slab_;
  size_t used_ = 0;
  uint64_t number_ = 1;
  std::vector<Packet> packets_;
  std::vector<Train> trains_;
  std::vector<mmsghdr> messages_;
  std::vector<Control> controls_;
  std::vector<iovec> vectors_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_SEND_BATCH_H_
