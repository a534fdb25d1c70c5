// One log line for each cause, however often it happens.
#ifndef ESPALIER_CONTROLLER_STATUS_CAUSE_LOG_H_
#define ESPALIER_CONTROLLER_STATUS_CAUSE_LOG_H_

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace espalier::status {

// Thread-safe. Remembers a bounded number of causes; beyond it the oldest are forgotten.
class CauseLog {
 public:
  explicit CauseLog(absl::Duration again_after) : again_after_(again_after) {}

  // Whether this cause should be logged now: it is new, or was last logged `again_after` ago.
  bool Should(absl::string_view cause, absl::Time now);

 private:
  static constexpr size_t kMaxCauses = 256;

  const absl::Duration again_after_;
  absl::Mutex mutex_;
  std::map<std::string, absl::Time> logged_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier::status

#endif  // ESPALIER_CONTROLLER_STATUS_CAUSE_LOG_H_
