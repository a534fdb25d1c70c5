// The last good view on disk, from which an agent starts when there is no controller.
//
// One file: 8 octets "ESPVIEW1", the time it was saved (8 octets, Unix seconds), the length of the rest (8 octets), its
// SHA-256 over time, length and rest (32 octets), and then the view as one full WatchResponse. Written beside and
// renamed, so it is whole or old.
#ifndef ESPALIER_AGENT_CONTROL_VIEW_CACHE_H_
#define ESPALIER_AGENT_CONTROL_VIEW_CACHE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/policy/view.h"

namespace espalier::control {

struct CachedView {
  policy::View view;
  absl::Time saved_at;
};

// Not thread-safe.
class ViewCache {
 public:
  // A view that is older is not used: pods have come and gone, and addresses may have new owners.
  static constexpr absl::Duration kDefaultMaxAge = absl::Hours(24);

  ViewCache(std::string path, absl::Duration max_age) : path_(std::move(path)), max_age_(max_age) {}

  // NotFound: none. DataLoss: damaged. FailedPrecondition: too old, from the future, or of another format.
  absl::StatusOr<CachedView> Load(absl::Time now) const;
  absl::Status Save(const policy::View& view, absl::Time now) const;

 private:
  const std::string path_;
  const absl::Duration max_age_;
};

// A view as one full delta (View().Apply() of it gives the view again).
v1::WatchResponse ToFullDelta(const policy::View& view);

}  // namespace espalier::control

#endif  // ESPALIER_AGENT_CONTROL_VIEW_CACHE_H_
