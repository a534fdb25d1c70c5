#include "controller/compile/policy_definition.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"

namespace espalier::compile {
namespace {

template <typename Policy>
DefinitionPtr Define(std::string name, std::string ns, const Policy& policy,
                     const std::map<std::string, DefinitionPtr>& previous) {
  auto out = std::make_shared<PolicyDefinition>();
  out->name = std::move(name);
  out->ns = std::move(ns);
  out->generation = policy.metadata().generation();
  out->priority = policy.spec().priority();
  out->spec = policy.spec();
  const auto found = previous.find(out->name);
  if (found != previous.end() && found->second->generation == out->generation && SameEffect(*found->second, *out)) {
    return found->second;
  }
  return out;
}

}  // namespace

std::vector<DefinitionPtr> DefinitionsOf(const source::ObjectStore& objects,
                                         const std::vector<DefinitionPtr>& previous) {
  std::map<std::string, DefinitionPtr> before;
  for (const DefinitionPtr& definition : previous) before[definition->name] = definition;
  std::vector<DefinitionPtr> out;
  for (const auto& [key, policy] : *objects.cluster_policies) {
    out.push_back(Define(absl::StrCat("ClusterEncryptionPolicy/", policy->metadata().name()), "", *policy, before));
  }
  for (const auto& [key, policy] : *objects.policies) {
    const auto& meta = policy->metadata();
    out.push_back(Define(absl::StrCat("EncryptionPolicy/", meta.namespace_(), "/", meta.name()), meta.namespace_(),
                         *policy, before));
  }
  std::sort(out.begin(), out.end(), [](const DefinitionPtr& a, const DefinitionPtr& b) { return a->name < b->name; });
  return out;
}

bool SameEffect(const PolicyDefinition& a, const PolicyDefinition& b) {
  return a.name == b.name && a.priority == b.priority &&
         google::protobuf::util::MessageDifferencer::Equals(a.spec, b.spec);
}

bool MayRequireOrDeny(const PolicyDefinition& definition) {
  const auto strict = [](const std::string& action) { return action == "Require" || action == "Deny"; };
  const auto& rules = definition.spec.rules();
  if (rules.empty()) return definition.spec.action().empty() || strict(definition.spec.action());
  return std::any_of(rules.begin(), rules.end(), [&strict](const auto& rule) { return strict(rule.action()); });
}

}  // namespace espalier::compile
