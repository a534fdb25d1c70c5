// Closures for one thread, with one deadline.
#ifndef ESPALIER_COMMON_EVENT_QUEUE_H_
#define ESPALIER_COMMON_EVENT_QUEUE_H_

#include <deque>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace espalier {

// Thread-safe. Held by shared_ptr by whoever may post, so that a late post finds a closed queue and not a dead one.
class EventQueue {
 public:
  void Post(std::function<void()> event) {
    absl::MutexLock lock(&mutex_);
    if (!closed_) events_.push_back(std::move(event));
  }

  // The next event, or null when `deadline` comes first.
  std::function<void()> Take(absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithDeadline(
        absl::Condition(+[](std::deque<std::function<void()>>* e) { return !e->empty(); }, &events_), deadline);
    if (events_.empty()) return nullptr;
    std::function<void()> event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

  // What is in it, and what comes, is dropped.
  void Close() {
    std::deque<std::function<void()>> dropped;
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(events_);
  }

 private:
  absl::Mutex mutex_;
  std::deque<std::function<void()>> events_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace espalier

#endif  // ESPALIER_COMMON_EVENT_QUEUE_H_
