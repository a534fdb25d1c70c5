#include "controller/status/metrics.h"

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "controller/status/metric_list.h"

namespace espalier::status {
namespace {

enum Id {
#define ESPALIER_ID(constant, name, type, labels, help) constant,
  ESPALIER_CONTROLLER_METRICS(ESPALIER_ID)
#undef ESPALIER_ID
      kCount
};

struct Info {
  const char* name;
  prometheus::MetricType type;
  const char* label;
  const char* help;
};

constexpr Info kInfo[] = {
#define ESPALIER_INFO(constant, name, type, labels, help) {name, prometheus::MetricType::type, labels, help},
    ESPALIER_CONTROLLER_METRICS(ESPALIER_INFO)
#undef ESPALIER_INFO
};

class Families {
 public:
  Families() : families_(kCount) {
    for (int id = 0; id < kCount; ++id) {
      families_[id].name = kInfo[id].name;
      families_[id].help = kInfo[id].help;
      families_[id].type = kInfo[id].type;
    }
  }

  void Set(Id id, double value) { Add(id, value); }
  void Set(Id id, const std::string& label, double value) { Add(id, value).label.push_back({kInfo[id].label, label}); }
  void Set(Id id, const std::map<std::string, uint64_t>& values) {
    for (const auto& [label, value] : values) Set(id, label, static_cast<double>(value));
  }
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(Id id, double value) {
    prometheus::ClientMetric& metric = families_[id].metric.emplace_back();
    if (kInfo[id].type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  const Snapshot s = snapshot_();
  Families out;
  out.Set(kObjects, s.objects);
  // Every severity and stage, so that a series doesn't vanish when its value is 0.
  std::map<std::string, uint64_t> problems = {{"error", 0}, {"warning", 0}, {"note", 0}};
  for (const source::Problem& p : s.problems) {
    ++problems[p.severity == source::Severity::kError     ? "error"
               : p.severity == source::Severity::kWarning ? "warning"
                                                          : "note"];
  }
  out.Set(kProblems, problems);
  std::map<std::string, uint64_t> stages;
  for (const compile::PolicyReport& p : s.policies) {
    ++stages[p.status.stage().empty() ? "refused" : absl::AsciiStrToLower(p.status.stage())];
  }
  out.Set(kPolicies, stages);
  out.Set(kNodes, static_cast<double>(s.nodes.size()));
  for (const distribute::NodeReport& node : s.nodes) {
    out.Set(kConnected, node.name, node.connected);
    out.Set(kInSync, node.name, node.in_sync);
    out.Set(kRefused, node.name, !node.refusal.empty());
  }
  out.Set(kViewVersion, static_cast<double>(s.view_version));
  const distribute::DistributorCounters& d = s.distribution;
  out.Set(kDeltas, {{"full", d.full_sent}, {"delta", d.deltas_sent}});
  out.Set(kBytes, static_cast<double>(d.bytes_sent));
  out.Set(kAnswers, {{"ack", d.acks}, {"nack", d.nacks}, {"stray", d.stray_answers}});
  out.Set(kStreams, {{"accepted", d.connects}, {"resumed", d.resumed}, {"stalled", d.stalled}});
  out.Set(kStreamsRefused, s.streams_refused);
  out.Set(kEnrolments, s.enrolments);
  out.Set(kIssued, static_cast<double>(s.certificates_issued));
  out.Set(kRevoked, static_cast<double>(s.revoked.size()));
  out.Set(kAnchors, static_cast<double>(s.anchors));
  out.Set(kCaExpiry, absl::ToDoubleSeconds(s.ca_not_after - absl::UnixEpoch()));
  out.Set(kServerExpiry, absl::ToDoubleSeconds(s.server_not_after - absl::UnixEpoch()));
  out.Set(kCompiles, static_cast<double>(s.compiles));
  out.Set(kCompileSeconds, s.compile_seconds);
  out.Set(kLastCompile, s.last_compile_seconds);
  out.Set(kStateErrors, static_cast<double>(s.state_errors));
  out.Set(kStarted, absl::ToDoubleSeconds(s.started_at - absl::UnixEpoch()));
  return out.Take();
}

}  // namespace espalier::status
