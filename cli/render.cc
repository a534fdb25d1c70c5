#include "cli/render.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/human.h"
#include "cli/table.h"

namespace espalier::cli {
namespace {

constexpr auto kRight = Table::Align::kRight;

// "error: WHAT" with the remedy below; errors first.
class Problems {
 public:
  void Add(const std::string& severity, const std::string& what, const std::string& remedy) {
    (severity == "error" ? errors_ : others_).push_back({severity.empty() ? "problem" : severity, what, remedy});
  }
  std::string ToString() const {
    if (errors_.empty() && others_.empty()) return "";
    std::string out = "\nProblems:\n";
    for (const auto* list : {&errors_, &others_}) {
      for (const Problem& p : *list) {
        absl::StrAppend(&out, "  ", p.severity, ": ", p.what, "\n");
        if (!p.remedy.empty()) absl::StrAppend(&out, "    -> ", p.remedy, "\n");
      }
    }
    return out;
  }

 private:
  struct Problem {
    std::string severity, what, remedy;
  };
  std::vector<Problem> errors_, others_;
};

template <typename List>
std::string Join(const List& list) {
  return absl::StrJoin(list, ", ");
}

std::string ActionWord(v1::Action action) {
  switch (action) {
    case v1::ACTION_BYPASS:
      return "Bypass";
    case v1::ACTION_PREFER:
      return "Prefer";
    case v1::ACTION_REQUIRE:
      return "Require";
    case v1::ACTION_DENY:
      return "Deny";
    default:
      return "?";
  }
}

std::string StageWord(v1::Stage stage) {
  switch (stage) {
    case v1::STAGE_SEND:
      return "Send";
    case v1::STAGE_ENFORCE:
      return "Enforced";
    default:
      return "";
  }
}

std::string PortText(const v1::PortRange& p) {
  const bool all = p.first() == 0 && p.last() == 65535;
  if (p.protocol() == 0) return "any port";
  const std::string protocol = absl::AsciiStrToLower(ProtocolName(p.protocol()));
  if (all) return protocol;
  if (p.first() == p.last()) return absl::StrCat(protocol, "/", p.first());
  return absl::StrCat(protocol, "/", p.first(), "-", p.last());
}

// "Require any pod tcp/443"
std::string RuleText(const v1::Rule& rule) {
  std::vector<std::string> peers;
  if (rule.any_pod()) {
    peers.push_back("any pod");
  } else if (rule.peer_identities_size() > 0) {
    peers.push_back(absl::StrCat(rule.peer_identities_size(),
                                 rule.peer_identities_size() == 1 ? " kind of pods" : " kinds of pods"));
  }
  for (const std::string& cidr : rule.peer_cidrs()) peers.push_back(cidr);
  std::string out = absl::StrCat(ActionWord(rule.action()), " ", peers.empty() ? "nobody" : Join(peers));
  std::vector<std::string> ports;
  for (const v1::PortRange& p : rule.ports()) ports.push_back(PortText(p));
  if (!ports.empty()) absl::StrAppend(&out, " ", Join(ports));
  return out;
}

std::string RulesText(const v1::Policy& policy) {
  return absl::StrJoin(policy.rules(), "; ",
                       [](std::string* out, const v1::Rule& rule) { out->append(RuleText(rule)); });
}

std::string RemedyOf(const ControllerStatus::Problem& p) {
  // The text has it all in one line already.
  return p.text.empty() ? p.remedy : "";
}

void AddControllerProblems(const ControllerStatus& controller, Problems* problems) {
  for (const auto& p : controller.problems) {
    problems->Add(p.severity, p.text.empty() ? p.message : p.text, RemedyOf(p));
  }
  if (!controller.state_error.empty()) {
    problems->Add("error", absl::StrCat("the controller cannot write its state: ", controller.state_error), "");
  }
}

// "False (InvalidField): message" of a condition that isn't as it should be.
std::string Complaints(const ControllerStatus::Policy& policy) {
  std::vector<std::string> out;
  for (const auto& c : policy.conditions) {
    const bool good = c.type == "Conflicted" ? c.status == "False" : c.status == "True";
    if (good || c.status.empty()) continue;
    if (c.type == "Programmed" && c.reason.empty() && c.message.empty()) continue;
    const std::string what = c.type == "Accepted"
                                 ? "refused"
                                 : absl::AsciiStrToLower(c.type == "Programmed" ? "not programmed everywhere" : c.type);
    const std::string& why = c.message.empty() ? c.reason : c.message;
    out.push_back(why.empty() ? what : absl::StrCat(what, ": ", why));
  }
  return absl::StrJoin(out, "; ");
}

}  // namespace

bool HasErrors(const v1::StatusReport& status, const ControllerStatus* controller) {
  const auto is_error = [](const auto& severity) { return severity == "error"; };
  for (const v1::Problem& p : status.problems()) {
    if (is_error(p.severity())) return true;
  }
  return controller != nullptr && std::any_of(controller->problems.begin(), controller->problems.end(),
                                              [&](const auto& p) { return is_error(p.severity); });
}

std::string RenderStatus(const v1::StatusReport& s, const ControllerStatus* controller, absl::Time now) {
  const auto line = [](auto&&... parts) { return absl::StrCat(parts...); };
  std::string control = s.controller();
  if (!s.controller_endpoint().empty()) absl::StrAppend(&control, " (", s.controller_endpoint(), ")");
  if (s.controller_since() != 0)
    absl::StrAppend(&control, ", since ", Age(now - absl::FromUnixSeconds(s.controller_since())));
  if (!s.controller_error().empty()) absl::StrAppend(&control, ": ", s.controller_error());
  std::string view = "none yet";
  if (s.view_version() != 0 || s.view_applied_at() != 0) {
    view = line("version ", s.view_version(), ", applied ", Since(s.view_applied_at(), now),
                s.view_from_cache() ? ", from the disk (not confirmed by the controller)" : "");
  }
  std::string certificate = "none yet";
  if (!s.spiffe_id().empty()) {
    certificate = line(s.spiffe_id(), ", expires ", Until(s.certificate_not_after(), now));
    if (!s.certificate_serial().empty()) absl::StrAppend(&certificate, ", serial ", s.certificate_serial());
  }
  const std::map<std::string, uint64_t> drops(s.drops().begin(), s.drops().end());
  std::vector<std::string> refused;
  for (const auto& [reason, count] : drops) {
    if (count > 0) refused.push_back(line(reason, " ", HumanCount(count)));
  }
  std::string datapath = s.datapath();
  if (!s.datapath_reason().empty()) absl::StrAppend(&datapath, " (", s.datapath_reason(), ")");
  std::string out = Fields(
      {{"Node", s.node()},
       {"Agent", s.started_at() == 0 ? s.version()
                                     : line(s.version(), ", up ", Age(now - absl::FromUnixSeconds(s.started_at())))},
       {"Datapath", datapath},
       {"Controller", control},
       {"View", view},
       {"Certificate", certificate},
       {"Peers", line(s.peers_up(), " up of ", s.peers_wanted(), " wanted")},
       {"Policies",
        line(s.policies(), "; ", HumanCount(s.addresses()), " pod addresses, ", s.local_pods(), " pods here")},
       {"Steering at", s.steered_devices().empty() ? "no device" : Join(s.steered_devices())},
       {"Refused", refused.empty() ? "nothing" : Join(refused)}});
  if (controller != nullptr) {
    const auto count = [&](auto&& f) { return std::count_if(controller->nodes.begin(), controller->nodes.end(), f); };
    absl::StrAppend(
        &out, "\n",
        Fields({{"Mesh", line(controller->nodes.size(), " nodes, ", count([](const auto& n) { return n.connected; }),
                              " connected, ", count([](const auto& n) { return n.in_sync; }), " in sync")},
                {"Source", controller->source},
                {"Mesh policies", line(controller->policies.size())}}));
  }
  Problems problems;
  for (const v1::Problem& p : s.problems()) problems.Add(p.severity(), p.what(), p.remedy());
  if (controller != nullptr) AddControllerProblems(*controller, &problems);
  return out + problems.ToString();
}

std::string RenderNodes(const v1::NodeList& nodes, const ControllerStatus* controller, absl::Time now) {
  std::vector<Table::Column> columns = {{"NAME"},         {"ID", kRight}, {"ADDRESSES"},  {"POD CIDRS"},
                                        {"PODS", kRight}, {"TUNNEL"},     {"CERTIFICATE"}};
  if (controller != nullptr) columns.insert(columns.end(), {{"AGENT"}, {"VIEW"}});
  Table table(std::move(columns));
  std::map<std::string, const ControllerStatus::Node*> by_name;
  if (controller != nullptr) {
    for (const auto& n : controller->nodes) by_name[n.name] = &n;
  }
  const auto controllers_part = [](const ControllerStatus::Node* n) -> std::vector<std::string> {
    if (n == nullptr) return {"unknown to the controller", ""};
    std::string view =
        n->in_sync ? absl::StrCat(n->acked_version, ", in sync") : absl::StrCat(n->acked_version, " of ", n->version);
    if (!n->nack.empty()) absl::StrAppend(&view, ", refused: ", n->nack);
    return {n->connected ? "connected" : "not connected", view};
  };
  for (const v1::NodeInfo& n : nodes.nodes()) {
    std::vector<std::string> row = {
        n.node().name(),
        absl::StrCat(n.node().id()),
        Join(n.node().addresses()),
        Join(n.node().pod_cidrs()),
        absl::StrCat(n.pods()),
        n.self() ? "(this node)" : n.peer_state(),
        n.certificate_not_after() == 0 ? "" : absl::StrCat("expires ", Until(n.certificate_not_after(), now))};
    if (controller != nullptr) {
      const auto it = by_name.find(n.node().name());
      for (auto& cell : controllers_part(it == by_name.end() ? nullptr : it->second)) row.push_back(std::move(cell));
      if (it != by_name.end()) by_name.erase(it);
    }
    table.Add(std::move(row));
  }
  for (const auto& [name, n] : by_name) {
    std::vector<std::string> row = {name, "", "", "", "", "not in this node's view", ""};
    for (auto& cell : controllers_part(n)) row.push_back(std::move(cell));
    table.Add(std::move(row));
  }
  return table.empty() ? "No nodes: this node has no view yet. See `espalierctl status`.\n" : table.ToString();
}

std::string RenderPeers(const v1::PeerList& peers, absl::Time now) {
  Table table({{"NODE"},
               {"STATE"},
               {"REMOTE"},
               {"ROLE"},
               {"UP SINCE"},
               {"REKEY"},
               {"CHILD SAS", kRight},
               {"HELD", kRight},
               {"IKE SUITE"},
               {"LAST ERROR"}});
  for (const v1::PeerInfo& p : peers.peers()) {
    const bool up = p.state() == "up";
    std::string error = p.last_error();
    if (!error.empty() && p.last_error_at() != 0) absl::StrAppend(&error, " (", Since(p.last_error_at(), now), ")");
    table.Add({p.node(), p.state(), p.remote(), up ? (p.initiator() ? "initiator" : "responder") : "",
               Since(p.established_at(), now), Until(p.ike_rekey_at(), now), absl::StrCat(p.child_sas()),
               absl::StrCat(p.held_packets()), p.ike_suite(), error});
  }
  return table.empty() ? "No peers: this node knows of no other node.\n" : table.ToString();
}

std::string RenderSas(const v1::SaList& sas, absl::Time now) {
  Table table({{"NODE"},
               {"DIR"},
               {"SPI"},
               {"STATE"},
               {"SUITE"},
               {"PACKETS", kRight},
               {"BYTES", kRight},
               {"SEQUENCE", kRight},
               {"SINCE"},
               {"REKEY"},
               {"DROPPED"}});
  for (const v1::SaInfo& sa : sas.sas()) {
    std::vector<std::string> errors;
    for (const auto& [cause, count] : std::map<std::string, uint64_t>(sa.errors().begin(), sa.errors().end())) {
      if (count > 0) errors.push_back(absl::StrCat(cause, " ", HumanCount(count)));
    }
    table.Add({sa.node(), sa.direction(), absl::StrFormat("%08x", sa.spi()), sa.state(), sa.suite(),
               HumanCount(sa.packets()), HumanBytes(sa.bytes()), HumanCount(sa.sequence()),
               Since(sa.established_at(), now), Until(sa.rekey_at(), now), Join(errors)});
  }
  return table.empty() ? "No SAs: no tunnel is up. The first packet that a policy wants encrypted starts one.\n"
                       : table.ToString();
}

std::string RenderPolicies(const v1::PolicyList& policies, const ControllerStatus* controller) {
  std::vector<Table::Column> columns = {{"POLICY"}, {"PRIORITY", kRight}, {"STAGE HERE"}, {"PODS HERE", kRight}};
  if (controller != nullptr) columns.insert(columns.end(), {{"STAGE"}, {"NODES"}, {"PODS", kRight}});
  columns.push_back({"RULES"});
  Table table(std::move(columns));
  std::map<std::string, const ControllerStatus::Policy*> by_name;
  if (controller != nullptr) {
    for (const auto& p : controller->policies) by_name[p.name] = &p;
  }
  const auto controllers_part = [](const ControllerStatus::Policy* p) -> std::vector<std::string> {
    if (p == nullptr) return {"", "", ""};
    return {p->stage, absl::StrCat(p->programmed_nodes, " of ", p->desired_nodes), absl::StrCat(p->selected_pods)};
  };
  std::set<std::string> shown;
  for (const v1::PolicyInfo& info : policies.policies()) {
    const v1::Policy& p = info.policy();
    std::vector<std::string> row = {p.name(), absl::StrCat(p.priority()), StageWord(p.stage()),
                                    absl::StrCat(info.local_pods())};
    if (controller != nullptr) {
      // While a policy changes, its old or new version has "+old" or "+new" in its name.
      const std::pair<absl::string_view, absl::string_view> name = absl::StrSplit(p.name(), absl::MaxSplits('+', 1));
      const auto it = by_name.find(std::string(name.first));
      for (auto& cell : controllers_part(it == by_name.end() ? nullptr : it->second)) row.push_back(std::move(cell));
      shown.insert(std::string(name.first));
    }
    row.push_back(RulesText(p));
    table.Add(std::move(row));
  }
  std::string complaints;
  for (const auto& [name, p] : by_name) {
    if (shown.count(name) == 0) {
      std::vector<std::string> row = {name, "", "not here", ""};
      for (auto& cell : controllers_part(p)) row.push_back(std::move(cell));
      row.push_back("");
      table.Add(std::move(row));
    }
    if (const std::string c = Complaints(*p); !c.empty()) absl::StrAppend(&complaints, "  ", name, ": ", c, "\n");
  }
  std::string out =
      table.empty()
          ? "No policies: nothing is encrypted until an EncryptionPolicy or ClusterEncryptionPolicy says so.\n"
          : table.ToString();
  if (!complaints.empty()) absl::StrAppend(&out, "\nTo note:\n", complaints);
  if (controller == nullptr) {
    return out +
           "\nOnly what is in force on this node. With --controller http://ADDRESS:PORT also stages across the mesh, "
           "and\n"
           "policies that were refused.\n";
  }
  Problems problems;
  AddControllerProblems(*controller, &problems);
  return out + problems.ToString();
}

std::string RenderExemptions(const v1::ExemptionList& exemptions) {
  Table table({{"EXEMPTION"}, {"PROTOCOL"}, {"PORT"}, {"ADDRESSES"}, {"WHAT"}});
  for (const v1::Exemption& x : exemptions.exemptions()) {
    std::string addresses = x.cidrs().empty() ? "any that is no pod's" : Join(x.cidrs());
    if (x.cidrs_size() > 4) {
      addresses = absl::StrCat(absl::StrJoin(x.cidrs().begin(), x.cidrs().begin() + 3, ", "), " and ",
                               x.cidrs_size() - 3, " more");
    }
    table.Add({x.name(), x.protocol() == 0 ? "any" : ProtocolName(x.protocol()),
               x.port() == 0 ? "any" : absl::StrCat(x.port()), addresses, x.description()});
  }
  return table.empty() ? "No exemptions.\n" : table.ToString();
}

std::string RenderExplanation(const v1::Explanation& e, absl::Time now) {
  const auto on = [](const std::string& node) { return node.empty() ? "" : absl::StrCat(" on ", node); };
  const auto identity = [](uint32_t id) { return id == 0 ? "" : absl::StrCat(", identity ", id); };
  std::string flow = ProtocolName(e.protocol());
  if (e.port() != 0) absl::StrAppend(&flow, " port ", e.port());
  std::string out = absl::StrCat(absl::AsciiStrToUpper(e.verdict()), "\n", e.reason(), "\n\n");
  std::string policy = e.policy();
  if (!policy.empty()) absl::StrAppend(&policy, ", rule ", e.rule(), " (", e.action(), "), stage ", e.stage());
  std::string tunnel;
  if (e.has_peer()) {
    tunnel = absl::StrCat(e.peer().state(), e.peer().node().empty() ? "" : absl::StrCat(" to ", e.peer().node()),
                          e.peer().remote().empty() ? "" : absl::StrCat(" at ", e.peer().remote()));
    if (!e.peer().ike_suite().empty()) absl::StrAppend(&tunnel, ", ", e.peer().ike_suite());
    if (e.peer().held_packets() > 0) absl::StrAppend(&tunnel, ", ", e.peer().held_packets(), " packets held");
    if (!e.peer().last_error().empty()) absl::StrAppend(&tunnel, "; last error: ", e.peer().last_error());
  }
  std::vector<std::string> counters;
  for (const auto& [name, count] : std::map<std::string, uint64_t>(e.counters().begin(), e.counters().end())) {
    if (count > 0) counters.push_back(absl::StrCat(name, " ", HumanCount(count)));
  }
  absl::StrAppend(
      &out, Fields({{"From", absl::StrCat(e.source(), on(e.source_node()), identity(e.source_identity()))},
                    {"To", absl::StrCat(e.destination(), on(e.destination_node()), identity(e.destination_identity()))},
                    {"Flow", flow},
                    {"Policy", policy.empty() && e.exemption().empty() ? "none" : policy},
                    {"Exemption", e.exemption()},
                    {"Also matching", Join(e.also_matching())},
                    {"Tunnel", tunnel},
                    {"Counters", Join(counters)}}));
  if (e.sas_size() > 0) {
    v1::SaList sas;
    *sas.mutable_sas() = e.sas();
    absl::StrAppend(&out, "\n", RenderSas(sas, now));
  }
  return out;
}

}  // namespace espalier::cli
