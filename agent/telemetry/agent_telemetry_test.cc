#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "agent/telemetry/agent_metrics.h"
#include "agent/telemetry/metrics_doc.h"
#include "agent/telemetry/metrics_list.h"

namespace espalier::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(std::optional<AgentSample> sample) {
  const AgentMetrics metrics({"0.1", "node-a", "user"}, [&] { return sample; });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, metrics.Collect());
  return out.str();
}

TEST(MetricsListTest, NamesFollowPrometheusConventions) {
  std::set<std::string> names;
#define X(symbol, name, type, labels, help)                                                  \
  EXPECT_TRUE(names.insert(name).second) << name;                                            \
  EXPECT_TRUE(std::regex_match(name, std::regex("espalier_[a-z_]+"))) << name;               \
  EXPECT_EQ(std::string(#type) == "Counter", std::string(name).ends_with("_total")) << name; \
  EXPECT_TRUE(std::string(labels).empty() || std::regex_match(labels, std::regex("[a-z]+(,[a-z]+)*"))) << name;
  ESPALIER_AGENT_METRICS(X)
#undef X
}

TEST(AgentMetricsTest, EverySeriesThatShouldExistDoes) {
  AgentSample sample;
  sample.started = sample.view_applied = sample.certificate_not_after = absl::FromUnixSeconds(1700000000);
  sample.peers["node-b"].state = "up";
  sample.peers["node-b"].established = absl::FromUnixSeconds(1700000001);
  sample.peers["node-b"].traffic = {.out = {3, 300}, .in = {4, 400}};
  sample.peers["node-c"].state = "failed";
  sample.peers["node-d"];
  sample.devices = {"eth0"};
  sample.ike["auth_failed"] = 2;
  sample.drops[datapath::Drop::kReplay] = 5;
  sample.steering["encrypted"] = {7, 700};
  const std::string text = Text(sample);
#define X(symbol, name, type, labels, help) \
  EXPECT_THAT(text, HasSubstr(std::string("\n") + name + (*labels ? "{" : " "))) << name;
  ESPALIER_AGENT_METRICS(X)
#undef X
  EXPECT_THAT(text, HasSubstr("espalier_build_info{version=\"0.1\",node=\"node-a\",datapath=\"user\"} 1"));
  EXPECT_THAT(text, HasSubstr("espalier_peer_up{peer=\"node-b\"} 1"));
  EXPECT_THAT(text, HasSubstr("espalier_peer_up{peer=\"node-c\"} 0"));
  EXPECT_THAT(text, HasSubstr("espalier_peer_up{peer=\"node-d\"} 0"));
  EXPECT_THAT(text, HasSubstr("espalier_peers{state=\"failed\"} 1"));
  EXPECT_THAT(text, HasSubstr("espalier_peers{state=\"connecting\"} 0"));
  EXPECT_THAT(text, HasSubstr("espalier_peer_bytes_total{peer=\"node-b\",direction=\"in\"} 400"));
  EXPECT_THAT(text, HasSubstr("espalier_datapath_drops_total{reason=\"replay\"} 5"));
  EXPECT_THAT(text, HasSubstr("espalier_datapath_drops_total{reason=\"icv\"} 0"));
  EXPECT_THAT(text, HasSubstr("espalier_steering_bytes_total{outcome=\"encrypted\"} 700"));
  EXPECT_THAT(text, HasSubstr("espalier_steering_packets_total{outcome=\"drop_guard\"} 0"));
  EXPECT_THAT(text, HasSubstr("espalier_ike_events_total{event=\"auth_failed\"} 2"));
  EXPECT_THAT(text, HasSubstr("espalier_certificate_expiry_timestamp_seconds 1700000000"));
}

TEST(AgentMetricsTest, AFailedSampleSaysSo) {
  const std::string text = Text(std::nullopt);
  EXPECT_THAT(text, HasSubstr("espalier_sample_failed 1"));
  EXPECT_THAT(text, HasSubstr("espalier_build_info"));
  EXPECT_THAT(text, Not(HasSubstr("espalier_view_version")));
}

datapath::SaCounters Reading(uint32_t peer, uint32_t spi, bool inbound, uint64_t packets) {
  datapath::SaCounters c;
  c.peer = peer;
  c.spi = spi;
  c.inbound = inbound;
  c.packets = packets;
  c.bytes = packets * 100;
  return c;
}

TEST(TrafficTotalsTest, OnlyGrows) {
  TrafficTotals totals;
  totals.Add({Reading(2, 10, true, 5), Reading(2, 11, false, 7), Reading(3, 10, true, 1)});
  totals.Add({Reading(2, 10, true, 6), Reading(2, 11, false, 7)});
  EXPECT_EQ(totals.all().in.packets, 7u);
  EXPECT_EQ(totals.all().out.bytes, 700u);
  totals.Add({});  // rekeyed: all SAs went
  totals.Add({Reading(2, 20, true, 1), Reading(2, 10, true, 2)});
  EXPECT_EQ(totals.by_peer().at(2).in.packets, 9u);
  totals.Add({Reading(2, 20, true, 0)});  // used again, from zero
  EXPECT_EQ(totals.by_peer().at(2).in.packets, 9u);
  totals.Forget(2);
  EXPECT_EQ(totals.by_peer().count(2), 0u);
  EXPECT_EQ(totals.all().in.packets, 10u);
}

TEST(MetricsDocTest, ThePageIsWhatTheCodeUses) {
  std::ifstream file(ESPALIER_METRICS_PAGE);
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), MetricsPage()) << "write it anew: bin/metrics_doc > docs/metrics.md";
}

}  // namespace
}  // namespace espalier::telemetry
