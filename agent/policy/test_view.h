// Builds views for tests, in a few words.
#ifndef ESPALIER_AGENT_POLICY_TEST_VIEW_H_
#define ESPALIER_AGENT_POLICY_TEST_VIEW_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "agent/policy/view.h"

namespace espalier::policy {

struct TestPort {
  uint32_t protocol, first, last;
};

struct TestRule {
  v1::Action action = v1::ACTION_REQUIRE;
  bool any_pod = false;
  std::vector<uint32_t> peers = {};
  std::vector<std::string> cidrs = {};
  std::vector<TestPort> ports = {};
};

// Node ids from 1; this node is 1. Node N has the address 192.0.2.N and the pod CIDRs 10.244.N.0/24, fd00:N::/64.
inline View TestView(uint32_t nodes) {
  View view;
  view.epoch = "test";
  view.version = 1;
  view.mesh.set_self_node_id(1);
  view.mesh.add_mesh_cidrs("10.244.0.0/16");
  view.mesh.add_mesh_cidrs("fd00::/16");
  for (uint32_t id = 1; id <= nodes; ++id) {
    v1::Node& n = view.nodes[id];
    const std::string number = std::to_string(id);
    n.set_id(id);
    n.set_name("node-" + number);
    n.add_addresses("192.0.2." + number);
    n.add_pod_cidrs("10.244." + number + ".0/24");
    n.add_pod_cidrs("fd00:" + number + "::/64");
  }
  return view;
}

inline void AddPod(View* view, const std::string& ip, uint32_t identity, uint32_t node, const std::string& name = "") {
  v1::Address& a = view->addresses[ip];
  a.set_ip(ip);
  a.set_identity(identity);
  a.set_node_id(node);
  a.set_pod(name.empty() ? "default/" + ip : name);
}

inline v1::Policy& AddPolicy(View* view, const std::string& name, std::vector<uint32_t> subjects,
                             std::vector<TestRule> rules, int32_t priority = 0, v1::Stage stage = v1::STAGE_ENFORCE) {
  v1::Policy& p = view->policies[name];
  p.set_name(name);
  p.set_priority(priority);
  p.set_stage(stage);
  p.mutable_subject_identities()->Add(subjects.begin(), subjects.end());
  for (const TestRule& rule : rules) {
    v1::Rule* r = p.add_rules();
    r->set_action(rule.action);
    r->set_any_pod(rule.any_pod);
    r->mutable_peer_identities()->Add(rule.peers.begin(), rule.peers.end());
    for (const std::string& c : rule.cidrs) r->add_peer_cidrs(c);
    for (const TestPort& port : rule.ports) {
      v1::PortRange* range = r->add_ports();
      range->set_protocol(port.protocol);
      range->set_first(port.first);
      range->set_last(port.last);
    }
  }
  return p;
}

inline void AddExemption(View* view, const std::string& name, uint32_t protocol, uint32_t port,
                         std::vector<std::string> cidrs) {
  v1::Exemption& x = view->exemptions[name];
  x.set_name(name);
  x.set_protocol(protocol);
  x.set_port(port);
  for (const std::string& c : cidrs) x.add_cidrs(c);
}

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_TEST_VIEW_H_
