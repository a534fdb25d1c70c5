// gRPC's own log lines, in our log.
#ifndef ESPALIER_COMMON_GRPC_LOG_H_
#define ESPALIER_COMMON_GRPC_LOG_H_

#include <grpc/support/log.h>

#include "absl/log/log.h"

namespace espalier {

// What gRPC reports about connections (refused handshakes, lost peers) is the peers' doing, not an error of ours: it is
// logged as information. Call it once at the start of main().
inline void RouteGrpcLog() {
  gpr_set_log_function(
      +[](gpr_log_func_args* args) { LOG(INFO).AtLocation(args->file, args->line) << "grpc: " << args->message; });
}

}  // namespace espalier

#endif  // ESPALIER_COMMON_GRPC_LOG_H_
