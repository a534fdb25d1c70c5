// Loads bpf/espalier.bpf.c: one copy of its programs, with maps that are new, or a predecessor's when they are pinned.
// Not thread-safe.
#ifndef ESPALIER_AGENT_STEERING_LOADER_H_
#define ESPALIER_AGENT_STEERING_LOADER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct espalier_bpf;

namespace espalier::steering {

// The programs. The bare ones are for devices without a link header (ipip, gre), `kFromDatapath` for the datapath's.
enum class Hook { kLeavingEthernet, kLeavingBare, kIncomingEthernet, kIncomingBare, kFromDatapath };

class Loader {
 public:
  // Maps are pinned in `map_dir` (on a bpffs, exists), or taken from there; empty: not pinned.
  // FailedPrecondition: what is pinned there has another layout.
  static absl::StatusOr<std::unique_ptr<Loader>> Load(const std::string& map_dir);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Owned by this object.
  int program(Hook hook) const;
  int map(absl::string_view name) const;  // -1: no such map

 private:
  explicit Loader(espalier_bpf* skeleton) : skeleton_(skeleton) {}
  espalier_bpf* skeleton_;
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_LOADER_H_
