// What the control thread lets others see of itself.
#ifndef ESPALIER_CONTROLLER_STATUS_SNAPSHOT_H_
#define ESPALIER_CONTROLLER_STATUS_SNAPSHOT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "controller/compile/status.h"
#include "controller/distribute/distributor.h"
#include "controller/source/problem.h"

namespace espalier::status {

// A value, made anew when something changed.
struct Snapshot {
  std::string source;  // its name
  std::string trust_domain;
  std::string epoch;
  absl::Time started_at;
  uint64_t view_version = 0;
  std::map<std::string, uint64_t> objects;  // in force, by kind
  std::vector<compile::PolicyReport> policies;
  std::vector<source::Problem> problems;  // of the source, then of the compile
  std::vector<distribute::NodeReport> nodes;
  distribute::DistributorCounters distribution;
  std::map<std::string, uint64_t> enrolments;       // by result
  std::map<std::string, uint64_t> streams_refused;  // by code
  uint64_t compiles = 0;
  double compile_seconds = 0;  // all compiles
  double last_compile_seconds = 0;
  uint64_t state_errors = 0;  // failed writes to the state folder
  std::string state_error;    // the last, until one succeeds

  absl::Time ca_not_after, server_not_after;
  uint64_t anchors = 0;
  std::vector<std::string> revoked;
  uint64_t certificates_issued = 0;
};

}  // namespace espalier::status

#endif  // ESPALIER_CONTROLLER_STATUS_SNAPSHOT_H_
