// metrics_doc: prints docs/metrics.md.
#include <iostream>

#include "agent/telemetry/metrics_doc.h"

int main() { std::cout << espalier::telemetry::MetricsPage(); }
