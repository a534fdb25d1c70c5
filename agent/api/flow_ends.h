// Who is meant by "namespace/pod", "pod" or an IP, optionally with a port.
#ifndef ESPALIER_AGENT_API_FLOW_ENDS_H_
#define ESPALIER_AGENT_API_FLOW_ENDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/policy/view.h"
#include "common/ip.h"

namespace espalier::api {

struct Target {
  std::string pod;  // "namespace/name"; empty: no pod that the view knows
  std::vector<IpAddress> addresses;
  std::optional<uint16_t> port;
};

// "db/postgres-0:5432", "web" (namespace default), "10.244.1.2:80", "fd00::1", "[fd00::1]:80".
// NotFound names the nearest pods, InvalidArgument what is wrong with the text.
absl::StatusOr<Target> FindTarget(const policy::View& view, absl::string_view text);

// One address of each, of the same family, IPv4 before IPv6.
absl::StatusOr<std::pair<IpAddress, IpAddress>> SameFamily(const Target& a, const Target& b);

}  // namespace espalier::api

#endif  // ESPALIER_AGENT_API_FLOW_ENDS_H_
