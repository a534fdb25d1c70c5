// A snapshot as rows of the BPF maps, and the two sets of maps that hold it.
//
//   1 Flatten() makes the rows, sorted
//   2 Tables::Program() brings the set that is not in force to these rows, writing only what differs from what it holds
//   3 ... and switches `active` with one write: packets see the old set or the new one
//
// Not thread-safe.
#ifndef ESPALIER_AGENT_STEERING_TABLES_H_
#define ESPALIER_AGENT_STEERING_TABLES_H_

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/policy/snapshot.h"
#include "agent/steering/loader.h"
#include "bpf/espalier_shared.h"

namespace espalier::steering {

template <typename Key, typename Value>
using Table = std::vector<std::pair<Key, Value>>;  // sorted by the key's octets, each key once

struct Rows {
  Table<espalier_host_key, espalier_whois> hosts;
  Table<espalier_ip4_key, espalier_whois> ipcache4;
  Table<espalier_ip6_key, espalier_whois> ipcache6;
  Table<espalier_pair_key, espalier_pair> pairs;
  Table<espalier_port_key, espalier_port> ports;
};

// Of two rows with one key the stricter stays (for an address: the last).
Rows Flatten(const std::vector<policy::IpcacheRow>& ipcache, const std::vector<policy::PolicyRow>& policy,
             const std::vector<IpPrefix>& own_pod_cidrs);

class Tables {
 public:
  // The loader outlives this object.
  explicit Tables(const Loader* loader) : loader_(loader) {}

  // On an error the old set stays in force.
  absl::Status Program(Rows rows);
  // A policy is in force (perhaps a predecessor's).
  bool programmed() const { return active() != 0; }

 private:
  uint32_t active() const;
  absl::Status Fill(uint32_t set, const Rows& rows);

  const Loader* loader_;
  std::optional<Rows> holds_[2];  // of set 1 and 2; empty: unknown (a predecessor's, or half written)
  std::chrono::steady_clock::time_point switched_{};
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_TABLES_H_
