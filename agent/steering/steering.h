// Loads bpf/, attaches it where the CNI sends pod traffic off the node, owns its maps and reads its counters.
// Threads: all calls on the control thread; on_event comes from Poll().
#ifndef ESPALIER_AGENT_STEERING_STEERING_H_
#define ESPALIER_AGENT_STEERING_STEERING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/policy/snapshot.h"

namespace espalier::steering {

struct Options {
  std::string pin_dir;          // on a bpffs, of this node alone
  std::string datapath_device;  // where "encrypt" redirects to
  int datapath_ifindex = 0;
  std::vector<std::string> devices;  // empty: found (see devices.h) and followed
};

// Something refused, for the log; rate-limited in the kernel, at most one a second for each (reason, pair).
struct Event {
  std::string reason;  // of bpf/espalier_shared.h's list
  std::string device;
  bool egress = false;
  policy::Flow flow;
  uint32_t source_identity = 0, destination_identity = 0;
};

class Steering {
 public:
  // Loads, or takes over what a predecessor pinned (its verdicts stay in force until the first Program()).
  static absl::StatusOr<std::unique_ptr<Steering>> Create(Options options);
  virtual ~Steering() = default;  // everything stays pinned and in force: fail closed

  // The snapshot in force, whole or not at all: two generations of the maps and one switch.
  virtual absl::Status Program(const policy::Snapshot& snapshot, const std::vector<IpPrefix>& pod_cidrs_of_self) = 0;
  // For Prefer: is there an outbound SA to this node?
  virtual absl::Status SetTunnelReady(uint32_t node_id, bool ready) = 0;
  // Node ids for which a Prefer packet went out in the clear since the last call (they want a tunnel).
  virtual std::vector<uint32_t> TakeWanted() = 0;
  // A netlink socket that is readable when links, addresses or routes changed: then call Reconcile().
  virtual int netlink_fd() const = 0;
  // Finds devices, attaches what is missing, puts our programs first again. Alarms are in alarms().
  virtual absl::Status Reconcile() = 0;
  virtual int event_fd() const = 0;  // epoll fd of the ring buffer
  virtual void Poll(const std::function<void(const Event&)>& on_event) = 0;

  virtual std::vector<std::string> devices() const = 0;
  virtual std::vector<std::string> alarms() const = 0;
  // Packets and bytes by counter name ("encrypted", "passed", "exempt_ike", "drop_guard", ...), summed over CPUs.
  struct Count {
    uint64_t packets = 0, bytes = 0;
  };
  virtual std::map<std::string, Count> Counters() = 0;

  // Detaches and unpins everything under pin_dir (break-glass, and `lab down`).
  static absl::Status Detach(const std::string& pin_dir);
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_STEERING_H_
