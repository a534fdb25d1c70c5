// Small numbers for nodes, in [1, 65535]: a tunnel's id.
//
// A node's first choice is the hash of its UID, folded; so replicas and restarts agree without talking. Where two nodes
// fold to one number (with 1,000 nodes, seven or eight do), the one that had it keeps it, and among new ones the lower
// hash goes first and the other takes its next candidate. The allocator's memory is all that a collision depends on:
// Save() it and Load() it at the next start.
#ifndef ESPALIER_CONTROLLER_IDENTITY_NODE_IDS_H_
#define ESPALIER_CONTROLLER_IDENTITY_NODE_IDS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace espalier::identity {

// Not thread-safe.
class NodeIdAllocator {
 public:
  static constexpr uint32_t kMaxId = 65535;

  // Ids for exactly these nodes; those that are no longer named lose theirs. Beyond kMaxId nodes the rest (by hash) get
  // none and are absent from the result.
  const std::map<std::string, uint32_t>& Assign(const std::set<std::string>& uids);

  // One line a node, "ID UID". Load replaces everything; InvalidArgument names the line and leaves the memory alone.
  std::string Save() const;
  absl::Status Load(absl::string_view text);

 private:
  std::map<std::string, uint32_t> ids_;
};

}  // namespace espalier::identity

#endif  // ESPALIER_CONTROLLER_IDENTITY_NODE_IDS_H_
