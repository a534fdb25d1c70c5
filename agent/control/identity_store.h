// The node's key, certificate and trust bundle on disk.
#ifndef ESPALIER_AGENT_CONTROL_IDENTITY_STORE_H_
#define ESPALIER_AGENT_CONTROL_IDENTITY_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/x509/certificate.h"
#include "common/x509/key.h"

namespace espalier::control {

struct Identity {
  x509::PrivateKey key;
  std::vector<x509::Certificate> chain;  // leaf first

  absl::Time not_before() const { return chain[0].NotBefore(); }
  absl::Time not_after() const { return chain[0].NotAfter(); }
  std::string chain_pem() const { return x509::ChainToPem(chain); }
};

// In the agent's state folder (mode 0700): identity.pem (key and chain in one file, mode 0600, so that they always
// belong together) and bundle.pem. Not thread-safe.
class IdentityStore {
 public:
  explicit IdentityStore(std::string state_dir) : state_dir_(std::move(state_dir)) {}

  // Makes the folder where it isn't.
  absl::Status Prepare() const;
  // NotFound: none yet. Other errors name the file and what is wrong with it.
  absl::StatusOr<Identity> LoadIdentity() const;
  absl::Status SaveIdentity(const Identity& identity) const;
  absl::StatusOr<std::string> LoadBundle() const;
  absl::Status SaveBundle(const std::string& pem) const;

 private:
  std::string IdentityPath() const { return state_dir_ + "/identity.pem"; }
  std::string BundlePath() const { return state_dir_ + "/bundle.pem"; }
  const std::string state_dir_;
};

}  // namespace espalier::control

#endif  // ESPALIER_AGENT_CONTROL_IDENTITY_STORE_H_
