// Packets that wait for a tunnel: bounded for each key and in all, and in time. Pure; time goes in.
#ifndef ESPALIER_AGENT_DATAPATH_HOLD_QUEUE_H_
#define ESPALIER_AGENT_DATAPATH_HOLD_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "common/bytes.h"

namespace espalier::datapath {

struct HoldLimits {
  size_t packets = 64, bytes = 256 * 1024;  // for each key
  size_t keys = SIZE_MAX;
  int64_t time_ns = 1'000'000'000;
};

// The octets that all queues may hold together.
struct HoldBudget {
  size_t limit = 16 * 1024 * 1024;
  size_t used = 0;
};

struct HeldFrame {
  Bytes frame;  // as read from the TUN
  int64_t deadline_ns = 0;
};

template <typename Key>
class HoldQueue {
 public:
  // `budget` outlives this.
  HoldQueue(HoldLimits limits, HoldBudget* budget) : limits_(limits), budget_(budget) {}

  // False: full; the frame is not kept. `deadline_ns` of a frame that waited before is kept, 0: now + the hold time.
  bool Add(const Key& key, ByteSpan frame, int64_t now_ns, int64_t deadline_ns = 0) {
    if (frame.size() > budget_->limit - budget_->used) return false;
    auto it = queues_.find(key);
    if (it == queues_.end()) {
      if (queues_.size() >= limits_.keys || limits_.packets == 0 || frame.size() > limits_.bytes) return false;
      it = queues_.try_emplace(key).first;
    }
    Queue& q = it->second;
    if (q.frames.size() >= limits_.packets || q.bytes + frame.size() > limits_.bytes) return false;
    q.frames.push_back({Bytes(frame.begin(), frame.end()), deadline_ns != 0 ? deadline_ns : now_ns + limits_.time_ns});
    q.bytes += frame.size();
    budget_->used += frame.size();
    return true;
  }

  // Everything that waits for `key`, in order; it waits no more.
  std::vector<HeldFrame> Take(const Key& key) {
    std::vector<HeldFrame> out;
    auto it = queues_.find(key);
    if (it == queues_.end()) return out;
    Move(&it->second, &out);
    queues_.erase(it);
    return out;
  }
  std::vector<HeldFrame> TakeAll() {
    std::vector<HeldFrame> out;
    for (auto& [key, q] : queues_) Move(&q, &out);
    queues_.clear();
    return out;
  }

  // Drops what is past its deadline; how many.
  size_t Expire(int64_t now_ns) {
    size_t dropped = 0;
    for (auto it = queues_.begin(); it != queues_.end();) {
      Queue& q = it->second;
      while (!q.frames.empty() && q.frames.front().deadline_ns <= now_ns) {
        q.bytes -= q.frames.front().frame.size();
        budget_->used -= q.frames.front().frame.size();
        q.frames.pop_front();
        ++dropped;
      }
      if (q.frames.empty()) {
        it = queues_.erase(it);
      } else {
        ++it;
      }
    }
    return dropped;
  }

  // The earliest deadline; INT64_MAX: nothing waits.
  int64_t NextDeadline() const {
    int64_t next = INT64_MAX;
    for (const auto& [key, q] : queues_) next = std::min(next, q.frames.front().deadline_ns);
    return next;
  }
  bool empty() const { return queues_.empty(); }
  size_t keys() const { return queues_.size(); }
  template <typename F>
  void ForEach(F f) const {
    for (const auto& [key, q] : queues_) f(key, q.frames.size());
  }

 private:
  struct Queue {
    std::deque<HeldFrame> frames;  // never empty between calls
    size_t bytes = 0;
  };
  void Move(Queue* q, std::vector<HeldFrame>* out) {
    budget_->used -= q->bytes;
    for (HeldFrame& f : q->frames) out->push_back(std::move(f));
  }

  HoldLimits limits_;
  HoldBudget* budget_;
  std::map<Key, Queue> queues_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_HOLD_QUEUE_H_
