// How a call goes: a thread of gRPC's takes it and posts a function to the control thread, which asks AgentState and
// leaves the answer in the call; the first thread waits for that, for the time limit, or for the end of the API.
#include "agent/api/agent_api.h"

#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "espalier/v1/agent.grpc.pb.h"

namespace espalier::api {
namespace {

absl::Status ErrnoError(absl::string_view operation, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(operation, " ", path));
}

template <typename T>
absl::StatusOr<T> AsStatusOr(T value) {
  return value;
}
template <typename T>
absl::StatusOr<T> AsStatusOr(absl::StatusOr<T> value) {
  return value;
}

// Is somebody listening at the path?
bool Answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool answers = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return answers;
}

// Shared with the functions that are posted, which may run when the API is gone.
struct Gate {
  absl::Mutex mutex;
  bool closed ABSL_GUARDED_BY(mutex) = false;
};

class Service final : public v1::Agent::Service {
 public:
  Service(const ApiOptions& options, AgentState* state)
      : post_(options.post), timeout_(options.timeout), state_(state), gate_(std::make_shared<Gate>()) {}

  void Close() {
    absl::MutexLock lock(&gate_->mutex);
    gate_->closed = true;
  }

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*, v1::StatusReport* out) override {
    return Ask(out, [](AgentState& s) { return s.Status(); });
  }
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::NodeList* out) override {
    return Ask(out, [](AgentState& s) { return s.Nodes(); });
  }
  grpc::Status ListPeers(grpc::ServerContext*, const v1::ListPeersRequest*, v1::PeerList* out) override {
    return Ask(out, [](AgentState& s) { return s.Peers(); });
  }
  grpc::Status ListSas(grpc::ServerContext*, const v1::ListSasRequest*, v1::SaList* out) override {
    return Ask(out, [](AgentState& s) { return s.Sas(); });
  }
  grpc::Status ListPolicies(grpc::ServerContext*, const v1::ListPoliciesRequest*, v1::PolicyList* out) override {
    return Ask(out, [](AgentState& s) { return s.Policies(); });
  }
  grpc::Status ListExemptions(grpc::ServerContext*, const v1::ListExemptionsRequest*, v1::ExemptionList* out) override {
    return Ask(out, [](AgentState& s) { return s.Exemptions(); });
  }
  grpc::Status Explain(grpc::ServerContext*, const v1::ExplainRequest* in, v1::Explanation* out) override {
    return Ask(out, [request = *in](AgentState& s) { return s.Explain(request); });
  }
  grpc::Status Rekey(grpc::ServerContext*, const v1::RekeyRequest* in, v1::RekeyResponse* out) override {
    return Ask(out, [request = *in](AgentState& s) { return s.Rekey(request); });
  }

 private:
  template <typename Out, typename F>
  grpc::Status Ask(Out* out, F ask) {
    struct Call {
      std::shared_ptr<Gate> gate;
      std::optional<absl::StatusOr<Out>> answer ABSL_GUARDED_BY(gate->mutex);
    };
    auto call = std::make_shared<Call>(Call{gate_, std::nullopt});
    post_([call, state = state_, ask = std::move(ask)] {
      {
        // The API ends on this same thread, so what is open here stays open until the function returns.
        absl::MutexLock lock(&call->gate->mutex);
        if (call->gate->closed) return;
      }
      absl::StatusOr<Out> answer = AsStatusOr(ask(*state));
      absl::MutexLock lock(&call->gate->mutex);
      call->answer = std::move(answer);
    });
    absl::MutexLock lock(&gate_->mutex);
    const auto done = [&call]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return call->answer || call->gate->closed; };
    if (!gate_->mutex.AwaitWithTimeout(absl::Condition(&done), timeout_)) {
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "the agent's control thread is busy"};
    }
    return Result(call->answer, out);
  }
  template <typename Out>
  static grpc::Status Result(std::optional<absl::StatusOr<Out>>& answer, Out* out) {
    if (!answer) return {grpc::StatusCode::UNAVAILABLE, "the agent is shutting down"};
    if (!answer->ok()) {
      return {static_cast<grpc::StatusCode>(answer->status().code()), std::string(answer->status().message())};
    }
    *out = *std::move(*answer);
    return grpc::Status::OK;
  }

  const std::function<void(std::function<void()>)> post_;
  const absl::Duration timeout_;
  AgentState* const state_;
  const std::shared_ptr<Gate> gate_;
};

class AgentApiImpl final : public AgentApi {
 public:
  AgentApiImpl(const ApiOptions& options, AgentState* state) : path_(options.socket_path), service_(options, state) {}
  ~AgentApiImpl() override {
    service_.Close();
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
    unlink(path_.c_str());
  }

  absl::Status Listen(const std::string& group_name) {
    gid_t group = 0;
    if (!group_name.empty()) {
      errno = 0;
      const struct group* g = getgrnam(group_name.c_str());
      if (g == nullptr) return absl::NotFoundError(absl::StrCat("API socket: no group \"", group_name, "\""));
      group = g->gr_gid;
    }
    if (path_.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(
          absl::StrCat("API socket: path of more than ", sizeof(sockaddr_un::sun_path) - 1, " octets: ", path_));
    }
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
    if (error) return absl::UnavailableError(absl::StrCat("make the folder of ", path_, ": ", error.message()));
    if (Answers(path_)) {
      return absl::AlreadyExistsError(absl::StrCat("API socket: another agent listens at ", path_));
    }
    if (unlink(path_.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove", path_);

    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("unix:", path_), grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.SetMaxReceiveMessageSize(64 * 1024);
    // The socket never exists with a mode that lets others in.
    const mode_t mask = umask(0177);
    server_ = builder.BuildAndStart();
    umask(mask);
    if (server_ == nullptr) return absl::UnavailableError(absl::StrCat("listen on ", path_, " failed"));
    if (group_name.empty()) return absl::OkStatus();
    if (chown(path_.c_str(), static_cast<uid_t>(-1), group) != 0) return ErrnoError("chown", path_);
    if (chmod(path_.c_str(), 0660) != 0) return ErrnoError("chmod", path_);
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AgentApi>> AgentApi::Start(ApiOptions options, AgentState* state) {
  auto api = std::make_unique<AgentApiImpl>(options, state);
  if (auto status = api->Listen(options.group); !status.ok()) return status;
  return api;
}

}  // namespace espalier::api
