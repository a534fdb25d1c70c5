// The controller: wiring, and the one thread on which objects become views.
//
//   source's thread ─ Update ──┐                      ┌─► Distributor ─► gRPC's threads ─► agents
//   gRPC's threads ─ connected,├─► queue ─► control ──┤
//     disconnected, synced ────┘          thread      └─► Snapshot ─► HTTP's threads (/statusz, /metrics)
//
// A turn of the control thread: take every waiting event; give definitions, connections and acknowledgements to Stages;
// once a second look after certificates and streams; if anything that views depend on changed, write down what a
// restart must know (stages, node ids, boot ids), compile and publish.
#ifndef ESPALIER_CONTROLLER_CONTROLLER_H_
#define ESPALIER_CONTROLLER_CONTROLLER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ip.h"

namespace espalier {

struct ControllerOptions {
  std::string source_directory;
  std::string state_dir;
  std::string listen = "[::]:7443";
  std::string trust_domain = "cluster.local";
  absl::Duration certificate_lifetime = absl::Hours(24);
  std::vector<Endpoint> metrics;                  // where /metrics, /healthz, /readyz and /statusz are; may be empty
  std::vector<IpPrefix> cluster_cidrs;            // pod networks beyond the nodes' podCIDRs
  std::vector<std::string> controller_addresses;  // "ADDRESS:PORT" at which agents reach us; exempt from encryption
  absl::Duration stage_grace = absl::Seconds(5);
};

// Thread-safe.
class Controller {
 public:
  // Runs from here on. The first compile is published before the server listens. Errors name what cannot be used.
  static absl::StatusOr<std::unique_ptr<Controller>> Start(ControllerOptions options);
  // Ends the streams, then the threads.
  virtual ~Controller() = default;

  virtual int port() const = 0;
  virtual uint16_t metrics_port() const = 0;   // 0: none
  virtual std::string StatusJson() const = 0;  // status/status_json.h
};

}  // namespace espalier

#endif  // ESPALIER_CONTROLLER_CONTROLLER_H_
