#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  // gRPC's own words would only confuse: every failure is said in ours.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kError);
  absl::InitializeLog();
  return espalier::cli::Run(std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr);
}
