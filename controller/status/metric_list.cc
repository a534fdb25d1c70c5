#include "controller/status/metric_list.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace espalier::status {

std::string ControllerMetricsTable() {
  std::string out = "| metric | type | labels | meaning |\n|---|---|---|---|\n";
#define ESPALIER_ROW(constant, name, type, labels, help) \
  absl::StrAppend(&out, "| `", name, "` | ", absl::AsciiStrToLower(#type), " | ", labels, " | ", help, " |\n");
  ESPALIER_CONTROLLER_METRICS(ESPALIER_ROW)
#undef ESPALIER_ROW
  return out;
}

}  // namespace espalier::status
