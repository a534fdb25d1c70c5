// What one node has been told and has acknowledged. Pure: no I/O, no clock, no thread.
//
// Each view of the node that is published gets a version. The last kHistory of them are kept (shared halves, see
// compile/compiler.h), so that an agent that comes back can go on from the version it holds. At most one delta is under
// way; what is published meanwhile is merged into the next. A delta always starts from the last *acknowledged* view: a
// refused one is as if it had never been sent.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_NODE_SESSION_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_NODE_SESSION_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "controller/compile/compiler.h"

namespace espalier::distribute {

// What to send next: the difference between two views.
struct Shipment {
  uint64_t version = 0;
  bool full = false;           // `from` is empty then
  compile::NodeView from, to;  // null halves: nothing
};

class NodeSession {
 public:
  static constexpr size_t kHistory = 32;
  // A refused view is offered again after this, for an agent whose reason was passing.
  static constexpr absl::Duration kRetryRefused = absl::Seconds(30);

  // The view that holds from now on. `version` is larger than any before. No-op where nothing changed.
  void Publish(const compile::NodeView& view, uint64_t version);

  // A stream begins whose agent holds `resume_version` of this epoch; 0: nothing of it.
  void Connect(uint64_t resume_version);
  void Disconnect();

  // The next delta, if one is due; it is under way then.
  std::optional<Shipment> Next(absl::Time now);

  enum class Answer { kAcknowledged, kRefused, kStray };
  // The agent's answer; an empty `error` is an acknowledgement. kStray: it answers nothing that is under way.
  Answer OnAnswer(uint64_t version, absl::string_view error, absl::Time now);

  bool connected() const { return connected_; }
  // The agent holds the view that was last published.
  bool in_sync() const { return connected_ && version_ != 0 && acked_version_ == version_; }
  uint64_t version() const { return version_; }
  uint64_t acked_version() const { return acked_version_; }
  // Why the last answered view was refused; empty: it wasn't.
  const std::string& refusal() const { return refusal_; }
  // Since when a delta is unanswered; InfiniteFuture: none is.
  absl::Time waiting_since() const { return under_way_ ? under_way_->sent_at : absl::InfiniteFuture(); }

 private:
  struct Version {
    uint64_t number = 0;
    compile::NodeView view;
  };
  struct UnderWay {
    Version to;
    absl::Time sent_at;
  };

  const compile::NodeView* Find(uint64_t version) const;

  std::deque<Version> history_;  // oldest first; the last is the current one
  uint64_t version_ = 0;
  bool connected_ = false;
  compile::NodeView acked_;  // null halves with acked_version_ 0
  uint64_t acked_version_ = 0;
  uint64_t offered_version_ = 0;  // the last that was sent on this stream
  std::optional<UnderWay> under_way_;
  std::string refusal_;
  absl::Time refused_at_;
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_NODE_SESSION_H_
