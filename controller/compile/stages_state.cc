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
  if ((!cluster && policy.kind() != "EncryptionPolicy") || meta.name().empty() ||
      cluster != meta.namespace_().empty()) {
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
  // In Yield the new ones are enforced, before it the old ones.
  std::string out;
  for (const auto& [name, definition] : phase_ == Phase::kYield ? to_ : from_) {
    absl::StrAppend(&out, definition->cluster()
                              ? ToLine<v1alpha1::ClusterEncryptionPolicy>(*definition, "ClusterEncryptionPolicy")
                              : ToLine<v1alpha1::EncryptionPolicy>(*definition, "EncryptionPolicy"));
  }
  return out;
}

absl::Status Stages::Load(absl::string_view text, absl::Time now) {
  Definitions loaded;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    absl::StatusOr<DefinitionPtr> definition = FromLine(line);
    if (!definition.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("policies in force, line ", number, ": ", definition.status().message()));
    }
    loaded[(*definition)->name] = *std::move(definition);
  }
  from_ = to_ = desired_ = std::move(loaded);
  if (!from_.empty()) hold_until_ = now + options_.grace;
  Begin(Phase::kSteady, now);
  Report(now);
  return absl::OkStatus();
}

}  // namespace espalier::compile
