// What an agent is told at its start.
#ifndef ESPALIER_AGENT_OPTIONS_H_
#define ESPALIER_AGENT_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"

namespace espalier {

struct AgentOptions {
  std::string node;
  std::vector<std::string> controllers;  // "192.0.2.1:7443"
  std::string trust_domain = "cluster.local";
  std::string bootstrap_ca, join_token_file;
  std::string state_dir = "/var/lib/espalier";
  std::string socket = "/run/espalier/agent.sock";
  std::vector<Endpoint> metrics;
  std::string datapath = "auto";  // auto, user, xfrm
  std::string pin_dir = "/sys/fs/bpf/espalier";
  std::vector<IpAddress> local_addresses;  // of the node, one a family
  std::string device = "esp0";
  std::vector<std::string> steer_devices;  // empty: found
  int outer_mtu = 0;                       // 0: that of the device with the local address
  absl::Duration max_cache_age = absl::Hours(24);
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_OPTIONS_H_
