// The thread that carries packets, and the door through which the control thread has it do things.
#ifndef ESPALIER_AGENT_DATAPATH_WORKER_H_
#define ESPALIER_AGENT_DATAPATH_WORKER_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "agent/datapath/icmp_socket.h"
#include "agent/datapath/inbound.h"
#include "agent/datapath/outbound.h"
#include "agent/datapath/tun_device.h"
#include "agent/datapath/worker_state.h"

namespace espalier::datapath {

// One pass of the worker: commands, a batch from each socket, a batch from the TUN, what has waited too long. With
// nothing to do it sleeps in poll().
class Worker {
 public:
  Worker(Options options, Events events, TunDevice tun, std::vector<std::unique_ptr<UdpSocket>> sockets,
         std::vector<std::unique_ptr<IcmpSocket>> icmp);
  // Stops the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  absl::Status Start();

  // Runs `command` on the worker between two passes, when nothing is in flight; returns when it has run. Any thread but
  // the worker's.
  void Call(const std::function<void(WorkerState&, Inbound&, Outbound&)>& command);

  const Options& options() const { return options_; }
  const TunDevice& tun() const { return tun_; }
  // The socket bound to `local`, else the first of its family, else null. Fixed once made: any thread.
  UdpSocket* SocketFor(const IpAddress& local) const;

 private:
  struct Command {
    const std::function<void(WorkerState&, Inbound&, Outbound&)>* run;
    absl::Notification done;
  };

  void Run();
  void RunCommands();
  void ReadClocks();
  void HearErrors();
  // Sleeps until there is something to do.
  void Wait();

  const Options options_;
  const Events events_;
  TunDevice tun_;
  std::vector<std::unique_ptr<UdpSocket>> sockets_;
  std::vector<std::unique_ptr<IcmpSocket>> icmp_;
  WorkerState state_;
  Inbound inbound_;
  Outbound outbound_;
  int wake_fd_ = -1;
  int64_t next_errors_ns_ = 0;
  bool tun_gone_ = false;

  std::atomic<bool> stop_{false};
  std::atomic<bool> called_{false};
  absl::Mutex mutex_;
  std::deque<Command*> commands_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_WORKER_H_
