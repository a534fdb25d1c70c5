#include "common/telemetry/http_server.h"

#include <civetweb.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <chrono>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace espalier::telemetry {
namespace {

struct Response {
  int status = 200;
  const char* type = "text/plain; charset=utf-8";
  std::string body;
};

class CivetServerImpl final : public HttpServer {
 public:
  explicit CivetServerImpl(HttpOptions options) : options_(std::move(options)) {
    handlers_["/metrics"] = [this] { return Metrics(); };
    handlers_["/healthz"] = [this] { return Health(options_.healthy); };
    handlers_["/readyz"] = [this] { return Health(options_.ready); };
    for (const HttpOptions::Path& p : options_.paths) {
      handlers_[p.path] = [&p] { return Response{200, "application/json", p.json()}; };
    }
  }
  ~CivetServerImpl() override {
    if (context_ != nullptr) Stop();
    mg_exit_library();
  }

  absl::Status Listen();
  uint16_t port() const override { return port_; }

 private:
  // Waits for the threads. The one that listens looks only every 2 s whether it should end, unless somebody connects.
  void Stop() {
    std::atomic<bool> stopped = false;
    std::thread waker([&] {
      while (!stopped) {
        Connect();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    mg_stop(context_);
    stopped = true;
    waker.join();
  }
  void Connect() const {
    char error[64];
    const bool v6 = options_.listen.front().address.is_v6();
    std::string host = options_.listen.front().address.ToString();
    if (host == "0.0.0.0" || host == "::") host = v6 ? "::1" : "127.0.0.1";
    if (mg_connection* c = mg_connect_client(host.c_str(), port_, 0, error, sizeof(error))) mg_close_connection(c);
  }
  Response Metrics() const {
    std::vector<prometheus::MetricFamily> families;
    for (const auto& collectable : options_.metrics) {
      for (auto& family : collectable->Collect()) families.push_back(std::move(family));
    }
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families);
    return {200, "text/plain; version=0.0.4; charset=utf-8", out.str()};
  }
  static Response Health(const std::function<absl::Status()>& ask) {
    const absl::Status status = ask ? ask() : absl::OkStatus();
    if (status.ok()) return {200, "text/plain; charset=utf-8", "ok\n"};
    return {503, "text/plain; charset=utf-8", absl::StrCat(status.message(), "\n")};
  }

  // civetweb calls this for every request.
  static int OnRequest(mg_connection* connection) {
    const mg_request_info* request = mg_get_request_info(connection);
    const auto* self = static_cast<const CivetServerImpl*>(request->user_data);
    const std::string method = request->request_method;
    Response response;
    const auto handler = self->handlers_.find(request->local_uri);
    if (handler == self->handlers_.end()) {
      response = {404, "text/plain; charset=utf-8", "not found\n"};
    } else if (method != "GET" && method != "HEAD") {
      response = {405, "text/plain; charset=utf-8", "GET and HEAD only\n"};
    } else {
      response = handler->second();
    }
    const char* reason = mg_get_response_code_text(connection, response.status);
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
              "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
              response.status, reason, response.type, response.body.size());
    if (method != "HEAD") mg_write(connection, response.body.data(), response.body.size());
    return response.status;
  }
  static int OnLog(const mg_connection*, const char* message) {
    LOG_EVERY_N_SEC(WARNING, 60) << "http server: " << message;
    return 1;
  }

  const HttpOptions options_;
  std::map<std::string, std::function<Response()>> handlers_;
  mg_context* context_ = nullptr;
  uint16_t port_ = 0;
};

absl::Status CivetServerImpl::Listen() {
  mg_init_library(MG_FEATURES_DEFAULT);
  const std::string ports = absl::StrJoin(
      options_.listen, ",", [](std::string* out, const Endpoint& e) { absl::StrAppend(out, e.ToString()); });
  const char* settings[] = {
      "listening_ports",  ports.c_str(), "num_threads", "2", "request_timeout_ms", "5000", "enable_keep_alive", "no",
      "max_request_size", "8192",        nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &CivetServerImpl::OnRequest;
  callbacks.log_message = &CivetServerImpl::OnLog;
  char error[256] = "";
  mg_init_data init{.callbacks = &callbacks, .user_data = this, .configuration_options = settings};
  mg_error_data error_data{.text = error, .text_buffer_size = sizeof(error)};
  context_ = mg_start2(&init, &error_data);
  if (context_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("listen on ", ports, " (HTTP): ", error));
  }
  mg_server_port bound[1] = {};
  if (mg_get_server_ports(context_, 1, bound) >= 1) port_ = static_cast<uint16_t>(bound[0].port);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options) {
  if (options.listen.empty()) return absl::InvalidArgumentError("HTTP server: no address to listen on");
  auto server = std::make_unique<CivetServerImpl>(std::move(options));
  if (auto status = server->Listen(); !status.ok()) return status;
  return server;
}

}  // namespace espalier::telemetry
