#include "controller/compile/selector.h"

#include <algorithm>
#include <string>

namespace espalier::compile {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

bool Holds(const v1alpha1::LabelSelector::Requirement& term, const source::Labels& labels) {
  const auto found = labels.find(term.key());
  const bool exists = found != labels.end();
  if (term.operator_() == "Exists") return exists;
  if (term.operator_() == "DoesNotExist") return !exists;
  const bool in = exists && std::find(term.values().begin(), term.values().end(), found->second) != term.values().end();
  if (term.operator_() == "In") return in;
  if (term.operator_() == "NotIn") return !in;
  return false;
}

bool HasAccount(const Names& accounts, const std::string& account) {
  return accounts.empty() || std::find(accounts.begin(), accounts.end(), account) != accounts.end();
}

bool IsEmpty(const v1alpha1::LabelSelector& selector) {
  return selector.match_labels().empty() && selector.match_expressions().empty();
}

}  // namespace

bool Matches(const v1alpha1::LabelSelector& selector, const source::Labels& labels) {
  for (const auto& [key, value] : selector.match_labels()) {
    const auto found = labels.find(key);
    if (found == labels.end() || found->second != value) return false;
  }
  return std::all_of(selector.match_expressions().begin(), selector.match_expressions().end(),
                     [&labels](const auto& term) { return Holds(term, labels); });
}

bool IsSubject(const PolicyDefinition& policy, const identity::Description& pod) {
  const auto& spec = policy.spec;
  if (!policy.cluster() && pod.ns != policy.ns) return false;
  if (policy.cluster() && spec.has_namespace_selector() && !Matches(spec.namespace_selector(), pod.namespace_labels)) {
    return false;
  }
  return Matches(spec.pod_selector(), pod.labels) && HasAccount(spec.service_accounts(), pod.service_account);
}

bool IsPeer(const PolicyDefinition& policy, const v1alpha1::Peer& peer, const identity::Description& pod) {
  if (!peer.cidr().empty()) return false;
  if (peer.has_namespace_selector()) {
    if (!Matches(peer.namespace_selector(), pod.namespace_labels)) return false;
  } else if (!policy.cluster() && pod.ns != policy.ns) {
    return false;
  }
  return Matches(peer.pod_selector(), pod.labels) && HasAccount(peer.service_accounts(), pod.service_account);
}

bool IsEveryPod(const PolicyDefinition& policy, const v1alpha1::Peer& peer) {
  return peer.cidr().empty() && (policy.cluster() || peer.has_namespace_selector()) &&
         IsEmpty(peer.namespace_selector()) && IsEmpty(peer.pod_selector()) && peer.service_accounts().empty();
}

}  // namespace espalier::compile
