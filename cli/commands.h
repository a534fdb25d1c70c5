// espalierctl, without its main().
#ifndef ESPALIER_CLI_COMMANDS_H_
#define ESPALIER_CLI_COMMANDS_H_

#include <iosfwd>
#include <string>
#include <vector>

namespace espalier::cli {

// What the program returns.
inline constexpr int kOk = 0;
inline constexpr int kUnhealthy = 1;    // refused, not found, or `status` reports an error
inline constexpr int kUsage = 2;        // the command line, or what it names, can't be understood
inline constexpr int kUnreachable = 3;  // no agent answers

// Runs one command line (without the program's name).
int Run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace espalier::cli

#endif  // ESPALIER_CLI_COMMANDS_H_
