#include "controller/status/status_json.h"

#include <nlohmann/json.hpp>

namespace espalier::status {
namespace {

using Json = nlohmann::ordered_json;

std::string Text(absl::Time time) {
  if (time <= absl::UnixEpoch() || time == absl::InfiniteFuture()) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

const char* Text(source::Severity severity) {
  switch (severity) {
    case source::Severity::kNote:
      return "note";
    case source::Severity::kWarning:
      return "warning";
    case source::Severity::kError:
      break;
  }
  return "error";
}

Json Node(const distribute::NodeReport& node) {
  return {{"name", node.name},
          {"uid", node.uid},
          {"id", node.id},
          {"pods", node.pods},
          {"connected", node.connected},
          {"since", Text(node.since)},
          {"version", node.version},
          {"acked_version", node.acked_version},
          {"in_sync", node.in_sync},
          {"nack", node.refusal},
          {"agent_version", node.agent_version},
          {"datapath", node.datapath},
          {"address", node.address},
          {"mlkem", node.facts.mlkem},
          {"certificate_serial", node.certificate_serial},
          {"certificate_not_after", Text(node.certificate_not_after)},
          {"peers_wanted", node.peers_wanted},
          {"peers_up", node.peers_up}};
}

Json Policy(const compile::PolicyReport& report) {
  Json conditions = Json::array();
  for (const v1alpha1::Condition& c : report.status.conditions()) {
    conditions.push_back({{"type", c.type()},
                          {"status", c.status()},
                          {"reason", c.reason()},
                          {"message", c.message()},
                          {"last_transition_time", c.last_transition_time()}});
  }
  return {{"name", report.name},
          {"stage", report.status.stage()},
          {"observed_generation", report.status.observed_generation()},
          {"programmed_nodes", report.status.programmed_nodes()},
          {"desired_nodes", report.status.desired_nodes()},
          {"selected_pods", report.status.selected_pods()},
          {"conditions", std::move(conditions)}};
}

Json Problem(const source::Problem& problem) {
  return {{"severity", Text(problem.severity)},
          {"file", problem.file},
          {"document", problem.document},
          {"line", problem.line},
          {"object", problem.object},
          {"field", problem.field},
          {"value", problem.value},
          {"message", problem.message},
          {"remedy", problem.remedy},
          {"in_force", problem.in_force},
          {"text", problem.ToString()}};
}

}  // namespace

std::string StatusJson(const Snapshot& s) {
  Json nodes = Json::array(), policies = Json::array(), problems = Json::array(), objects = Json::object();
  for (const auto& node : s.nodes) nodes.push_back(Node(node));
  for (const auto& policy : s.policies) policies.push_back(Policy(policy));
  for (const auto& problem : s.problems) problems.push_back(Problem(problem));
  for (const auto& [kind, count] : s.objects) objects[kind] = count;
  Json out = {{"source", s.source},
              {"trust_domain", s.trust_domain},
              {"epoch", s.epoch},
              {"started_at", Text(s.started_at)},
              {"view_version", s.view_version},
              {"objects", std::move(objects)},
              {"nodes", std::move(nodes)},
              {"policies", std::move(policies)},
              {"problems", std::move(problems)},
              {"certificates",
               {{"ca_not_after", Text(s.ca_not_after)},
                {"server_not_after", Text(s.server_not_after)},
                {"anchors", s.anchors},
                {"issued", s.certificates_issued},
                {"revoked", s.revoked}}},
              {"state_error", s.state_error}};
  // Text of people's files may be anything: what is no UTF-8 is replaced, not thrown at.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace espalier::status
