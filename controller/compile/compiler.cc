// One compile, in stages: 1. what follows from pods (pod_facts); 2. the common half; 3. policies, resolved again only
// where the definition or the identities changed; 4. whom each policy concerns; 5. each node's own half.
#include "controller/compile/compiler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/compile/conflicts.h"
#include "controller/compile/exemptions.h"
#include "controller/compile/interner.h"
#include "controller/compile/pod_facts.h"
#include "controller/compile/profile.h"
#include "controller/compile/resolve.h"

namespace espalier::compile {
namespace {

class Mesh : public CompiledMesh {
 public:
  uint64_t stages_revision() const override { return revision; }
  const std::map<std::string, MeshNode>& nodes() const override { return node_map; }
  absl::StatusOr<NodeView> View(const std::string& node_name) const override {
    const auto found = views.find(node_name);
    if (found == views.end()) return absl::NotFoundError(absl::StrCat("no node named ", node_name));
    return found->second;
  }
  const std::map<std::string, PolicyScope>& scopes() const override { return scope_map; }
  const std::vector<source::Problem>& problems() const override { return problem_list; }

  uint64_t revision = 0;
  std::map<std::string, MeshNode> node_map;
  std::map<std::string, NodeView> views;  // by node name
  std::map<std::string, PolicyScope> scope_map;
  std::vector<source::Problem> problem_list;
};

v1::Resource NodeResource(const source::Node& node, uint32_t id, const AgentFacts& agent) {
  v1::Resource out;
  v1::Node* n = out.mutable_node();
  n->set_name(node.name);
  n->set_uid(node.uid);
  n->set_id(id);
  // One a family: the first of each.
  bool have[2] = {false, false};
  for (const IpAddress& address : node.internal_ips) {
    if (std::exchange(have[address.is_v6() ? 1 : 0], true)) continue;
    n->add_addresses(address.ToString());
  }
  for (const IpPrefix& cidr : node.pod_cidrs) n->add_pod_cidrs(cidr.ToString());
  n->set_boot_id(agent.boot_id);
  n->set_mlkem(agent.mlkem);
  return out;
}

// Without those inside another, and with two halves made one: a mesh of /24s becomes a few entries.
std::vector<IpPrefix> Aggregate(std::vector<IpPrefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  std::vector<IpPrefix> out;
  for (const IpPrefix& prefix : prefixes) {
    if (!out.empty() && out.back().Contains(prefix)) continue;
    out.push_back(prefix);
    while (out.size() > 1 && out.back().length() > 0) {
      const IpPrefix& low = out[out.size() - 2];
      const IpPrefix& high = out.back();
      const IpPrefix both(high.address(), high.length() - 1);
      if (low.length() != high.length() || low == high || !both.Contains(low)) break;
      out.pop_back();
      out.back() = both;
    }
  }
  return out;
}

}  // namespace

struct Compiler::State {
  // What a policy resolved to, and what it was made from.
  struct Resolved {
    DefinitionPtr definition;
    bool eases = false;
    v1::Policy policy;  // without name, generation, stage and priority
  };
  using Half = std::shared_ptr<const ResourceMap>;
  using Names = std::vector<std::string>;
  using Nodes = std::map<std::string, std::shared_ptr<const source::Node>>;  // by name, each UID once

  PodFactsMaker maker;
  std::shared_ptr<const PodFacts> facts;
  Interner node_interner, exemption_interner, policy_interner;
  Half common, policies;                           // policies: all that are sent
  std::map<std::string, Resolved> resolved;        // by wire name
  std::string mesh_text;                           // what all nodes' mesh resources have in common, serialized
  std::map<uint32_t, ResourcePtr> mesh_resources;  // by node id
  std::map<std::string, Half> own;                 // by the node's UID

  void MakeCommon(const CompileInput& input, const Nodes& nodes);
  void ResolvePolicies(const CompileInput& input, bool identities_changed);
  std::map<std::string, Names> Scope(const CompileInput& input, Mesh* mesh) const;
  void MakeMesh(const CompileInput& input, const Nodes& nodes);
  Half MakeOwn(const std::string& uid, uint32_t id, const Names& names, const Half& before);
};

void Compiler::State::MakeCommon(const CompileInput& input, const Nodes& nodes) {
  node_interner.Begin();
  std::vector<IpAddress> node_addresses;
  for (const auto& [name, node] : nodes) {
    const auto agent = input.agents.find(node->uid);
    const uint32_t id = facts->node_ids.at(node->uid);
    node_interner.Intern(absl::StrCat("node/", id),
                         NodeResource(*node, id, agent == input.agents.end() ? AgentFacts() : agent->second));
    node_addresses.insert(node_addresses.end(), node->internal_ips.begin(), node->internal_ips.end());
  }
  node_interner.End();
  exemption_interner.Begin();
  for (v1::Exemption& exemption : Exemptions(node_addresses, input.mesh.controller_addresses)) {
    v1::Resource resource;
    const std::string key = absl::StrCat("exemption/", exemption.name());
    *resource.mutable_exemption() = std::move(exemption);
    exemption_interner.Intern(key, std::move(resource));
  }
  const auto profile = input.objects->profiles->find("default");
  v1::Resource resource;
  *resource.mutable_profile() = CompileProfile(
      profile == input.objects->profiles->end() ? v1alpha1::EncryptionProfileSpec() : profile->second->spec());
  exemption_interner.Intern("profile/default", std::move(resource));
  exemption_interner.End();
  auto made = std::make_shared<ResourceMap>(*facts->address_resources);
  made->insert(node_interner.Map()->begin(), node_interner.Map()->end());
  made->insert(exemption_interner.Map()->begin(), exemption_interner.Map()->end());
  if (common == nullptr || *common != *made) common = std::move(made);
}

void Compiler::State::ResolvePolicies(const CompileInput& input, bool identities_changed) {
  std::map<std::string, Resolved> next;
  policy_interner.Begin();
  for (const ActivePolicy& active : input.policies) {
    const auto before = std::find_if(resolved.begin(), resolved.end(), [&active](const auto& entry) {
      return entry.second.definition == active.definition && entry.second.eases == active.eases;
    });
    Resolved& entry = next[active.name];
    entry.definition = active.definition;
    entry.eases = active.eases;
    entry.policy = before != resolved.end() && !identities_changed
                       ? before->second.policy
                       : Resolve(*active.definition, facts->identities, active.eases);
    v1::Resource resource;
    v1::Policy* policy = resource.mutable_policy();
    *policy = entry.policy;
    policy->set_name(active.name);
    policy->set_generation(active.definition->generation);
    policy->set_priority(active.priority);
    policy->set_stage(active.stage);
    policy_interner.Intern(absl::StrCat("policy/", active.name), std::move(resource));
  }
  policy_interner.End();
  policies = policy_interner.Map();
  resolved = std::move(next);
}

// Whom each policy concerns, into mesh->scope_map; and the policies (wire names, sorted) that each node (UID) gets.
std::map<std::string, Compiler::State::Names> Compiler::State::Scope(const CompileInput& input, Mesh* mesh) const {
  std::map<std::string, Names> policies_on;
  std::vector<const v1::Policy*> as_defined;
  for (const ActivePolicy& active : input.policies) {
    const v1::Policy& policy = policies->at(absl::StrCat("policy/", active.name))->policy();
    const std::string& definition = active.definition->name;
    PolicyScope& scope = mesh->scope_map[definition];
    std::set<std::string> nodes;
    uint32_t pods = 0;
    const auto add = [this, &nodes](uint32_t identity) {
      const auto found = facts->nodes_of.find(identity);
      if (found != facts->nodes_of.end()) nodes.insert(found->second.begin(), found->second.end());
    };
    for (const uint32_t id : policy.subject_identities()) {
      add(id);
      const auto found = facts->pods_of.find(id);
      if (found != facts->pods_of.end()) pods += found->second;
    }
    // Without subjects it concerns nobody.
    for (int r = 0; r < policy.rules_size() && policy.subject_identities_size() > 0; ++r) {
      for (const uint32_t id : policy.rules(r).peer_identities()) add(id);
      if (!policy.rules(r).any_pod()) continue;
      for (const auto& [uid, ids] : facts->identities_on) nodes.insert(uid);
    }
    for (const std::string& uid : nodes) policies_on[uid].push_back(active.name);
    scope.nodes.insert(nodes.begin(), nodes.end());
    if (active.name != definition) continue;
    scope.selected_pods = pods;
    if (!active.eases) as_defined.push_back(&policy);
  }
  for (const auto& [name, others] : FindConflicts(as_defined)) {
    mesh->scope_map[name].conflicts.assign(others.begin(), others.end());
  }
  return policies_on;
}

// What mesh resources have in common; resources that no longer fit are forgotten.
void Compiler::State::MakeMesh(const CompileInput& input, const Nodes& nodes) {
  v1::Mesh mesh;
  mesh.set_trust_domain(input.mesh.trust_domain);
  std::vector<IpPrefix> cidrs = input.mesh.cluster_cidrs;
  for (const auto& [name, node] : nodes) cidrs.insert(cidrs.end(), node->pod_cidrs.begin(), node->pod_cidrs.end());
  for (const IpPrefix& cidr : Aggregate(std::move(cidrs))) mesh.add_mesh_cidrs(cidr.ToString());
  mesh.set_trust_bundle_pem(input.mesh.trust_bundle_pem);
  for (const std::string& serial : input.mesh.revoked_serials) mesh.add_revoked_serials(serial);
  for (const std::string& address : input.mesh.controller_addresses) mesh.add_controller_addresses(address);
  std::string text = mesh.SerializeAsString();
  if (text == mesh_text) return;
  mesh_text = std::move(text);
  mesh_resources.clear();
}

// `names`: the policies that concern the node. The result is `before` if it is the same.
Compiler::State::Half Compiler::State::MakeOwn(const std::string& uid, uint32_t id, const Names& names,
                                               const Half& before) {
  ResourcePtr& mesh = mesh_resources[id];
  if (mesh == nullptr) {
    auto made = std::make_shared<v1::Resource>();
    made->mutable_mesh()->ParseFromString(mesh_text);
    made->mutable_mesh()->set_self_node_id(id);
    mesh = std::move(made);
  }
  auto made = std::make_shared<ResourceMap>();
  made->emplace("mesh", mesh);
  for (const std::string& name : names) {
    const std::string key = absl::StrCat("policy/", name);
    made->emplace(key, policies->at(key));
  }
  const auto ids = facts->identities_on.find(uid);
  if (ids != facts->identities_on.end()) {
    for (const uint32_t identity : ids->second) {
      const std::string key = absl::StrCat("identity/", identity);
      made->emplace(key, facts->identity_resources->at(key));
    }
  }
  if (before != nullptr && *before == *made) return before;
  return made;
}

Compiler::Compiler() : state_(std::make_unique<State>()) {}
Compiler::~Compiler() = default;

std::shared_ptr<const CompiledMesh> Compiler::Compile(const CompileInput& input) {
  State& s = *state_;
  const std::shared_ptr<const PodFacts> before = std::exchange(s.facts, s.maker.Make(*input.objects));
  State::Nodes nodes;
  std::set<std::string> uids;
  for (const auto& [name, node] : *input.objects->nodes) {
    if (s.facts->node_ids.contains(node->uid) && uids.insert(node->uid).second) nodes.emplace(name, node);
  }
  s.MakeCommon(input, nodes);
  s.ResolvePolicies(input, before == nullptr || before->identities != s.facts->identities);
  s.MakeMesh(input, nodes);

  auto mesh = std::make_shared<Mesh>();
  mesh->revision = input.stages_revision;
  mesh->problem_list = s.facts->problems;
  const std::map<std::string, State::Names> policies_on = s.Scope(input, mesh.get());
  std::map<std::string, State::Half> own;
  for (const auto& [name, node] : nodes) {
    const uint32_t id = s.facts->node_ids.at(node->uid);
    const auto pods = s.facts->pods_on.find(node->uid);
    mesh->node_map[name] = {name, node->uid, id, pods == s.facts->pods_on.end() ? 0 : pods->second};
    const auto of_node = policies_on.find(node->uid);
    const State::Half& half = own[node->uid] =
        s.MakeOwn(node->uid, id, of_node == policies_on.end() ? State::Names() : of_node->second, s.own[node->uid]);
    mesh->views[name] = {s.common, half};
  }
  s.own = std::move(own);
  return mesh;
}

std::string Compiler::SaveNodeIds() const { return state_->maker.node_ids().Save(); }
absl::Status Compiler::LoadNodeIds(absl::string_view text) { return state_->maker.node_ids().Load(text); }

std::map<std::string, v1::Resource> NodeView::Resources() const {
  std::map<std::string, v1::Resource> out;
  for (const auto* half : {&common, &own}) {
    if (*half == nullptr) continue;
    for (const auto& [key, resource] : **half) out.emplace(key, *resource);
  }
  return out;
}

}  // namespace espalier::compile
