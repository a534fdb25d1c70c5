// The agent's metrics: a plain sample in, Prometheus families out.
#ifndef ESPALIER_AGENT_TELEMETRY_AGENT_METRICS_H_
#define ESPALIER_AGENT_TELEMETRY_AGENT_METRICS_H_

#include <prometheus/collectable.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/datapath/datapath.h"

namespace espalier::telemetry {

struct Traffic {
  uint64_t packets = 0, bytes = 0;
};

// In and out. Indexed by `inbound`.
struct TrafficPair {
  Traffic out, in;
  Traffic& of(bool inbound) { return inbound ? in : out; }
};

// What the agent knows at one moment. Infinite times are not shown.
struct AgentSample {
  struct Peer {
    std::string state = "none";  // none, connecting, up, failed
    absl::Time established = absl::InfinitePast();
    TrafficPair traffic;
  };
  absl::Time started = absl::InfinitePast();
  bool ready = false;
  std::map<std::string, Peer> peers;  // by the node's name: every other node of the view
  uint64_t sas_in = 0, sas_out = 0;
  TrafficPair esp;
  std::map<datapath::Drop, uint64_t> drops;
  uint64_t held_packets = 0;
  std::map<std::string, Traffic> steering;  // Steering::Counters()
  std::vector<std::string> devices;
  uint64_t steering_alarms = 0;
  std::map<std::string, uint64_t> ike;  // Engine::Counters()
  uint64_t ike_rekeys = 0, child_rekeys = 0;
  uint64_t view_version = 0;
  absl::Time view_applied = absl::InfinitePast();
  bool view_from_cache = false;
  uint64_t views_refused = 0, cache_write_failures = 0;  // the latter: not 0 while it fails
  bool controller_connected = false;
  uint64_t controller_connects = 0;
  absl::Time certificate_not_after = absl::InfinitePast();
  uint64_t nodes = 0, policies = 0, addresses = 0, local_pods = 0, policy_rows = 0;
};

// Sums of the SAs' counters that only grow, also when SAs go: feed it every reading (at scrapes and before an SA is
// removed). What an SA carries between its last reading and its removal is not counted.
class TrafficTotals {
 public:
  void Add(const std::vector<datapath::SaCounters>& readings);
  const TrafficPair& all() const { return all_; }
  // By peer; forgets nobody, so call Forget() when a node leaves the view.
  const std::map<datapath::PeerId, TrafficPair>& by_peer() const { return by_peer_; }
  void Forget(datapath::PeerId peer) { by_peer_.erase(peer); }

 private:
  using SaKey = std::pair<bool, std::pair<datapath::PeerId, uint32_t>>;
  std::map<SaKey, Traffic> last_;
  std::map<datapath::PeerId, TrafficPair> by_peer_;
  TrafficPair all_;
};

// Made into a Collectable of the HTTP server. Thread safe if `sample` is: it is called at each scrape, on the server's
// thread, and should itself go to the control thread and come back within a second; nullopt: it couldn't.
class AgentMetrics final : public prometheus::Collectable {
 public:
  struct Identity {
    std::string version, node, datapath;
  };
  AgentMetrics(Identity identity, std::function<std::optional<AgentSample>()> sample)
      : identity_(std::move(identity)), sample_(std::move(sample)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Identity identity_;
  const std::function<std::optional<AgentSample>()> sample_;
};

}  // namespace espalier::telemetry

#endif  // ESPALIER_AGENT_TELEMETRY_AGENT_METRICS_H_
