#include "controller/compile/pod_facts.h"

#include "absl/strings/str_cat.h"

namespace espalier::compile {
namespace {

v1::Resource AddressResource(const IpAddress& address, const source::Pod& pod, uint32_t identity, uint32_t node_id) {
  v1::Resource out;
  v1::Address* a = out.mutable_address();
  a->set_ip(address.ToString());
  a->set_identity(identity);
  a->set_node_id(node_id);
  a->set_pod(absl::StrCat(pod.ns, "/", pod.name));
  return out;
}

v1::Resource IdentityResource(const identity::Description& description, uint32_t id) {
  v1::Resource out;
  v1::Identity* i = out.mutable_identity();
  i->set_id(id);
  i->set_namespace_(description.ns);
  i->set_service_account(description.service_account);
  i->mutable_labels()->insert(description.labels.begin(), description.labels.end());
  i->mutable_namespace_labels()->insert(description.namespace_labels.begin(), description.namespace_labels.end());
  return out;
}

// Nodes of one UID would share a certificate and an id: the first by name has it, the others are left out.
std::set<std::string> Uids(const source::Table<source::Node>& nodes, std::vector<source::Problem>* problems) {
  std::map<std::string, std::string> name_of;
  std::set<std::string> uids;
  for (const auto& [name, node] : nodes) {
    const auto [it, added] = name_of.emplace(node->uid, name);
    uids.insert(node->uid);
    if (added) continue;
    source::Problem p;
    p.object = absl::StrCat("Node/", name);
    p.field = "metadata.uid";
    p.value = node->uid;
    p.message = absl::StrCat("is the UID of node ", it->second, " too");
    p.remedy = "give each Node its own UID, or leave it out";
    p.in_force = "this node is left out of the mesh";
    problems->push_back(std::move(p));
  }
  return uids;
}

}  // namespace

std::shared_ptr<const PodFacts> PodFactsMaker::Make(const source::ObjectStore& objects) {
  if (facts_ != nullptr && pods_ == objects.pods && nodes_ == objects.nodes && namespaces_ == objects.namespaces) {
    return facts_;
  }
  auto out = std::make_shared<PodFacts>();
  out->node_ids = allocator_.Assign(Uids(*objects.nodes, &out->problems));
  static const std::map<IpAddress, identity::Claim> kNone;
  identity::AddressAssignment assigned =
      identity::AssignAddresses(objects, facts_ == nullptr ? kNone : facts_->addresses);
  out->addresses = std::move(assigned.addresses);
  out->problems.insert(out->problems.end(), assigned.problems.begin(), assigned.problems.end());

  // Identities of all live pods: a pod that has no address yet gets it with the next view, and its policy is there.
  std::map<const source::Pod*, identity::Description> description_of;
  std::set<identity::Description> descriptions;
  for (const auto& [key, pod] : *objects.pods) {
    if (pod->host_network || pod->finished()) continue;
    const auto ns = objects.namespaces->find(pod->ns);
    const auto& description = description_of[pod.get()] =
        identity::Describe(*pod, ns == objects.namespaces->end() ? nullptr : ns->second.get());
    descriptions.insert(description);
  }
  out->identities = identity::AssignIdentities(descriptions);
  for (const auto& [key, pod] : *objects.pods) {
    const auto description = description_of.find(pod.get());
    if (description == description_of.end()) continue;
    const auto id = out->identities.find(description->second);
    if (id == out->identities.end()) continue;
    ++out->pods_of[id->second];
    const auto node = objects.nodes->find(pod->node_name);
    if (node == objects.nodes->end()) continue;
    out->nodes_of[id->second].insert(node->second->uid);
    out->identities_on[node->second->uid].insert(id->second);
  }
  address_interner_.Begin();
  std::set<const source::Pod*> counted;
  for (const auto& [address, claim] : out->addresses) {
    const auto id = out->identities.find(description_of[claim.pod.get()]);
    const auto node_id = out->node_ids.find(claim.node->uid);
    if (id == out->identities.end() || node_id == out->node_ids.end()) continue;
    if (counted.insert(claim.pod.get()).second) ++out->pods_on[claim.node->uid];
    address_interner_.Intern(absl::StrCat("address/", address.ToString()),
                             AddressResource(address, *claim.pod, id->second, node_id->second));
  }
  address_interner_.End();
  out->address_resources = address_interner_.Map();
  identity_interner_.Begin();
  for (const auto& [description, id] : out->identities) {
    identity_interner_.Intern(absl::StrCat("identity/", id), IdentityResource(description, id));
  }
  identity_interner_.End();
  out->identity_resources = identity_interner_.Map();
  pods_ = objects.pods;
  nodes_ = objects.nodes;
  namespaces_ = objects.namespaces;
  facts_ = std::move(out);
  return facts_;
}

}  // namespace espalier::compile
