// One-time tokens by which a node that has no certificate yet proves who it is.
//
// A token is 32 random octets in base64url. The state folder holds only its hash: tokens/SHA256.json with the node's
// name and the time it ends. Claiming removes that file, and removing a file happens once: of two claims at one time,
// also at two controllers over one folder, one succeeds.
#ifndef ESPALIER_CONTROLLER_CA_JOIN_TOKENS_H_
#define ESPALIER_CONTROLLER_CA_JOIN_TOKENS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace espalier::ca {

// Stateless but for the folder; thread-safe.
class JoinTokens {
 public:
  explicit JoinTokens(std::string state_dir) : state_dir_(std::move(state_dir)) {}

  // The new token, for people or machines to carry to the node. Makes the folders where needed.
  absl::StatusOr<std::string> Create(absl::string_view node_name, absl::Duration ttl, absl::Time now);

  // Whether a Claim would succeed now. Unauthenticated: unknown, used or expired; PermissionDenied: of another node
  // (then it stays valid).
  absl::Status Check(absl::string_view token, absl::string_view node_name, absl::Time now) const;
  absl::Status Claim(absl::string_view token, absl::string_view node_name, absl::Time now);

  // Removes what has expired. Returns how many.
  int RemoveExpired(absl::Time now);

 private:
  std::string Folder() const { return state_dir_ + "/tokens"; }
  std::string Path(absl::string_view token) const;

  const std::string state_dir_;
};

}  // namespace espalier::ca

#endif  // ESPALIER_CONTROLLER_CA_JOIN_TOKENS_H_
