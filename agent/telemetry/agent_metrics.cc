#include "agent/telemetry/agent_metrics.h"

#include <prometheus/metric_family.h>

#include "absl/strings/str_split.h"
#include "agent/telemetry/metrics_list.h"
#include "bpf/espalier_shared.h"

namespace espalier::telemetry {
namespace {

enum Metric : size_t {
#define X(symbol, name, type, labels, help) k##symbol,
  ESPALIER_AGENT_METRICS(X)
#undef X
      kMetricCount
};

struct Definition {
  const char* name;
  prometheus::MetricType type;
  const char* labels;
  const char* help;
};

constexpr Definition kDefinitions[] = {
#define X(symbol, name, type, labels, help) {name, prometheus::MetricType::type, labels, help},
    ESPALIER_AGENT_METRICS(X)
#undef X
};

class Families {
 public:
  Families() : families_(kMetricCount) {
    for (size_t i = 0; i < kMetricCount; ++i) {
      families_[i].name = kDefinitions[i].name;
      families_[i].help = kDefinitions[i].help;
      families_[i].type = kDefinitions[i].type;
    }
  }

  // One series; as many label values as the definition has labels.
  template <typename T>
  void Set(Metric metric, T value, const std::vector<std::string>& label_values = {}) {
    const Definition& definition = kDefinitions[metric];
    prometheus::ClientMetric series;
    size_t i = 0;
    for (absl::string_view label : absl::StrSplit(definition.labels, ',', absl::SkipEmpty())) {
      series.label.push_back({std::string(label), label_values.at(i++)});
    }
    if (definition.type == prometheus::MetricType::Counter) {
      series.counter.value = static_cast<double>(value);
    } else {
      series.gauge.value = static_cast<double>(value);
    }
    families_[metric].metric.push_back(std::move(series));
  }
  void SetTime(Metric metric, absl::Time time, const std::vector<std::string>& label_values = {}) {
    if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return;
    Set(metric, absl::ToDoubleSeconds(time - absl::UnixEpoch()), label_values);
  }

  std::vector<prometheus::MetricFamily> Take() {
    std::vector<prometheus::MetricFamily> out;
    for (auto& f : families_) {
      if (!f.metric.empty()) out.push_back(std::move(f));
    }
    return out;
  }

 private:
  std::vector<prometheus::MetricFamily> families_;
};

void AddPeers(const AgentSample& s, Families* out) {
  std::map<std::string, uint64_t> states;
#define X(state) states[state] = 0;
  ESPALIER_PEER_STATES(X)
#undef X
  for (const auto& [name, peer] : s.peers) {
    ++states[peer.state];
    out->Set(kPeerUp, peer.state == "up" ? 1 : 0, {name});
    out->SetTime(kPeerEstablished, peer.established, {name});
    if (peer.traffic.in.packets + peer.traffic.out.packets == 0) continue;  // most never speak: bound the series
    out->Set(kPeerPackets, peer.traffic.in.packets, {name, "in"});
    out->Set(kPeerPackets, peer.traffic.out.packets, {name, "out"});
    out->Set(kPeerBytes, peer.traffic.in.bytes, {name, "in"});
    out->Set(kPeerBytes, peer.traffic.out.bytes, {name, "out"});
  }
  for (const auto& [state, count] : states) out->Set(kPeers, count, {state});
}

void AddDatapath(const AgentSample& s, Families* out) {
  out->Set(kSas, s.sas_in, {"in"});
  out->Set(kSas, s.sas_out, {"out"});
  out->Set(kEspPackets, s.esp.in.packets, {"in"});
  out->Set(kEspPackets, s.esp.out.packets, {"out"});
  out->Set(kEspBytes, s.esp.in.bytes, {"in"});
  out->Set(kEspBytes, s.esp.out.bytes, {"out"});
  const auto drops = [&s](datapath::Drop reason) {
    const auto it = s.drops.find(reason);
    return it == s.drops.end() ? 0 : it->second;
  };
#define X(symbol, number, text, help) out->Set(kDatapathDrops, drops(datapath::Drop::k##symbol), {text});
  ESPALIER_DATAPATH_DROPS(X)
#undef X
  out->Set(kHeldPackets, s.held_packets);
}

void AddSteering(const AgentSample& s, Families* out) {
  std::map<std::string, Traffic> outcomes = s.steering;
#define X(symbol, number, text, help) outcomes.try_emplace(text);
  ESPALIER_COUNTERS(X)
#undef X
  for (const auto& [outcome, count] : outcomes) {
    out->Set(kSteeringPackets, count.packets, {outcome});
    out->Set(kSteeringBytes, count.bytes, {outcome});
  }
  for (const std::string& device : s.devices) out->Set(kSteeredDevices, 1, {device});
  out->Set(kSteeringAlarms, s.steering_alarms);
}

void AddControl(const AgentSample& s, Families* out) {
  for (const auto& [event, count] : s.ike) out->Set(kIkeEvents, count, {event});
  out->Set(kRekeys, s.ike_rekeys, {"ike"});
  out->Set(kRekeys, s.child_rekeys, {"child"});
  out->Set(kViewVersion, s.view_version);
  out->SetTime(kViewApplied, s.view_applied);
  out->Set(kViewFromCache, s.view_from_cache);
  out->Set(kViewRefused, s.views_refused);
  out->Set(kCacheFailed, s.cache_write_failures > 0);
  out->Set(kControllerConnected, s.controller_connected);
  out->Set(kControllerConnects, s.controller_connects);
  out->SetTime(kCertificateExpiry, s.certificate_not_after);
  out->Set(kNodes, s.nodes);
  out->Set(kPolicies, s.policies);
  out->Set(kAddresses, s.addresses);
  out->Set(kLocalPods, s.local_pods);
  out->Set(kPolicyRows, s.policy_rows);
}

}  // namespace

void TrafficTotals::Add(const std::vector<datapath::SaCounters>& readings) {
  std::map<SaKey, Traffic> seen;
  for (const datapath::SaCounters& r : readings) {
    const SaKey key(r.inbound, {r.peer, r.spi});
    Traffic before;
    if (const auto it = last_.find(key); it != last_.end()) before = it->second;
    // An SPI that is used again begins at zero.
    if (r.packets < before.packets || r.bytes < before.bytes) before = {};
    for (TrafficPair* total : {&all_, &by_peer_[r.peer]}) {
      total->of(r.inbound).packets += r.packets - before.packets;
      total->of(r.inbound).bytes += r.bytes - before.bytes;
    }
    seen[key] = {r.packets, r.bytes};
  }
  last_ = std::move(seen);
}

std::vector<prometheus::MetricFamily> AgentMetrics::Collect() const {
  Families out;
  out.Set(kBuildInfo, 1, {identity_.version, identity_.node, identity_.datapath});
  const std::optional<AgentSample> sample = sample_();
  out.Set(kSampleFailed, sample ? 0 : 1);
  if (!sample) return out.Take();
  out.SetTime(kStartTime, sample->started);
  out.Set(kReady, sample->ready);
  AddPeers(*sample, &out);
  AddDatapath(*sample, &out);
  AddSteering(*sample, &out);
  AddControl(*sample, &out);
  return out.Take();
}

}  // namespace espalier::telemetry
