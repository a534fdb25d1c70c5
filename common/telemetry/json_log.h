// Logs as one JSON object a line:
//   {"time":"2026-03-01T10:00:00.123456Z","severity":"info","component":"agent","message":"peer established node=b",
//    "source":"engine_host.cc:83"}
#ifndef ESPALIER_COMMON_TELEMETRY_JSON_LOG_H_
#define ESPALIER_COMMON_TELEMETRY_JSON_LOG_H_

#include <string>

#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/strings/string_view.h"

namespace espalier::telemetry {

// Sends every absl LOG of the process to standard error as JSON, and only as that. Call it once, first thing in main().
// Time is UTC. Thread safe; a line is one write(2), so lines of several threads never mix.
void StartJsonLog(absl::string_view component);

// The sink itself, for tests and other destinations.
class JsonLogSink final : public absl::LogSink {
 public:
  // Writes to `fd`, which it doesn't own. A line that can't be written is lost: logging never blocks on a full disk
  // nor fails the program.
  JsonLogSink(absl::string_view component, int fd) : component_(component), fd_(fd) {}
  void Send(const absl::LogEntry& entry) override;

  // One line, with its newline.
  static std::string Line(const absl::LogEntry& entry, absl::string_view component);

 private:
  const std::string component_;
  const int fd_;
};

}  // namespace espalier::telemetry

#endif  // ESPALIER_COMMON_TELEMETRY_JSON_LOG_H_
