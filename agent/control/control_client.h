// The agent's client of the controller: certificate, view, status.
//
//   control thread (its own)                                   the caller's thread (Options::post)
//   enrol, renew, Watch: delta ──► View::Apply ──► post ─────► on_view(view, done) ... done(status)
//   ACK or NACK ◄─────────────────────────────────────────────────────────────────────┘
//   new certificate ──► post ────────────────────────────────► on_identity(identity, bundle)
//
// Without a controller the agent runs on under what it has; at the start, under the cache. Reconnects go on for ever,
// with backoff and jitter; what the agent has is not sent again (epoch and version in Hello).
#ifndef ESPALIER_AGENT_CONTROL_CONTROL_CLIENT_H_
#define ESPALIER_AGENT_CONTROL_CONTROL_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/control/identity_store.h"
#include "agent/control/view_cache.h"
#include "agent/policy/view.h"

namespace espalier::control {

using ViewPtr = std::shared_ptr<const policy::View>;

struct ControlOptions {
  std::vector<std::string> endpoints;  // "192.0.2.1:7443", "[2001:db8::1]:7443": tried in turn
  std::string node_name;
  std::string trust_domain = "cluster.local";
  std::string state_dir;              // private to this agent
  std::string join_token;             // used when there is no certificate that the controller takes; may be empty
  std::string join_token_path;        // likewise, read at each attempt
  std::string bootstrap_bundle_path;  // trust anchors for the first contact; the state folder's own come first
  uint64_t boot_id = 0;
  bool mlkem = true;
  std::string agent_version;
  std::string datapath;
  absl::Duration max_cache_age = ViewCache::kDefaultMaxAge;
  absl::Duration status_interval = absl::Seconds(10);
  absl::Duration first_backoff = absl::Milliseconds(200);  // doubles up to the next
  absl::Duration max_backoff = absl::Seconds(10);

  // Runs a closure on the caller's thread, some time later, in order. Must not block. Thread-safe.
  std::function<void(std::function<void()>)> post;
  // A new view to bring into force. `done` is called once, from any thread: OK, or why nothing of it is in force (the
  // view before it stays). The next view comes only after that.
  std::function<void(ViewPtr view, bool from_cache, std::function<void(absl::Status)> done)> on_view;
  // A certificate to use from now on, and the anchors that came with it (the view's mesh resource has later ones).
  std::function<void(Identity identity, std::string bundle_pem)> on_identity;
};

enum class ControlState {
  kNoIdentity,    // enrolling, or unable to
  kDisconnected,  // has a certificate; no stream
  kConnected,     // the controller has answered on the stream
};

// For status, metrics and health.
struct ControlStatus {
  ControlState state = ControlState::kNoIdentity;
  absl::Time since;           // of the state
  std::string endpoint;       // the one in use or tried last
  std::string error;          // why not connected; empty: connected
  uint64_t view_version = 0;  // in force; 0: none
  std::string view_epoch;
  absl::Time view_applied_at = absl::InfinitePast();
  bool view_from_cache = false;
  std::string view_error;     // why the last view was refused; empty: it wasn't
  std::string cache_error;    // why there is no good cache, or the last save failed; empty: neither
  std::string renewal_error;  // why the last attempt at a certificate failed; empty: it didn't
  std::string spiffe_id, certificate_serial;
  absl::Time certificate_not_after = absl::InfinitePast();

  uint64_t connects = 0, disconnects = 0, deltas = 0, acks = 0, nacks = 0, enrolments = 0, enrolment_failures = 0;
};

// Thread-safe.
class ControlClient {
 public:
  // Starts its thread. A valid identity on disk is given to on_identity, and a good cached view to on_view, first of
  // all. An error: the state folder cannot be used, or an option is missing.
  static absl::StatusOr<std::unique_ptr<ControlClient>> Start(ControlOptions options);
  // Ends the stream and waits for the thread. No callback is posted after it; what was posted may still run.
  virtual ~ControlClient() = default;

  virtual ControlStatus status() const = 0;
  // What the next Status message says of the tunnels.
  virtual void SetPeers(uint32_t wanted, uint32_t up) = 0;
};

}  // namespace espalier::control

#endif  // ESPALIER_AGENT_CONTROL_CONTROL_CLIENT_H_
