#include "agent/policy/view.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/policy/identity.h"
#include "common/ip.h"

namespace espalier::policy {
namespace {

absl::Status Bad(absl::string_view key, absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", field, ": ", why));
}

template <typename List>
absl::Status CheckPrefixes(absl::string_view key, absl::string_view field, const List& texts) {
  for (int i = 0; i < texts.size(); ++i) {
    auto prefix = IpPrefix::Parse(texts[i]);
    if (!prefix.ok()) return Bad(key, absl::StrCat(field, "[", i, "]"), prefix.status().message());
  }
  return absl::OkStatus();
}

template <typename List, typename Parse>
absl::Status CheckAddresses(absl::string_view key, absl::string_view field, const List& texts, Parse&& parse) {
  for (int i = 0; i < texts.size(); ++i) {
    auto address = parse(texts[i]);
    if (!address.ok()) return Bad(key, absl::StrCat(field, "[", i, "]"), address.status().message());
  }
  return absl::OkStatus();
}

absl::Status CheckLabelIdentity(absl::string_view key, absl::string_view field, uint32_t id) {
  if (id >= kFirstLabelIdentity && id < kFirstLocalIdentity) return absl::OkStatus();
  return Bad(key, field,
             absl::StrCat(id, " is not a label identity (", kFirstLabelIdentity, " to ", kFirstLocalIdentity - 1, ")"));
}

absl::Status CheckRule(absl::string_view key, absl::string_view at, const v1::Rule& rule) {
  if (rule.action() < v1::ACTION_BYPASS || rule.action() > v1::ACTION_DENY) {
    return Bad(key, absl::StrCat(at, ".action"), absl::StrCat(static_cast<int>(rule.action()), " is not an action"));
  }
  if (auto s = CheckPrefixes(key, absl::StrCat(at, ".peer_cidrs"), rule.peer_cidrs()); !s.ok()) return s;
  for (int i = 0; i < rule.ports_size(); ++i) {
    const v1::PortRange& p = rule.ports(i);
    const std::string field = absl::StrCat(at, ".ports[", i, "]");
    if (p.protocol() > 255) return Bad(key, field, absl::StrCat("protocol ", p.protocol(), " is above 255"));
    if (p.first() > p.last() || p.last() > 65535) {
      return Bad(key, field, absl::StrCat(p.first(), "-", p.last(), " is not a range of ports"));
    }
    if (p.protocol() == 0 && (p.first() != 0 || p.last() != 65535)) {
      return Bad(key, field, "ports of every protocol must be 0-65535: ports need a protocol");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPolicy(absl::string_view key, const v1::Policy& policy) {
  if (policy.name().empty()) return Bad(key, "name", "is empty");
  if (policy.stage() < v1::STAGE_UNSPECIFIED || policy.stage() > v1::STAGE_ENFORCE) {
    return Bad(key, "stage", absl::StrCat(static_cast<int>(policy.stage()), " is not a stage"));
  }
  for (int i = 0; i < policy.rules_size(); ++i) {
    if (auto s = CheckRule(key, absl::StrCat("rules[", i, "]"), policy.rules(i)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckNode(absl::string_view key, const v1::Node& node) {
  if (node.id() == 0) return Bad(key, "id", "0 is nobody's");
  if (node.name().empty()) return Bad(key, "name", "is empty");
  if (auto s = CheckAddresses(key, "addresses", node.addresses(), IpAddress::Parse); !s.ok()) return s;
  return CheckPrefixes(key, "pod_cidrs", node.pod_cidrs());
}

absl::Status CheckExemption(absl::string_view key, const v1::Exemption& e) {
  if (e.name().empty()) return Bad(key, "name", "is empty");
  if (e.protocol() > 255) return Bad(key, "protocol", absl::StrCat(e.protocol(), " is above 255"));
  if (e.port() > 65535) return Bad(key, "port", absl::StrCat(e.port(), " is above 65535"));
  return CheckPrefixes(key, "cidrs", e.cidrs());
}

absl::Status CheckMesh(absl::string_view key, const v1::Mesh& mesh) {
  if (auto s = CheckPrefixes(key, "mesh_cidrs", mesh.mesh_cidrs()); !s.ok()) return s;
  return CheckAddresses(key, "controller_addresses", mesh.controller_addresses(), ControllerAddress);
}

// Puts one resource into the view, or says what is wrong with it.
absl::Status Put(const v1::Resource& r, View* view) {
  const std::string key = ResourceKey(r);
  switch (r.kind_case()) {
    case v1::Resource::kNode:
      if (auto s = CheckNode(key, r.node()); !s.ok()) return s;
      view->nodes[r.node().id()] = r.node();
      return absl::OkStatus();
    case v1::Resource::kIdentity:
      if (auto s = CheckLabelIdentity(key, "id", r.identity().id()); !s.ok()) return s;
      view->identities[r.identity().id()] = r.identity();
      return absl::OkStatus();
    case v1::Resource::kAddress: {
      auto ip = IpAddress::Parse(r.address().ip());
      if (!ip.ok()) return Bad(key, "ip", ip.status().message());
      if (auto s = CheckLabelIdentity(key, "identity", r.address().identity()); !s.ok()) return s;
      if (r.address().node_id() == 0) return Bad(key, "node_id", "0 is nobody's");
      v1::Address& stored = view->addresses[ip->ToString()];
      stored = r.address();
      stored.set_ip(ip->ToString());
      return absl::OkStatus();
    }
    case v1::Resource::kPolicy:
      if (auto s = CheckPolicy(key, r.policy()); !s.ok()) return s;
      view->policies[r.policy().name()] = r.policy();
      return absl::OkStatus();
    case v1::Resource::kExemption:
      if (auto s = CheckExemption(key, r.exemption()); !s.ok()) return s;
      view->exemptions[r.exemption().name()] = r.exemption();
      return absl::OkStatus();
    case v1::Resource::kProfile:
      if (r.profile().name().empty()) return Bad(key, "name", "is empty");
      view->profiles[r.profile().name()] = r.profile();
      return absl::OkStatus();
    case v1::Resource::kMesh:
      if (auto s = CheckMesh(key, r.mesh()); !s.ok()) return s;
      view->mesh = r.mesh();
      return absl::OkStatus();
    case v1::Resource::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a resource of no kind that this agent knows");
}

void Remove(absl::string_view key, View* view) {
  if (key == "mesh") {
    view->mesh.Clear();
    return;
  }
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(key, absl::MaxSplits('/', 1));
  const std::string name(parts.second);
  uint32_t id = 0;
  if (parts.first == "address") {
    auto ip = IpAddress::Parse(name);
    if (ip.ok()) view->addresses.erase(ip->ToString());
  } else if (parts.first == "node") {
    if (absl::SimpleAtoi(name, &id)) view->nodes.erase(id);
  } else if (parts.first == "identity") {
    if (absl::SimpleAtoi(name, &id)) view->identities.erase(id);
  } else if (parts.first == "policy") {
    view->policies.erase(name);
  } else if (parts.first == "exemption") {
    view->exemptions.erase(name);
  } else if (parts.first == "profile") {
    view->profiles.erase(name);
  }
}

}  // namespace

std::string ResourceKey(const v1::Resource& r) {
  switch (r.kind_case()) {
    case v1::Resource::kNode:
      return absl::StrCat("node/", r.node().id());
    case v1::Resource::kIdentity:
      return absl::StrCat("identity/", r.identity().id());
    case v1::Resource::kAddress: {
      auto ip = IpAddress::Parse(r.address().ip());
      return absl::StrCat("address/", ip.ok() ? ip->ToString() : r.address().ip());
    }
    case v1::Resource::kPolicy:
      return absl::StrCat("policy/", r.policy().name());
    case v1::Resource::kExemption:
      return absl::StrCat("exemption/", r.exemption().name());
    case v1::Resource::kProfile:
      return absl::StrCat("profile/", r.profile().name());
    case v1::Resource::kMesh:
      return "mesh";
    case v1::Resource::KIND_NOT_SET:
      return "";
  }
  return "";
}

absl::StatusOr<IpAddress> ControllerAddress(absl::string_view text) {
  auto address = IpAddress::Parse(text);
  const size_t colon = text.rfind(':');
  if (address.ok() || colon == absl::string_view::npos) return address;
  absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return IpAddress::Parse(host);
}

absl::StatusOr<View> View::Apply(const v1::WatchResponse& delta) const {
  const bool nothing_yet = version == 0 && epoch.empty();
  if (!delta.full() && !nothing_yet) {
    if (delta.epoch() != epoch) {
      return absl::InvalidArgumentError(
          absl::StrCat("epoch: a delta of \"", delta.epoch(), "\" does not continue a view of \"", epoch, "\""));
    }
    if (delta.version() < version) {
      return absl::InvalidArgumentError(
          absl::StrCat("version: ", delta.version(), " is older than the view's, ", version));
    }
  }
  View next;
  if (!delta.full()) next = *this;
  next.epoch = delta.epoch();
  next.version = delta.version();
  for (const std::string& key : delta.removed()) Remove(key, &next);
  for (const v1::Resource& r : delta.changed()) {
    if (auto s = Put(r, &next); !s.ok()) return s;
  }
  return next;
}

const v1::Node* View::self() const {
  const auto it = nodes.find(mesh.self_node_id());
  return it == nodes.end() ? nullptr : &it->second;
}

}  // namespace espalier::policy
