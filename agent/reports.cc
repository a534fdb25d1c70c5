#include "agent/reports.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "agent/api/explainer.h"
#include "agent/mesh_config.h"
#include "agent/version.h"

namespace espalier {
namespace {

const char* StateWord(ike::PeerState state) {
  switch (state) {
    case ike::PeerState::kNone:
      return "none";
    case ike::PeerState::kConnecting:
      return "connecting";
    case ike::PeerState::kUp:
      return "up";
    case ike::PeerState::kFailed:
      return "failed";
  }
  return "none";
}

const char* DropWord(datapath::Drop drop) {
  switch (drop) {
#define X(name, number, text, help) \
  case datapath::Drop::k##name:     \
    return text;
    ESPALIER_DATAPATH_DROPS(X)
#undef X
    case datapath::Drop::kCount:
      break;
  }
  return "unknown";
}

int64_t Unix(absl::Time time) {
  return time == absl::InfinitePast() || time == absl::InfiniteFuture() ? 0 : absl::ToUnixSeconds(time);
}

void AddProblem(v1::StatusReport* report, absl::string_view severity, std::string what, absl::string_view remedy) {
  v1::Problem* problem = report->add_problems();
  problem->set_severity(std::string(severity));
  problem->set_what(std::move(what));
  problem->set_remedy(std::string(remedy));
}

}  // namespace

uint32_t AgentReports::LocalPods() const {
  if (view() == nullptr) return 0;
  uint32_t pods = 0;
  std::set<std::string> names;
  for (const auto& [ip, address] : view()->addresses) {
    if (address.node_id() == view()->mesh.self_node_id() && names.insert(address.pod()).second) ++pods;
  }
  return pods;
}

absl::Status AgentReports::Ready() {
  if (!agent_.credentials_.has_identity()) {
    return absl::FailedPreconditionError("no certificate yet: the node is not enrolled");
  }
  if (view() == nullptr) return absl::FailedPreconditionError("no view yet: the controller has sent none");
  return absl::OkStatus();
}

telemetry::AgentSample AgentReports::Sample() {
  telemetry::AgentSample sample;
  const control::ControlStatus control = agent_.control_->status();
  sample.started = agent_.started_at_;
  sample.ready = Ready().ok();
  const auto counters = agent_.datapath_->Counters();
  totals_.Add(counters);
  sample.esp = totals_.all();
  for (const auto& sa : counters) ++(sa.inbound ? sample.sas_in : sample.sas_out);
  std::map<ike::PeerId, ike::PeerReport> reports;
  for (auto& report : agent_.engine_->Report()) reports[report.id] = report;
  if (view() != nullptr) {
    for (const auto& [id, node] : view()->nodes) {
      if (id == view()->mesh.self_node_id()) continue;
      auto& peer = sample.peers[node.name()];
      if (auto r = reports.find(id); r != reports.end()) {
        peer.state = StateWord(r->second.state);
        if (r->second.state == ike::PeerState::kUp) peer.established = r->second.established;
      }
      if (auto t = totals_.by_peer().find(id); t != totals_.by_peer().end()) peer.traffic = t->second;
    }
    sample.nodes = view()->nodes.size();
    sample.policies = view()->policies.size();
    sample.addresses = view()->addresses.size();
    sample.policy_rows = snapshot()->rows().size();
  }
  sample.local_pods = LocalPods();
  sample.drops = agent_.datapath_->Drops();
  for (const auto& [peer, packets] : agent_.datapath_->Held()) sample.held_packets += packets;
  for (const auto& [name, count] : agent_.steering_->Counters()) sample.steering[name] = {count.packets, count.bytes};
  sample.devices = agent_.steering_->devices();
  sample.steering_alarms = agent_.steering_->alarms().size();
  sample.ike = agent_.engine_->Counters();
  const auto events = [&](const char* word) {
    auto it = agent_.peer_events_.find(word);
    return it == agent_.peer_events_.end() ? uint64_t{0} : it->second;
  };
  sample.ike_rekeys = events("rekeyed");
  sample.child_rekeys = events("child-rekeyed");
  sample.view_version = control.view_version;
  sample.view_applied = control.view_applied_at;
  sample.view_from_cache = control.view_from_cache;
  sample.views_refused = control.nacks;
  sample.cache_write_failures = control.cache_error.empty() ? 0 : 1;
  sample.controller_connected = control.state == control::ControlState::kConnected;
  sample.controller_connects = control.connects;
  sample.certificate_not_after = agent_.credentials_.not_after();
  return sample;
}

std::map<std::string, uint64_t> AgentReports::Counters() {
  std::map<std::string, uint64_t> counters;
  for (const auto& [drop, count] : agent_.datapath_->Drops())
    counters[absl::StrCat("datapath_", DropWord(drop))] = count;
  for (const auto& [name, count] : agent_.steering_->Counters()) counters[name] = count.packets;
  return counters;
}

void AgentReports::AddProblems(v1::StatusReport* report) {
  const control::ControlStatus control = agent_.control_->status();
  if (!agent_.credentials_.has_identity()) {
    AddProblem(report, "error", absl::StrCat("this node has no certificate: ", control.renewal_error),
               "give the agent a join token of this node and the controller's trust bundle");
  } else if (agent_.credentials_.not_after() < absl::Now()) {
    AddProblem(report, "error", "the node's certificate has expired: peers refuse it",
               "bring the controller back; or enrol again with a new join token");
  } else if (!control.renewal_error.empty()) {
    AddProblem(report, "warning", absl::StrCat("the certificate could not be renewed: ", control.renewal_error),
               "check the controller; traffic goes on until the certificate expires");
  }
  if (view() == nullptr) {
    AddProblem(report, "error", "no view: no policy is known yet; what a predecessor enforced stays in force",
               "check that the controller runs and is reachable");
  } else if (view()->self() == nullptr) {
    AddProblem(report, "error", "this node is not in the view: it has been removed from the cluster",
               "add its Node object again, or stop this agent");
  }
  if (control.state == control::ControlState::kDisconnected) {
    AddProblem(report, "warning",
               absl::StrCat("no controller: ", control.error, "; traffic goes on under view ", control.view_version),
               "check that the controller runs and is reachable");
  }
  if (!control.view_error.empty()) {
    AddProblem(report, "error", absl::StrCat("the last view was refused: ", control.view_error),
               "the view before it stays in force; mend the object that it names");
  }
  if (!control.cache_error.empty()) {
    AddProblem(report, "warning", absl::StrCat("view cache: ", control.cache_error),
               "free space in the state folder; without a cache a restart needs the controller");
  }
  for (const std::string& alarm : agent_.steering_->alarms()) AddProblem(report, "error", alarm, "");
  for (const auto& peer : agent_.engine_->Report()) {
    if (peer.state == ike::PeerState::kFailed) {
      AddProblem(report, "error", absl::StrCat("peer ", agent_.NodeName(peer.id), ": ", peer.last_error),
                 "see `espalierctl peers` here and there");
    }
  }
}

v1::StatusReport AgentReports::Status() {
  v1::StatusReport report;
  const control::ControlStatus control = agent_.control_->status();
  report.set_node(agent_.options_.node);
  report.set_version(kVersion);
  report.set_started_at(Unix(agent_.started_at_));
  report.set_datapath("user");
  report.set_datapath_reason(agent_.options_.datapath == "user" ? "asked for"
                                                                : "auto: this version carries ESP in user space");
  report.set_controller(control.state == control::ControlState::kConnected ? "connected" : "disconnected");
  report.set_controller_endpoint(control.endpoint);
  report.set_controller_since(Unix(control.since));
  report.set_controller_error(control.error);
  report.set_view_version(control.view_version);
  report.set_view_applied_at(Unix(control.view_applied_at));
  report.set_view_from_cache(control.view_from_cache);
  report.set_spiffe_id(agent_.credentials_.spiffe_id());
  report.set_certificate_serial(agent_.credentials_.serial());
  report.set_certificate_not_after(Unix(agent_.credentials_.not_after()));
  for (const auto& peer : agent_.engine_->Report()) {
    report.set_peers_wanted(report.peers_wanted() + (peer.state != ike::PeerState::kNone));
    report.set_peers_up(report.peers_up() + (peer.state == ike::PeerState::kUp));
  }
  if (view() != nullptr) {
    report.set_policies(static_cast<uint32_t>(view()->policies.size()));
    report.set_addresses(static_cast<uint32_t>(view()->addresses.size()));
  }
  report.set_local_pods(LocalPods());
  for (const std::string& device : agent_.steering_->devices()) report.add_steered_devices(device);
  for (const auto& [drop, count] : agent_.datapath_->Drops()) {
    if (count != 0) (*report.mutable_drops())[DropWord(drop)] = count;
  }
  for (const auto& [name, count] : agent_.steering_->Counters()) {
    if (count.packets != 0 && name.rfind("drop_", 0) == 0) (*report.mutable_drops())[name] = count.packets;
  }
  AddProblems(&report);
  return report;
}

v1::NodeList AgentReports::Nodes() {
  v1::NodeList list;
  if (view() == nullptr) return list;
  std::map<ike::PeerId, ike::PeerReport> reports;
  for (auto& report : agent_.engine_->Report()) reports[report.id] = report;
  std::map<uint32_t, std::set<std::string>> pods;
  for (const auto& [ip, address] : view()->addresses) pods[address.node_id()].insert(address.pod());
  for (const auto& [id, node] : view()->nodes) {
    v1::NodeInfo* info = list.add_nodes();
    *info->mutable_node() = node;
    info->set_spiffe_id(SpiffeId(view()->mesh.trust_domain(), node.uid()));
    info->set_pods(static_cast<uint32_t>(pods[id].size()));
    if (id == view()->mesh.self_node_id()) {
      info->set_self(true);
      info->set_peer_state("self");
      info->set_certificate_not_after(Unix(agent_.credentials_.not_after()));
      info->set_certificate_serial(agent_.credentials_.serial());
      continue;
    }
    auto r = reports.find(id);
    info->set_peer_state(StateWord(r == reports.end() ? ike::PeerState::kNone : r->second.state));
    if (r == reports.end() || r->second.certificate_serial.empty()) continue;
    info->set_certificate_not_after(Unix(r->second.certificate_not_after));
    info->set_certificate_serial(r->second.certificate_serial);
  }
  return list;
}

v1::PeerList AgentReports::Peers() {
  v1::PeerList list;
  if (view() == nullptr) return list;
  std::map<ike::PeerId, ike::PeerReport> reports;
  for (auto& report : agent_.engine_->Report()) reports[report.id] = report;
  const auto held = agent_.datapath_->Held();
  for (const ike::Peer& peer : EnginePeers(*view(), agent_.options_.local_addresses, 4500)) {
    v1::PeerInfo& info = *list.add_peers();
    info.set_node(peer.name);
    info.set_node_id(peer.id);
    info.set_remote(peer.remote.ToString());
    if (auto h = held.find(peer.id); h != held.end()) info.set_held_packets(h->second);
    auto it = reports.find(peer.id);
    if (it == reports.end()) {
      info.set_state("none");
      continue;
    }
    const ike::PeerReport& r = it->second;
    info.set_state(StateWord(r.state));
    info.set_ike_suite(r.suite);
    info.set_initiator(r.initiator);
    info.set_established_at(Unix(r.established));
    info.set_ike_rekey_at(Unix(r.rekey_at));
    info.set_child_sas(static_cast<uint32_t>(r.children.size()));
    info.set_last_error(r.last_error);
    info.set_last_error_at(r.last_error.empty() ? 0 : Unix(r.last_error_at));
    if (r.spi_local != 0) info.set_local_spi(absl::StrFormat("%016x", r.spi_local));
    if (r.spi_remote != 0) info.set_remote_spi(absl::StrFormat("%016x", r.spi_remote));
  }
  return list;
}

v1::SaList AgentReports::Sas() {
  v1::SaList list;
  std::map<std::pair<bool, uint32_t>, datapath::SaCounters> counters;
  for (auto& c : agent_.datapath_->Counters()) counters[{c.inbound, c.spi}] = c;
  for (const ike::PeerReport& peer : agent_.engine_->Report()) {
    for (const auto& child : peer.children) {
      for (const bool inbound : {false, true}) {
        const uint32_t spi = inbound ? child.id.spi_in : child.id.spi_out;
        auto c = counters.find({inbound, spi});
        if (c == counters.end()) continue;  // not installed in this direction (yet, or any more)
        v1::SaInfo& info = *list.add_sas();
        info.set_node(agent_.NodeName(peer.id));
        info.set_node_id(peer.id);
        info.set_direction(inbound ? "in" : "out");
        info.set_spi(spi);
        info.set_suite(std::string(SuiteName(child.suite)));
        info.set_state(child.state);
        info.set_packets(c->second.packets);
        info.set_bytes(c->second.bytes);
        info.set_sequence(c->second.sequence);
        info.set_established_at(Unix(child.established));
        info.set_rekey_at(Unix(child.rekey_at));
        info.set_esn(child.esn);
        for (const auto& [drop, count] : c->second.drops) {
          if (count != 0) (*info.mutable_errors())[DropWord(drop)] = count;
        }
      }
    }
  }
  return list;
}

v1::PolicyList AgentReports::Policies() {
  v1::PolicyList list;
  if (view() == nullptr) return list;
  for (const auto& [name, policy] : view()->policies) {
    v1::PolicyInfo* info = list.add_policies();
    *info->mutable_policy() = policy;
    std::set<std::string> pods;
    const auto& subjects = policy.subject_identities();
    for (const auto& [ip, address] : view()->addresses) {
      if (address.node_id() == view()->mesh.self_node_id() &&
          std::binary_search(subjects.begin(), subjects.end(), address.identity())) {
        pods.insert(address.pod());
      }
    }
    info->set_local_pods(static_cast<uint32_t>(pods.size()));
  }
  return list;
}

v1::ExemptionList AgentReports::Exemptions() {
  v1::ExemptionList list;
  if (view() == nullptr) return list;
  for (const auto& [name, exemption] : view()->exemptions) *list.add_exemptions() = exemption;
  return list;
}

absl::StatusOr<v1::Explanation> AgentReports::Explain(const v1::ExplainRequest& request) {
  if (view() == nullptr) return absl::FailedPreconditionError("no view yet: the controller has sent none");
  api::ExplainInput input;
  input.view = view();
  input.snapshot = agent_.snapshot_;
  input.peer = [this](uint32_t node_id) -> std::optional<v1::PeerInfo> {
    v1::PeerList peers = Peers();
    for (v1::PeerInfo& peer : *peers.mutable_peers()) {
      if (peer.node_id() == node_id) return std::move(peer);
    }
    return std::nullopt;
  };
  input.sas = [this](uint32_t node_id) {
    std::vector<v1::SaInfo> sas;
    v1::SaList all = Sas();
    for (v1::SaInfo& sa : *all.mutable_sas()) {
      if (sa.node_id() == node_id) sas.push_back(std::move(sa));
    }
    return sas;
  };
  auto explanation = api::ExplainFlow(input, request);
  if (explanation.ok()) {
    for (const auto& [name, count] : Counters()) {
      if (count != 0) (*explanation->mutable_counters())[name] = count;
    }
  }
  return explanation;
}

absl::StatusOr<v1::RekeyResponse> AgentReports::Rekey(const v1::RekeyRequest& request) {
  v1::RekeyResponse response;
  bool known = request.node().empty();
  agent_.WithEngine([&](ike::Engine& engine, absl::Time now) {
    for (const ike::PeerReport& peer : engine.Report()) {
      if (!request.node().empty() && agent_.NodeName(peer.id) != request.node()) continue;
      known = true;
      if (peer.state != ike::PeerState::kUp) continue;
      engine.RekeyChild(now, peer.id);
      if (request.ike()) engine.RekeyIke(now, peer.id);
      response.set_started(response.started() + 1);
    }
  });
  if (!known) {
    return absl::NotFoundError(absl::StrCat("no peer is named \"", request.node(), "\": see `espalierctl nodes`"));
  }
  return response;
}

}  // namespace espalier
