#include "controller/distribute/control_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>

#include "absl/strings/str_cat.h"

namespace espalier::distribute {
namespace {

constexpr int kMaxRequest = 64 * 1024;  // agents say little
constexpr unsigned kReloadSeconds = 1;

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Start(const std::string& listen,
                                                                    const ca::Authority& authority,
                                                                    grpc::Service* service) {
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      authority.server_path(), authority.server_path(), authority.bundle_path(), kReloadSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(provider);
  tls.watch_identity_key_cert_pairs();
  tls.watch_root_certs();
  tls.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);

  std::unique_ptr<ControlServer> out(new ControlServer);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen, grpc::experimental::TlsServerCredentials(tls), &out->port_);
  builder.SetMaxReceiveMessageSize(kMaxRequest);
  builder.SetMaxSendMessageSize(-1);
  // A dead agent is noticed by pings; a live one may ping us as often as control_client.cc does.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 4'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 8);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(service);
  out->server_ = builder.BuildAndStart();
  if (out->server_ == nullptr || out->port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", listen));
  }
  return out;
}

ControlServer::~ControlServer() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
}

}  // namespace espalier::distribute
