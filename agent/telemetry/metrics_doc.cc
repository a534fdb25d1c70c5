#include "agent/telemetry/metrics_doc.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "agent/datapath/datapath.h"
#include "agent/ike/sa/counters.h"
#include "agent/telemetry/metrics_list.h"
#include "bpf/espalier_shared.h"
#include "controller/status/metric_list.h"

namespace espalier::telemetry {
namespace {

constexpr char kHead[] = R"(# Metrics

<!-- Written by `metrics_doc` from the lists that the code uses; a test compares the two. Don't edit: change the list. -->

Every agent and every controller serves Prometheus' text format at `/metrics`. Names start with `espalier_`; units are
base units (seconds, octets); times are Unix times. Counters begin at zero when a process starts, but those of the
steering, which live in the kernel as long as its maps do and outlast the agent.

)";

constexpr char kPeers[] = R"(
`peer` is a node's name and `direction` is `in` or `out`. A node that leaves the view takes its series with it.
A tunnel exists only where traffic flows: `espalier_peer_up` of 0 is in order while the peer's state is `none`
(nobody wanted a tunnel), and worth an alert while it is `failed`.

)";

void Row(absl::string_view name, absl::string_view type, absl::string_view labels, absl::string_view help,
         std::string* out) {
  const std::string shown = labels.empty() ? "" : absl::StrCat("`", absl::StrReplaceAll(labels, {{",", "`, `"}}), "`");
  absl::StrAppend(out, "| `", name, "` | ", absl::AsciiStrToLower(type), " | ", shown, " | ", help, " |\n");
}

void ListHead(absl::string_view label, std::string* out) {
  absl::StrAppend(out, "| ", label, " | meaning |\n|---|---|\n");
}

void ListRow(absl::string_view value, absl::string_view help, std::string* out) {
  absl::StrAppend(out, "| `", value, "` | ", help, " |\n");
}

}  // namespace

std::string MetricsPage() {
  std::string out = kHead;
  absl::StrAppend(&out, "## Agent\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
#define X(symbol, name, type, labels, help) Row(name, #type, labels, help, &out);
  ESPALIER_AGENT_METRICS(X)
#undef X
  out += kPeers;
  absl::StrAppend(&out, "### `espalier_datapath_drops_total`\n\n");
  ListHead("reason", &out);
#define X(symbol, number, text, help) ListRow(text, help, &out);
  ESPALIER_DATAPATH_DROPS(X)
#undef X
  absl::StrAppend(&out, "\n### `espalier_steering_packets_total`, `espalier_steering_bytes_total`\n\n");
  ListHead("outcome", &out);
#define X(symbol, number, text, help) ListRow(text, help, &out);
  ESPALIER_COUNTERS(X)
#undef X
  absl::StrAppend(&out, "\n### `espalier_ike_events_total`\n\n");
  ListHead("event", &out);
#define X(symbol, text, help) ListRow(text, help, &out);
  ESPALIER_IKE_COUNTERS(X)
#undef X
  absl::StrAppend(&out, "\n## Controller\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
#define X(symbol, name, type, labels, help) Row(name, #type, labels, help, &out);
  ESPALIER_CONTROLLER_METRICS(X)
#undef X
  return out;
}

}  // namespace espalier::telemetry
