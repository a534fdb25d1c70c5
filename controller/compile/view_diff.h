// What has to be sent to bring a node from one view to another.
#ifndef ESPALIER_CONTROLLER_COMPILE_VIEW_DIFF_H_
#define ESPALIER_CONTROLLER_COMPILE_VIEW_DIFF_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "controller/compile/compiler.h"

namespace espalier::compile {

struct ViewDelta {
  std::vector<ResourcePtr> changed;  // new or different, by key
  std::vector<std::string> removed;  // keys, sorted

  bool empty() const { return changed.empty() && removed.empty(); }
};

// Resources that differ in content; equal pointers are not looked into.
ViewDelta Diff(const ResourceMap& from, const ResourceMap& to);

// Diffs of views. Most nodes go from the same common half to the same other: such a diff is made once and kept (the
// last 32). Thread-safe.
class ViewDiffer {
 public:
  // `from` may have null halves: everything is new then.
  ViewDelta Diff(const NodeView& from, const NodeView& to);

 private:
  using Half = std::shared_ptr<const ResourceMap>;
  struct Known {
    Half from, to;  // held, so that their addresses stay theirs
    std::shared_ptr<const ViewDelta> delta;
  };
  std::shared_ptr<const ViewDelta> Common(const Half& from, const Half& to);

  absl::Mutex mutex_;
  std::vector<Known> known_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_VIEW_DIFF_H_
