// docs/metrics.md, written from the lists that the code uses.
#ifndef ESPALIER_AGENT_TELEMETRY_METRICS_DOC_H_
#define ESPALIER_AGENT_TELEMETRY_METRICS_DOC_H_

#include <string>

namespace espalier::telemetry {

// The whole page.
std::string MetricsPage();

}  // namespace espalier::telemetry

#endif  // ESPALIER_AGENT_TELEMETRY_METRICS_DOC_H_
