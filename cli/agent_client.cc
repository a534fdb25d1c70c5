#include "cli/agent_client.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace espalier::cli {
namespace {

constexpr auto kTimeout = std::chrono::seconds(10);

// gRPC hides why a socket can't be reached, so it is tried first.
absl::Status Reachable(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("--socket \"", path, "\" is no path of a socket"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = result == 0 ? 0 : errno;
  close(fd);
  switch (error) {
    case 0:
      return absl::OkStatus();
    case ENOENT:
    case ENOTDIR:
      return absl::UnavailableError(absl::StrCat(
          "no agent on this node: there is no socket ", path,
          "\nIs espalier-agent running here? Another path is given with --socket or ESPALIER_AGENT_SOCKET."));
    case EACCES:
      return absl::UnavailableError(absl::StrCat("not allowed to use ", path,
                                                 "\nRun espalierctl as root, or as a member of the socket's group."));
    case ECONNREFUSED:
      return absl::UnavailableError(
          absl::StrCat("the agent is not running: nobody listens at ", path,
                       "\nIts log says why it ended. Traffic stays under the last policy meanwhile: nothing leaks."));
    default:
      return absl::UnavailableError(absl::StrCat("connect ", path, ": ", std::strerror(error)));
  }
}

absl::Status AsStatus(const grpc::Status& s) {
  if (s.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(s.error_code()), s.error_message());
}

template <typename Response, typename Request, typename Method>
absl::StatusOr<Response> Call(v1::Agent::Stub* stub, Method method, const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  Response response;
  if (auto s = AsStatus((stub->*method)(&context, request, &response)); !s.ok()) return s;
  return response;
}

}  // namespace

absl::StatusOr<AgentClient> AgentClient::Connect(const std::string& path) {
  if (auto s = Reachable(path); !s.ok()) return s;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(256 << 20);
  return AgentClient(v1::Agent::NewStub(
      grpc::CreateCustomChannel(absl::StrCat("unix:", path), grpc::InsecureChannelCredentials(), arguments)));
}

absl::StatusOr<v1::StatusReport> AgentClient::Status() {
  return Call<v1::StatusReport>(stub_.get(), &v1::Agent::Stub::GetStatus, v1::GetStatusRequest());
}
absl::StatusOr<v1::NodeList> AgentClient::Nodes() {
  return Call<v1::NodeList>(stub_.get(), &v1::Agent::Stub::ListNodes, v1::ListNodesRequest());
}
absl::StatusOr<v1::PeerList> AgentClient::Peers() {
  return Call<v1::PeerList>(stub_.get(), &v1::Agent::Stub::ListPeers, v1::ListPeersRequest());
}
absl::StatusOr<v1::SaList> AgentClient::Sas() {
  return Call<v1::SaList>(stub_.get(), &v1::Agent::Stub::ListSas, v1::ListSasRequest());
}
absl::StatusOr<v1::PolicyList> AgentClient::Policies() {
  return Call<v1::PolicyList>(stub_.get(), &v1::Agent::Stub::ListPolicies, v1::ListPoliciesRequest());
}
absl::StatusOr<v1::ExemptionList> AgentClient::Exemptions() {
  return Call<v1::ExemptionList>(stub_.get(), &v1::Agent::Stub::ListExemptions, v1::ListExemptionsRequest());
}
absl::StatusOr<v1::Explanation> AgentClient::Explain(const v1::ExplainRequest& request) {
  return Call<v1::Explanation>(stub_.get(), &v1::Agent::Stub::Explain, request);
}
absl::StatusOr<v1::RekeyResponse> AgentClient::Rekey(const v1::RekeyRequest& request) {
  return Call<v1::RekeyResponse>(stub_.get(), &v1::Agent::Stub::Rekey, request);
}

}  // namespace espalier::cli
