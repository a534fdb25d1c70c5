#include "cli/controller_status.h"

#include <civetweb.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace espalier::cli {
namespace {

using Json = nlohmann::json;

constexpr int kTimeoutMs = 5000;
constexpr size_t kMaxBody = 64u << 20;

template <typename T>
void Get(const Json& object, const char* key, T* out) {
  const auto it = object.find(key);
  if (it == object.end()) return;
  if constexpr (std::is_same_v<T, std::string>) {
    if (it->is_string()) *out = it->get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (it->is_boolean()) *out = it->get<bool>();
  } else {
    if (it->is_number_unsigned() || it->is_number_integer()) *out = it->get<T>();
  }
}

template <typename F>
void ForEach(const Json& object, const char* key, F&& f) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array()) return;
  for (const Json& element : *it) {
    if (element.is_object()) f(element);
  }
}

struct Address {
  std::string host;
  int port = 0;
};

absl::StatusOr<Address> ParseUrl(absl::string_view url) {
  const std::string shown(url);
  absl::ConsumePrefix(&url, "http://");
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(url, absl::MaxSplits('/', 1));
  const absl::string_view authority = parts.first;
  const size_t colon = authority.rfind(':');
  Address out;
  if (colon == absl::string_view::npos || colon == 0 || !absl::SimpleAtoi(authority.substr(colon + 1), &out.port) ||
      out.port < 1 || out.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--controller \"", shown, "\": write it as http://ADDRESS:PORT, where PORT serves its metrics"));
  }
  absl::string_view host = authority.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  out.host = std::string(host);
  return out;
}

// Reads the body of an open connection.
absl::StatusOr<std::string> Body(mg_connection* connection) {
  std::string body;
  char buffer[16384];
  for (int n; (n = mg_read(connection, buffer, sizeof(buffer))) > 0;) {
    body.append(buffer, static_cast<size_t>(n));
    if (body.size() > kMaxBody) return absl::ResourceExhaustedError("the answer is too long");
  }
  return body;
}

absl::StatusOr<std::string> HttpGet(const Address& at, const std::string& path) {
  mg_init_library(MG_FEATURES_DEFAULT);
  char error[256] = "";
  mg_connection* connection = mg_connect_client(at.host.c_str(), at.port, 0, error, sizeof(error));
  if (connection == nullptr) return absl::UnavailableError(error);
  mg_printf(connection, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n", path.c_str(), at.host.c_str(),
            at.port);
  absl::StatusOr<std::string> body;
  if (mg_get_response(connection, error, sizeof(error), kTimeoutMs) < 0) {
    body = absl::UnavailableError(error);
  } else if (const int status = mg_get_response_info(connection)->status_code; status != 200) {
    body = absl::UnavailableError(absl::StrCat("it answered with HTTP status ", status));
  } else {
    body = Body(connection);
  }
  mg_close_connection(connection);
  return body;
}

}  // namespace

absl::StatusOr<ControllerStatus> ParseControllerStatus(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("the answer is no JSON object");
  ControllerStatus out;
  out.json = std::string(text);
  Get(json, "source", &out.source);
  Get(json, "state_error", &out.state_error);
  Get(json, "view_version", &out.view_version);
  ForEach(json, "nodes", [&](const Json& j) {
    ControllerStatus::Node& n = out.nodes.emplace_back();
    Get(j, "name", &n.name);
    Get(j, "nack", &n.nack);
    Get(j, "agent_version", &n.agent_version);
    Get(j, "connected", &n.connected);
    Get(j, "in_sync", &n.in_sync);
    Get(j, "version", &n.version);
    Get(j, "acked_version", &n.acked_version);
  });
  ForEach(json, "policies", [&](const Json& j) {
    ControllerStatus::Policy& p = out.policies.emplace_back();
    Get(j, "name", &p.name);
    Get(j, "stage", &p.stage);
    Get(j, "programmed_nodes", &p.programmed_nodes);
    Get(j, "desired_nodes", &p.desired_nodes);
    Get(j, "selected_pods", &p.selected_pods);
    ForEach(j, "conditions", [&](const Json& c) {
      ControllerStatus::Condition& condition = p.conditions.emplace_back();
      Get(c, "type", &condition.type);
      Get(c, "status", &condition.status);
      Get(c, "reason", &condition.reason);
      Get(c, "message", &condition.message);
    });
  });
  ForEach(json, "problems", [&](const Json& j) {
    ControllerStatus::Problem& p = out.problems.emplace_back();
    Get(j, "severity", &p.severity);
    Get(j, "text", &p.text);
    Get(j, "message", &p.message);
    Get(j, "remedy", &p.remedy);
  });
  return out;
}

absl::StatusOr<ControllerStatus> FetchControllerStatus(const std::string& url) {
  const auto address = ParseUrl(url);
  if (!address.ok()) return address.status();
  const auto body = HttpGet(*address, "/statusz");
  const auto status = body.ok() ? ParseControllerStatus(*body) : body.status();
  if (status.ok()) return status;
  return absl::UnavailableError(
      absl::StrCat("the controller at ", url, " could not be asked: ", status.status().message(),
                   "; is it running, and is this the address of its metrics (not of its agents' port)?"));
}

}  // namespace espalier::cli
