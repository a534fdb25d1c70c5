// The TUN through which plaintext enters and leaves the userspace datapath.
#ifndef ESPALIER_AGENT_DATAPATH_TUN_DEVICE_H_
#define ESPALIER_AGENT_DATAPATH_TUN_DEVICE_H_

#include <string>

#include "absl/status/statusor.h"

namespace espalier::datapath {

// Owns the descriptor. The device is persistent: it outlives the process, so that its ifindex stays what BPF redirects
// to; without a reader it drops everything.
class TunDevice {
 public:
  // Makes the device, or takes over the one of that name; up, with virtio headers and every offload the kernel has.
  // In the network namespace of the calling thread. Errors name operation, device, errno.
  static absl::StatusOr<TunDevice> Open(const std::string& name, int mtu);
  TunDevice(TunDevice&& o) noexcept;
  TunDevice& operator=(TunDevice&&) = delete;
  ~TunDevice();

  int fd() const { return fd_; }
  int index() const { return index_; }
  const std::string& name() const { return name_; }

 private:
  TunDevice(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  int fd_ = -1;
  int index_ = 0;
  std::string name_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_TUN_DEVICE_H_
