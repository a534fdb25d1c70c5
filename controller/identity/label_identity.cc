#include "controller/identity/label_identity.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/identity/stable_hash.h"
#include "controller/source/labels.h"

namespace espalier::identity {
namespace {

// Candidates that are tried by hash. Beyond (a nearly full range) the next free number is taken.
constexpr uint32_t kCandidates = 1024;

void AppendField(absl::string_view text, std::string* out) { absl::StrAppend(out, text.size(), ":", text, ","); }

void AppendLabels(const source::Labels& labels, std::string* out) {
  absl::StrAppend(out, labels.size(), ";");
  for (const auto& [key, value] : labels) {
    AppendField(key, out);
    AppendField(value, out);
  }
}

}  // namespace

std::string Description::Canonical() const {
  std::string out;
  AppendField(ns, &out);
  AppendLabels(namespace_labels, &out);
  AppendLabels(labels, &out);
  AppendField(service_account, &out);
  return out;
}

Description Describe(const source::Pod& pod, const source::Namespace* ns) {
  Description out;
  out.ns = pod.ns;
  if (ns != nullptr) out.namespace_labels = ns->labels;
  out.namespace_labels[source::kNamespaceNameLabel] = pod.ns;
  for (const auto& [key, value] : pod.labels) {
    if (!source::IsPerPodLabel(key)) out.labels[key] = value;
  }
  out.service_account = pod.service_account;
  return out;
}

std::map<Description, uint32_t> AssignIdentities(const std::set<Description>& descriptions) {
  return AssignIdentities(descriptions, [](const StableHash& hash, uint32_t candidate) {
    return FoldHash(hash, candidate, kFirstIdentity, kEndIdentity);
  });
}

std::map<Description, uint32_t> AssignIdentities(const std::set<Description>& descriptions, Fold fold) {
  std::map<StableHash, const Description*> by_hash;
  for (const Description& description : descriptions) by_hash[HashOf(description.Canonical())] = &description;
  std::map<Description, uint32_t> out;
  std::set<uint32_t> taken;
  for (const auto& [hash, description] : by_hash) {
    uint32_t id = 0;
    uint32_t candidate = 0;
    do {
      id = fold(hash, candidate++);
    } while (taken.contains(id) && candidate < kCandidates);
    for (uint32_t tried = 0; taken.contains(id) && tried < kEndIdentity; ++tried) {
      id = id + 1 < kEndIdentity ? id + 1 : kFirstIdentity;
    }
    if (!taken.insert(id).second) continue;  // 2^24 identities: the rest has none, and stays unknown
    out.emplace(*description, id);
  }
  return out;
}

}  // namespace espalier::identity
