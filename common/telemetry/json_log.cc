#include "common/telemetry/json_log.h"

#include <unistd.h>

#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/telemetry/json_text.h"

namespace espalier::telemetry {
namespace {

absl::string_view SeverityName(absl::LogSeverity severity) {
  switch (severity) {
    case absl::LogSeverity::kInfo:
      return "info";
    case absl::LogSeverity::kWarning:
      return "warning";
    case absl::LogSeverity::kError:
      return "error";
    case absl::LogSeverity::kFatal:
      return "fatal";
  }
  return "error";
}

}  // namespace

std::string JsonLogSink::Line(const absl::LogEntry& entry, absl::string_view component) {
  std::string line =
      absl::StrCat("{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", entry.timestamp(), absl::UTCTimeZone()),
                   "\",\"severity\":\"", SeverityName(entry.log_severity()), "\",\"component\":");
  AppendJsonString(component, &line);
  line.append(",\"message\":");
  AppendJsonString(entry.text_message(), &line);
  line.append(",\"source\":");
  AppendJsonString(absl::StrCat(entry.source_basename(), ":", entry.source_line()), &line);
  line.append("}\n");
  return line;
}

void JsonLogSink::Send(const absl::LogEntry& entry) {
  const std::string line = Line(entry, component_);
  // A short write would only be finished by another one, which could mix with other lines.
  [[maybe_unused]] const ssize_t written = write(fd_, line.data(), line.size());
}

void StartJsonLog(absl::string_view component) {
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::InitializeLog();
  // Lives as long as the process: logging goes on in destructors of statics.
  static auto* const sink = new JsonLogSink(component, STDERR_FILENO);
  absl::AddLogSink(sink);
}

}  // namespace espalier::telemetry
