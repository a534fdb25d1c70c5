#include "agent/api/flow_ends.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace espalier::api {
namespace {

constexpr size_t kMaxText = 512;  // longer than any "namespace/pod:port"

absl::StatusOr<uint16_t> ParsePort(absl::string_view text) {
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text, &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("port \"", text, "\" is not a number from 1 to 65535"));
  }
  return static_cast<uint16_t>(port);
}

// Edits (insert, delete, replace) from a to b.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

// How far off a pod's name is from what was asked: the same name elsewhere first, then a part of it, then by edits.
size_t Farness(absl::string_view asked_namespace, absl::string_view asked, absl::string_view pod) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(pod, absl::MaxSplits('/', 1));
  const size_t elsewhere = parts.first == asked_namespace ? 0 : 1;
  if (parts.second == asked) return elsewhere;
  if (!asked.empty() && parts.second.find(asked) != absl::string_view::npos) return 2 + elsewhere;
  return 4 + elsewhere + 2 * Distance(asked, parts.second);
}

absl::Status NoSuchPod(const policy::View& view, absl::string_view name_space, absl::string_view name) {
  std::multimap<size_t, std::string> nearest;
  std::string last;
  for (const auto& [ip, address] : view.addresses) {
    if (address.pod().empty() || address.pod() == last) continue;
    last = address.pod();
    const size_t farness = Farness(name_space, name, last);
    if (farness > 4 + 2 * (1 + name.size() / 2)) continue;
    const auto [first, end] = nearest.equal_range(farness);
    if (std::any_of(first, end, [&](const auto& n) { return n.second == last; })) continue;
    nearest.emplace(farness, last);
    if (nearest.size() > 3) nearest.erase(std::prev(nearest.end()));
  }
  std::string message = absl::StrCat("no pod \"", name_space, "/", name, "\" in this node's view");
  if (!nearest.empty()) {
    absl::StrAppend(&message, "; nearest: ", absl::StrJoin(nearest, ", ", [](std::string* out, const auto& n) {
      out->append(n.second);
    }));
  } else {
    absl::StrAppend(&message, "; it may not be running, have no address yet, or use the host's network");
  }
  return absl::NotFoundError(message);
}

}  // namespace

absl::StatusOr<Target> FindTarget(const policy::View& view, absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("an empty name: give NAMESPACE/POD, POD or an IP address");
  if (text.size() > kMaxText) return absl::InvalidArgumentError("a name longer than any pod's");
  Target out;
  // What is before the port. A bare IPv6 address has colons of its own.
  absl::string_view name = text;
  auto address = IpAddress::Parse(text);
  if (!address.ok()) {
    const size_t colon = text.rfind(':');
    if (colon != absl::string_view::npos) {
      auto port = ParsePort(text.substr(colon + 1));
      if (!port.ok()) return port.status();
      out.port = *port;
      name = text.substr(0, colon);
    }
    if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
    address = IpAddress::Parse(name);
  }
  if (address.ok()) {
    out.addresses = {*address};
    const auto it = view.addresses.find(address->ToString());
    if (it != view.addresses.end()) out.pod = it->second.pod();
    return out;
  }
  std::pair<absl::string_view, absl::string_view> pod = absl::StrSplit(name, absl::MaxSplits('/', 1));
  if (name.find('/') == absl::string_view::npos) pod = {"default", name};
  if (pod.second.empty() || pod.second.find('/') != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is neither NAMESPACE/POD, POD nor an IP address"));
  }
  const std::string full = absl::StrCat(pod.first, "/", pod.second);
  for (const auto& [ip, a] : view.addresses) {
    if (a.pod() == full) out.addresses.push_back(*IpAddress::Parse(ip));
  }
  if (out.addresses.empty()) return NoSuchPod(view, pod.first, pod.second);
  std::sort(out.addresses.begin(), out.addresses.end());
  out.pod = full;
  return out;
}

absl::StatusOr<std::pair<IpAddress, IpAddress>> SameFamily(const Target& a, const Target& b) {
  for (const IpAddress& x : a.addresses) {
    for (const IpAddress& y : b.addresses) {
      if (x.is_v6() == y.is_v6()) return std::pair(x, y);
    }
  }
  return absl::InvalidArgumentError("the two have no address of the same family (IPv4, IPv6)");
}

}  // namespace espalier::api
