#include "agent/datapath/worker.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/log/log.h"

namespace espalier::datapath {
namespace {

// After a pass with so many small packets more are on their way: a short sleep makes one batch of them, and costs a
// lone packet nothing.
constexpr size_t kNapMin = 3, kNapMax = 47;
constexpr size_t kSmall = 400;  // octets; larger ones are worth a system call of their own
constexpr long kNapNs = 40'000;
constexpr unsigned long kTimerSlackNs = 1'000;
constexpr int64_t kErrorsIntervalNs = 5'000'000;
constexpr uint64_t kSliceNs = 100'000;

int64_t Read(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// A short slice brings an early deadline (EEVDF, Linux 6.12): the thread runs soon after it is woken, also on a node
// whose CPUs are busy, and takes no more CPU for it. Older kernels ignore the number. SCHED_BATCH is as fast on an idle
// machine but waits for whole slices of others on a busy one (docs/performance.md).
void RequestShortSlices() {
  struct {  // sched_setattr(2)
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes{};
  static_assert(sizeof(attributes) == 48);
  attributes.size = sizeof(attributes);
  attributes.policy = SCHED_OTHER;
  attributes.runtime = kSliceNs;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) PLOG(WARNING) << "sched_setattr of the datapath's worker";
}

}  // namespace

Worker::Worker(Options options, Events events, TunDevice tun, std::vector<std::unique_ptr<UdpSocket>> sockets,
               std::vector<std::unique_ptr<IcmpSocket>> icmp)
    : options_(std::move(options)),
      events_(std::move(events)),
      tun_(std::move(tun)),
      sockets_(std::move(sockets)),
      icmp_(std::move(icmp)),
      inbound_(&state_, &events_, tun_.fd()),
      outbound_(&state_, &events_, &options_, tun_.fd()) {}

Worker::~Worker() {
  if (thread_.joinable()) {
    stop_ = true;
    eventfd_write(wake_fd_, 1);
    thread_.join();
  }
  if (wake_fd_ >= 0) close(wake_fd_);
}

absl::Status Worker::Start() {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return absl::ErrnoToStatus(errno, "eventfd");
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

UdpSocket* Worker::SocketFor(const IpAddress& local) const {
  UdpSocket* family = nullptr;
  for (const auto& s : sockets_) {
    if (s->local().address == local) return s.get();
    if (family == nullptr && s->local().address.is_v6() == local.is_v6()) family = s.get();
  }
  return family;
}

void Worker::Call(const std::function<void(WorkerState&, Inbound&, Outbound&)>& run) {
  Command command{&run, {}};
  {
    absl::MutexLock lock(&mutex_);
    commands_.push_back(&command);
  }
  called_.store(true, std::memory_order_release);
  eventfd_write(wake_fd_, 1);
  command.done.WaitForNotification();
}

void Worker::RunCommands() {
  eventfd_t ignored;
  eventfd_read(wake_fd_, &ignored);
  called_.store(false, std::memory_order_release);
  for (;;) {
    Command* command = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      if (commands_.empty()) return;
      command = commands_.front();
      commands_.pop_front();
    }
    inbound_.Forget();
    (*command->run)(state_, inbound_, outbound_);
    command->done.Notify();
  }
}

void Worker::ReadClocks() {
  state_.now_ns = Read(CLOCK_MONOTONIC);
  state_.wall_ns = Read(CLOCK_REALTIME);
}

// Errors matter for packets that are being sent: looking now and then, while awake, is enough.
void Worker::HearErrors() {
  if (state_.now_ns < next_errors_ns_) return;
  next_errors_ns_ = state_.now_ns + kErrorsIntervalNs;
  for (const auto& s : icmp_) {
    s->Receive(options_.port, [this](const esp::OuterTooBig& said) { outbound_.PathTooBig(said); });
  }
}

void Worker::Wait() {
  std::vector<pollfd> fds;
  fds.push_back({tun_gone_ ? -1 : tun_.fd(), POLLIN, 0});
  fds.push_back({wake_fd_, POLLIN, 0});
  for (const auto& s : sockets_) fds.push_back({s->fd(), POLLIN, 0});
  timespec timeout{};
  const bool timed = outbound_.NextDeadline() != INT64_MAX;
  if (timed) {
    const int64_t left = std::max<int64_t>(outbound_.NextDeadline() - Read(CLOCK_MONOTONIC), 0);
    timeout = {left / 1'000'000'000, left % 1'000'000'000};
  }
  if (ppoll(fds.data(), fds.size(), timed ? &timeout : nullptr, nullptr) <= 0) return;
  if ((fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    // Somebody deleted the device. Nothing can come from it, or go to it, until the agent starts again.
    LOG(ERROR) << "the datapath's device is gone device=" << tun_.name();
    tun_gone_ = true;
  }
  for (size_t i = 0; i < sockets_.size(); ++i) {
    if ((fds[i + 2].revents & POLLERR) != 0) sockets_[i]->DrainErrors();
  }
}

void Worker::Run() {
  pthread_setname_np(pthread_self(), "espalier-esp");
  prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  RequestShortSlices();
  while (!stop_.load(std::memory_order_relaxed)) {
    ReadClocks();
    if (called_.load(std::memory_order_acquire)) RunCommands();
    size_t packets = 0, small = 0;
    for (const auto& s : sockets_) {
      const size_t n = inbound_.Step(s.get());
      packets += n;
      if (n > 0 && inbound_.step_bytes() / n <= kSmall) small += n;
    }
    bool read = false;
    const size_t sent = outbound_.Step(&read);
    if (outbound_.step_bytes() <= sent * kSmall) small += sent;
    outbound_.Expire();
    HearErrors();
    if (packets == 0 && !read) {
      Wait();
    } else if (small >= kNapMin && small <= kNapMax) {
      const timespec nap{0, kNapNs};
      nanosleep(&nap, nullptr);
    }
  }
  // Nobody waits for an answer for ever.
  ReadClocks();
  RunCommands();
}

}  // namespace espalier::datapath
