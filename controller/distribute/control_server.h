// The gRPC server with the controller's TLS settings.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVER_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "controller/ca/authority.h"

namespace espalier::distribute {

// Serves until destroyed. TLS follows the authority's server.pem and trust-bundle.pem on disk (looked at every second):
// a renewed certificate and new anchors hold for new handshakes, open streams go on. A client certificate is asked for
// and verified if it comes.
class ControlServer {
 public:
  // `listen` is "ADDRESS:PORT" (port 0: any). `authority` and `service` outlive the server.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(const std::string& listen, const ca::Authority& authority,
                                                              grpc::Service* service);
  ~ControlServer();

  int port() const { return port_; }

 private:
  ControlServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_CONTROL_SERVER_H_
