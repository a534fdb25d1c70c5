// Where objects come from.
#ifndef ESPALIER_CONTROLLER_SOURCE_SOURCE_H_
#define ESPALIER_CONTROLLER_SOURCE_SOURCE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "controller/source/objects.h"
#include "controller/source/problem.h"

namespace espalier::source {

// What a source says: all objects that are in force, and all that is wrong now (not only what is new).
struct Update {
  std::shared_ptr<const ObjectStore> objects;  // never null
  std::vector<Problem> problems;               // sorted by file, document, field
};

class Source {
 public:
  virtual ~Source() = default;  // stops

  // Calls `on_update` with the first snapshot before it returns, and then whenever objects or problems changed, one
  // call at a time, from the source's own thread. `on_update` must not call back into the source. An error means that
  // there is nothing to follow at all; bad objects are problems, not errors. Once only.
  virtual absl::Status Start(std::function<void(Update)> on_update) = 0;

  // No call of `on_update` happens after it returns. Idempotent.
  virtual void Stop() = 0;

  // For logs: "directory /etc/espalier/manifests".
  virtual std::string Name() const = 0;
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_SOURCE_H_
