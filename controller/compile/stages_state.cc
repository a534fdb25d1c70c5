// Stages::Save and Load.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "controller/compile/stages.h"
#include "google/protobuf/util/json_util.h"

namespace espalier::compile {
namespace {

template <typename Policy>
std::string ToLine(const PolicyDefinition& definition, const std::string& kind) {
  Policy policy;
  policy.set_api_version("espalier.io/v1alpha1");
  policy.set_kind(kind);
  policy.mutable_metadata()->set_namespace_(definition.ns);
  policy.mutable_metadata()->set_name(definition.name.substr(definition.name.rfind('/') + 1));
  policy.mutable_metadata()->set_generation(definition.generation);
  *policy.mutable_spec() = definition.spec;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(policy, &json).ok()) return "";
  return absl::StrCat(json, "\n");
}

// Namespaced policies are read as cluster policies too: the two messages have the same fields.
absl::StatusOr<DefinitionPtr> FromLine(absl::string_view line) {
  v1alpha1::EncryptionPolicy policy;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // written by a newer controller
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(line.data(), line.size()), &policy, options);
  if (!status.ok()) return absl::InvalidArgumentError(std::string(status.message()));
  const bool cluster = policy.kind() == "ClusterEncryptionPolicy";
  const auto& meta = policy.metadata();
  if ((!cluster && policy.kind() != "EncryptionPolicy") || meta.name().empty() || cluster != meta.namespace_().empty()) {
    return absl::InvalidArgumentError("not a policy with kind, name and namespace");
  }
  auto out = std::make_shared<PolicyDefinition>();
  out->name = cluster ? absl::StrCat("ClusterEncryptionPolicy/", meta.name())
                      : absl::StrCat("EncryptionPolicy/", meta.namespace_(), "/", meta.name());
  out->ns = meta.namespace_();
  out->generation = meta.generation();
  out->priority = policy.spec().priority();
  out->spec = policy.spec();
  return out;
}

}  // namespace

std::string Stages::Save() const {
  std::string out;
  for (const auto& [name, entry] : entries_) {
    // Withdraw too: where the removal has not reached every node, it begins again.
    if (entry.step == Step::kIntroduce) continue;
    absl::StrAppend(&out, entry.in_force->cluster()
                              ? ToLine<v1alpha1::ClusterEncryptionPolicy>(*entry.in_force, "ClusterEncryptionPolicy")
                              : ToLine<v1alpha1::EncryptionPolicy>(*entry.in_force, "EncryptionPolicy"));
  }
  return out;
}

absl::Status Stages::Load(absl::string_view text, absl::Time now) {
  std::map<std::string, Entry> entries;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    absl::StatusOr<DefinitionPtr> definition = FromLine(line);
    if (!definition.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("policies in force, line ", number, ": ", definition.status().message()));
    }
    Entry& entry = entries[(*definition)->name];
    entry.in_force = entry.desired = *std::move(definition);
  }
  entries_ = std::move(entries);
  if (!entries_.empty()) hold_until_ = now + options_.grace;
  Publish(now);
  return absl::OkStatus();
}

}  // namespace espalier::compile
