// The controller's metrics for Prometheus.
#ifndef ESPALIER_CONTROLLER_STATUS_METRICS_H_
#define ESPALIER_CONTROLLER_STATUS_METRICS_H_

#include <prometheus/collectable.h>

#include <functional>
#include <vector>

#include "controller/status/snapshot.h"

namespace espalier::status {

// Makes them from a snapshot at each scrape: no counter is kept twice.
class Metrics final : public prometheus::Collectable {
 public:
  // `snapshot` is called from the scraping thread.
  explicit Metrics(std::function<Snapshot()> snapshot) : snapshot_(std::move(snapshot)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<Snapshot()> snapshot_;
};

}  // namespace espalier::status

#endif  // ESPALIER_CONTROLLER_STATUS_METRICS_H_
