// A small HTTP server for what machines ask of a running process: /metrics, /healthz, /readyz and more paths by
// registration. GET and HEAD only.
#ifndef ESPALIER_COMMON_TELEMETRY_HTTP_SERVER_H_
#define ESPALIER_COMMON_TELEMETRY_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"

namespace prometheus {
class Collectable;
}

namespace espalier::telemetry {

struct HttpOptions {
  // Where it listens. Port 0: any free one (see port()).
  std::vector<Endpoint> listen;
  // What /metrics shows, in order (registries and own Collectables); kept alive by the server.
  std::vector<std::shared_ptr<prometheus::Collectable>> metrics;
  // Null or OK: 200 "ok". Otherwise 503 with the message. healthz: the process works (else it should be restarted);
  // readyz: it does its job.
  std::function<absl::Status()> healthy, ready;
  // More paths ("/statusz"), each giving a JSON text.
  struct Path {
    std::string path;
    std::function<std::string()> json;
  };
  std::vector<Path> paths;
};

// Threads: callbacks and Collectables are called on the server's own threads, two at most at once, so they must be
// thread safe, and should answer within a second. None is called any more once the destructor has returned.
class HttpServer {
 public:
  // Errors name the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options);
  virtual ~HttpServer() = default;
  // Of the first address.
  virtual uint16_t port() const = 0;
};

}  // namespace espalier::telemetry

#endif  // ESPALIER_COMMON_TELEMETRY_HTTP_SERVER_H_
