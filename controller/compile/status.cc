#include "controller/compile/status.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace espalier::compile {
namespace {

// At most this many names in one sentence.
constexpr size_t kNamed = 3;

std::string Named(const std::vector<std::string>& names) {
  const size_t n = std::min(names.size(), kNamed);
  std::string out = absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(n), ", ");
  if (names.size() > n) absl::StrAppend(&out, " and ", names.size() - n, " more");
  return out;
}

void AddCondition(v1alpha1::PolicyStatus* status, const char* type, bool holds, std::string reason, std::string message,
                  absl::Time since) {
  v1alpha1::Condition* out = status->add_conditions();
  out->set_type(type);
  out->set_status(holds ? "True" : "False");
  out->set_reason(std::move(reason));
  out->set_message(std::move(message));
  if (since != absl::Time())
    out->set_last_transition_time(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", since, absl::UTCTimeZone()));
  out->set_observed_generation(status->observed_generation());
}

std::string StageText(const PolicyProgress* progress) {
  if (progress == nullptr) return "";
  switch (progress->step) {
    case Step::kIntroduce:
      return "Send";
    case Step::kSteady:
    case Step::kMeet:
    case Step::kYield:
      return "Enforced";
    case Step::kWithdraw:
      return "Withdrawing";
  }
  return "";
}

bool IsPolicy(const std::string& object) {
  return absl::StartsWith(object, "EncryptionPolicy/") || absl::StartsWith(object, "ClusterEncryptionPolicy/");
}

class Reporter {
 public:
  Reporter(const CompiledMesh& mesh, const std::map<std::string, uint64_t>& acked,
           const std::map<std::string, std::string>& nacks)
      : mesh_(mesh), acked_(acked), nacks_(nacks) {
    for (const auto& [name, node] : mesh.nodes()) names_[node.uid] = name;
  }

  PolicyReport Report(const std::string& name, const PolicyProgress* progress,
                      const std::vector<const source::Problem*>& problems) const {
    PolicyReport out;
    out.name = name;
    v1alpha1::PolicyStatus& status = out.status;
    const auto scope = mesh_.scopes().find(name);
    const bool scoped = scope != mesh_.scopes().end();
    if (progress != nullptr) {
      const DefinitionPtr& shown = progress->desired != nullptr ? progress->desired : progress->in_force;
      if (shown != nullptr) status.set_observed_generation(shown->generation);
    }
    status.set_stage(StageText(progress));
    if (scoped) status.set_selected_pods(static_cast<int32_t>(scope->second.selected_pods));
    const absl::Time since = progress == nullptr ? absl::Time() : progress->since;
    Accepted(problems, progress != nullptr, since, &status);
    Programmed(progress, scoped ? scope->second.nodes : std::set<std::string>(), since, &status);
    Conflicted(scoped ? scope->second.conflicts : std::vector<std::string>(), since, &status);
    return out;
  }

 private:
  static void Accepted(const std::vector<const source::Problem*>& problems, bool in_force, absl::Time since,
                       v1alpha1::PolicyStatus* status) {
    if (problems.empty()) {
      AddCondition(status, "Accepted", true, "Valid", "the policy is valid", since);
      return;
    }
    std::string message = problems.front()->ToString();
    if (problems.size() > 1) absl::StrAppend(&message, " (and ", problems.size() - 1, " more)");
    AddCondition(status, "Accepted", false, in_force ? "InvalidKeepsLastVersion" : "Invalid", std::move(message),
                 since);
  }

  void Programmed(const PolicyProgress* progress, const std::set<std::string>& nodes, absl::Time since,
                  v1alpha1::PolicyStatus* status) const {
    if (progress == nullptr) {
      AddCondition(status, "Programmed", false, "NotInForce", "no version of the policy is in force", since);
      return;
    }
    std::vector<std::string> missing, refusing;
    for (const std::string& uid : nodes) {
      const auto acked = acked_.find(uid);
      if (acked != acked_.end() && acked->second >= progress->revision) continue;
      const auto name = names_.find(uid);
      const std::string& shown = name == names_.end() ? uid : name->second;
      missing.push_back(shown);
      const auto nack = nacks_.find(uid);
      if (nack != nacks_.end()) refusing.push_back(absl::StrCat(shown, ": ", nack->second));
    }
    status->set_desired_nodes(static_cast<int32_t>(nodes.size()));
    status->set_programmed_nodes(static_cast<int32_t>(nodes.size() - missing.size()));
    const std::string count = absl::StrCat(nodes.size() - missing.size(), " of ", nodes.size(), " nodes");
    if (!refusing.empty()) {
      AddCondition(status, "Programmed", false, "Refused", absl::StrCat(count, "; refused by ", Named(refusing)),
                   since);
    } else if (!missing.empty()) {
      AddCondition(status, "Programmed", false, "Waiting", absl::StrCat(count, "; waiting for ", Named(missing)),
                   since);
    } else if (progress->step != Step::kSteady) {
      AddCondition(status, "Programmed", false, "Activating", absl::StrCat(count, " in this step"), since);
    } else {
      AddCondition(status, "Programmed", true, "Programmed", count, since);
    }
  }

  static void Conflicted(const std::vector<std::string>& others, absl::Time since, v1alpha1::PolicyStatus* status) {
    if (others.empty()) {
      AddCondition(status, "Conflicted", false, "NoConflict", "no policy of the same priority answers differently",
                   since);
    } else {
      AddCondition(status, "Conflicted", true, "SamePriority",
                   absl::StrCat("for some flows ", Named(others),
                                " of the same priority answers differently: the strictest action counts"),
                   since);
    }
  }

  const CompiledMesh& mesh_;
  const std::map<std::string, uint64_t>& acked_;
  const std::map<std::string, std::string>& nacks_;
  std::map<std::string, std::string> names_;  // of nodes, by UID
};

std::string ConditionOf(const v1alpha1::PolicyStatus& status, const std::string& type) {
  for (const v1alpha1::Condition& condition : status.conditions()) {
    if (condition.type() == type) return condition.status();
  }
  return "";
}

}  // namespace

std::vector<PolicyReport> ReportPolicies(const Stages& stages, const CompiledMesh& mesh,
                                         const std::vector<source::Problem>& problems,
                                         const std::map<std::string, uint64_t>& acked,
                                         const std::map<std::string, std::string>& nacks) {
  std::map<std::string, std::vector<const source::Problem*>> problems_of;
  std::set<std::string> names;
  for (const source::Problem& problem : problems) {
    if (!IsPolicy(problem.object) || problem.severity == source::Severity::kNote) continue;
    problems_of[problem.object].push_back(&problem);
    names.insert(problem.object);
  }
  for (const auto& [name, progress] : stages.progress()) names.insert(name);
  const Reporter reporter(mesh, acked, nacks);
  std::vector<PolicyReport> out;
  for (const std::string& name : names) {
    const auto progress = stages.progress().find(name);
    out.push_back(
        reporter.Report(name, progress == stages.progress().end() ? nullptr : &progress->second, problems_of[name]));
  }
  return out;
}

std::string StatusText(const std::vector<PolicyReport>& reports, const std::vector<source::Problem>& problems) {
  size_t width = 6;
  for (const PolicyReport& report : reports) width = std::max(width, report.name.size());
  std::string out = absl::StrFormat("%-*s  %-11s  %5s  %-8s  %-10s  %-10s  %s\n", static_cast<int>(width), "POLICY",
                                    "STAGE", "NODES", "ACCEPTED", "PROGRAMMED", "CONFLICTED", "PODS");
  for (const PolicyReport& report : reports) {
    const auto& status = report.status;
    absl::StrAppendFormat(&out, "%-*s  %-11s  %5s  %-8s  %-10s  %-10s  %d\n", static_cast<int>(width), report.name,
                          status.stage().empty() ? "-" : status.stage(),
                          absl::StrCat(status.programmed_nodes(), "/", status.desired_nodes()),
                          ConditionOf(status, "Accepted"), ConditionOf(status, "Programmed"),
                          ConditionOf(status, "Conflicted"), status.selected_pods());
  }
  for (const source::Problem& problem : problems) {
    const char* const severity = problem.severity == source::Severity::kError     ? "error"
                                 : problem.severity == source::Severity::kWarning ? "warning"
                                                                                  : "note";
    absl::StrAppend(&out, severity, ": ", problem.ToString(), "\n");
  }
  return out;
}

}  // namespace espalier::compile
