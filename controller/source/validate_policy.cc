#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/source/findings.h"
#include "controller/source/labels.h"
#include "controller/source/nearest.h"
#include "controller/source/syntax.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

const std::vector<std::string>& Actions() {
  static const auto* const kActions = new std::vector<std::string>{"Require", "Prefer", "Bypass", "Deny"};
  return *kActions;
}
const std::vector<std::string>& Operators() {
  static const auto* const kOperators = new std::vector<std::string>{"In", "NotIn", "Exists", "DoesNotExist"};
  return *kOperators;
}
const std::vector<std::string>& Protocols() {
  static const auto* const kProtocols = new std::vector<std::string>{"TCP", "UDP", "SCTP", "ICMP", "ICMPv6"};
  return *kProtocols;
}

bool IsOneOf(const std::string& text, const std::vector<std::string>& choices) {
  return std::find(choices.begin(), choices.end(), text) != choices.end();
}

constexpr char kLabelKeyRemedy[] =
    "write NAME or DOMAIN/NAME, the name of at most 63 letters, digits, '-', '_' and '.', a letter or digit at both "
    "ends";
constexpr char kLabelValueRemedy[] =
    "write at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends";

// Walks one policy and collects what is wrong.
class Checker : public Findings {
 public:
  using Findings::Findings;

  void Action(const std::string& field, const std::string& action) {
    if (!IsOneOf(action, Actions())) Add(field, action, "is not an action", WriteOneOf(action, Actions()));
  }

  void ServiceAccounts(const std::string& field, const google::protobuf::RepeatedPtrField<std::string>& names) {
    TooMany(field, names.size(), kMaxSelectorTerms);
    for (int i = 0; i < names.size(); ++i) {
      if (!IsDnsSubdomain(names[i])) {
        Add(absl::StrCat(field, "[", i, "]"), names[i], "is not the name of a service account",
            "write the name alone, without its namespace: lower-case letters, digits, '-' and '.'");
      }
    }
  }

  // `of_pods`: labels that differ from pod to pod cannot be selected by.
  void Selector(const std::string& field, const v1alpha1::LabelSelector& selector, bool of_pods) {
    TooMany(field, selector.match_labels_size() + selector.match_expressions_size(), kMaxSelectorTerms);
    const std::set<std::string> keys = [&selector] {
      std::set<std::string> sorted;
      for (const auto& [key, value] : selector.match_labels()) sorted.insert(key);
      return sorted;
    }();
    for (const std::string& key : keys) {
      const std::string at = absl::StrCat(field, ".matchLabels[", key, "]");
      Key(at, key, of_pods);
      LabelValue(at, selector.match_labels().at(key));
    }
    for (int i = 0; i < selector.match_expressions_size(); ++i) {
      const auto& term = selector.match_expressions(i);
      const std::string at = absl::StrCat(field, ".matchExpressions[", i, "]");
      Key(absl::StrCat(at, ".key"), term.key(), of_pods);
      if (!IsOneOf(term.operator_(), Operators())) {
        Add(absl::StrCat(at, ".operator"), term.operator_(), "is not an operator",
            WriteOneOf(term.operator_(), Operators()));
        continue;
      }
      const bool wants_values = term.operator_() == "In" || term.operator_() == "NotIn";
      if (wants_values && term.values_size() == 0) {
        Add(absl::StrCat(at, ".values"), "", absl::StrCat("is empty, but ", term.operator_(), " compares with values"),
            "give at least one value, or use Exists or DoesNotExist");
      }
      if (!wants_values && term.values_size() > 0) {
        Add(absl::StrCat(at, ".values"), absl::StrJoin(term.values(), ", "),
            absl::StrCat("cannot be given with ", term.operator_()), "remove the values, or use In or NotIn");
      }
      TooMany(absl::StrCat(at, ".values"), term.values_size(), kMaxSelectorTerms);
      for (int v = 0; v < term.values_size(); ++v) LabelValue(absl::StrCat(at, ".values[", v, "]"), term.values(v));
    }
  }

  void Peer(const std::string& field, const v1alpha1::Peer& peer) {
    const bool selects = peer.has_pod_selector() || peer.has_namespace_selector() || peer.service_accounts_size() > 0;
    if (selects && !peer.cidr().empty()) {
      Add(absl::StrCat(field, ".cidr"), peer.cidr(), "stands beside a selector, but a peer is one or the other",
          "make two peers of it");
    }
    if (!selects && peer.cidr().empty()) {
      Add(field, "", "selects nobody",
          "give podSelector, namespaceSelector or serviceAccounts, or a cidr; leave peers out for every pod");
    }
    if (peer.has_pod_selector()) Selector(absl::StrCat(field, ".podSelector"), peer.pod_selector(), true);
    if (peer.has_namespace_selector()) {
      Selector(absl::StrCat(field, ".namespaceSelector"), peer.namespace_selector(), false);
    }
    ServiceAccounts(absl::StrCat(field, ".serviceAccounts"), peer.service_accounts());
    if (!peer.cidr().empty()) Cidr(absl::StrCat(field, ".cidr"), peer.cidr());
  }

  void Port(const std::string& field, const v1alpha1::Port& port) {
    const std::string& protocol = port.protocol();
    if (!protocol.empty() && !IsOneOf(protocol, Protocols())) {
      Add(absl::StrCat(field, ".protocol"), protocol, "is not a protocol", WriteOneOf(protocol, Protocols()));
    }
    const bool icmp = protocol == "ICMP" || protocol == "ICMPv6";
    if (icmp && (port.has_port() || port.has_end_port())) {
      Add(absl::StrCat(field, ".port"), absl::StrCat(port.has_port() ? port.port() : port.end_port()),
          absl::StrCat(protocol, " has no ports"), "remove port and endPort");
      return;
    }
    if (port.has_port()) PortNumber(absl::StrCat(field, ".port"), port.port());
    if (!port.has_end_port()) return;
    PortNumber(absl::StrCat(field, ".endPort"), port.end_port());
    if (!port.has_port()) {
      Add(absl::StrCat(field, ".endPort"), absl::StrCat(port.end_port()), "is given without port",
          "give port, the first of the range");
    } else if (port.end_port() < port.port()) {
      Add(absl::StrCat(field, ".endPort"), absl::StrCat(port.end_port()), absl::StrCat("is below port ", port.port()),
          "write the range from its lower end to its upper end");
    }
  }

  void Rule(const std::string& field, const v1alpha1::Rule& rule) {
    if (rule.action().empty()) {
      Add(absl::StrCat(field, ".action"), "", "is missing",
          absl::StrCat("write one of ", absl::StrJoin(Actions(), ", ")));
    } else {
      Action(absl::StrCat(field, ".action"), rule.action());
    }
    TooMany(absl::StrCat(field, ".peers"), rule.peers_size(), kMaxPeersPerRule);
    for (int i = 0; i < rule.peers_size(); ++i) Peer(absl::StrCat(field, ".peers[", i, "]"), rule.peers(i));
    TooMany(absl::StrCat(field, ".ports"), rule.ports_size(), kMaxPortsPerRule);
    for (int i = 0; i < rule.ports_size(); ++i) Port(absl::StrCat(field, ".ports[", i, "]"), rule.ports(i));
  }

  void Spec(const v1alpha1::PolicySpec& spec, bool cluster) {
    if (spec.has_pod_selector()) Selector("spec.podSelector", spec.pod_selector(), true);
    if (spec.has_namespace_selector()) {
      if (cluster) {
        Selector("spec.namespaceSelector", spec.namespace_selector(), false);
      } else {
        Add("spec.namespaceSelector", "",
            "is only for a ClusterEncryptionPolicy: this policy is about its own namespace",
            "remove it, or make this a ClusterEncryptionPolicy");
      }
    }
    ServiceAccounts("spec.serviceAccounts", spec.service_accounts());
    if (!spec.action().empty()) {
      Action("spec.action", spec.action());
      if (spec.rules_size() > 0) {
        Add("spec.action", spec.action(), "has no effect beside rules",
            absl::StrCat("remove it, or add a last rule {action: ", spec.action(), "} for all other traffic"));
      }
    }
    TooMany("spec.rules", spec.rules_size(), kMaxRules);
    for (int i = 0; i < spec.rules_size(); ++i) Rule(absl::StrCat("spec.rules[", i, "]"), spec.rules(i));
    if (spec.has_priority()) {
      if (!cluster) {
        Add("spec.priority", absl::StrCat(spec.priority()), "is only for a ClusterEncryptionPolicy",
            "remove it: a namespaced policy has priority 0");
      } else if (spec.priority() < -1000 || spec.priority() > 1000) {
        Add("spec.priority", absl::StrCat(spec.priority()), "is out of range", "write a number from -1000 to 1000");
      }
    }
    if (!spec.profile().empty() && spec.profile() != "default") {
      Add("spec.profile", spec.profile(), "is not a profile that exists: there is only \"default\"",
          "remove it or write \"default\"");
    }
  }

 private:
  void TooMany(const std::string& field, int count, int limit) {
    if (count > limit) {
      Add(field, absl::StrCat(count, " entries"), absl::StrCat("has more than ", limit, " entries"),
          "split the policy in two");
    }
  }

  void Key(const std::string& field, const std::string& key, bool of_pods) {
    if (!IsLabelKey(key)) {
      Add(field, key, "is not a label's key", kLabelKeyRemedy);
    } else if (of_pods && IsPerPodLabel(key)) {
      Add(field, key, "is a label that differs from pod to pod, and policies cannot select by it",
          "select by a label that the pods of one workload share");
    }
  }

  void LabelValue(const std::string& field, const std::string& value) {
    if (!IsLabelValue(value)) Add(field, value, "is not a label's value", kLabelValueRemedy);
  }

  void PortNumber(const std::string& field, int port) {
    if (port < 1 || port > 65535) Add(field, absl::StrCat(port), "is not a port", "write a number from 1 to 65535");
  }

  void Cidr(const std::string& field, const std::string& cidr) {
    if (cidr.find('/') == std::string::npos) {
      const auto address = IpAddress::Parse(cidr);
      Add(field, cidr, "is not a CIDR",
          address.ok() ? absl::StrCat("write \"", cidr, "/", address->bits(), "\" for this address alone")
                       : "write ADDRESS/LENGTH, like \"10.0.0.0/8\" or \"fd00::/8\"");
      return;
    }
    if (IpPrefix::Parse(cidr).ok()) return;
    // Only the host bits wrong? Then say what it should be.
    const size_t slash = cidr.find('/');
    const auto address = IpAddress::Parse(cidr.substr(0, slash));
    const auto length = ParseDecimal(cidr.substr(slash + 1));
    if (address.ok() && length.has_value() && *length <= address->bits()) {
      Add(field, cidr, absl::StrCat("has bits set behind its first ", *length),
          absl::StrCat("write \"", IpPrefix(*address, static_cast<int>(*length)).ToString(), "\""));
    } else {
      Add(field, cidr, "is not a CIDR", "write ADDRESS/LENGTH, like \"10.0.0.0/8\" or \"fd00::/8\"");
    }
  }
};

template <typename Policy>
std::vector<Problem> ValidatePolicy(const Policy& policy, absl::string_view kind, bool cluster) {
  const auto& meta = policy.metadata();
  const std::string object =
      cluster ? absl::StrCat(kind, "/", meta.name()) : absl::StrCat(kind, "/", meta.namespace_(), "/", meta.name());
  std::vector<Problem> problems = ValidateName(object, cluster ? "" : meta.namespace_(), meta.name());
  Checker checker(object);
  if (!policy.has_spec()) {
    checker.Add("spec", "", "is missing",
                "write \"spec: {action: Require}\" to require encryption for all of its pods");
  } else {
    checker.Spec(policy.spec(), cluster);
  }
  const std::vector<Problem> more = checker.Take();
  problems.insert(problems.end(), more.begin(), more.end());
  return problems;
}

}  // namespace

std::vector<Problem> Validate(const v1alpha1::EncryptionPolicy& policy) {
  return ValidatePolicy(policy, "EncryptionPolicy", false);
}

std::vector<Problem> Validate(const v1alpha1::ClusterEncryptionPolicy& policy) {
  return ValidatePolicy(policy, "ClusterEncryptionPolicy", true);
}

std::vector<Problem> ValidateInMesh(const v1alpha1::PolicySpec& spec, absl::string_view object,
                                    const std::vector<IpPrefix>& mesh_cidrs) {
  Checker checker(object);
  if (mesh_cidrs.empty()) return {};
  for (int r = 0; r < spec.rules_size(); ++r) {
    const auto& rule = spec.rules(r);
    if (rule.action() != "Require") continue;
    for (int p = 0; p < rule.peers_size(); ++p) {
      const auto cidr = IpPrefix::Parse(rule.peers(p).cidr());
      if (rule.peers(p).cidr().empty() || !cidr.ok()) continue;
      const bool inside = std::any_of(mesh_cidrs.begin(), mesh_cidrs.end(),
                                      [&cidr](const IpPrefix& mesh) { return mesh.Contains(*cidr); });
      if (inside) continue;
      checker.Add(
          absl::StrCat("spec.rules[", r, "].peers[", p, "].cidr"), rule.peers(p).cidr(),
          "is required to be encrypted, but is not inside the mesh's pod networks: no tunnel leads there",
          absl::StrCat(
              "use action Prefer, Bypass or Deny for it, or a CIDR inside ",
              absl::StrJoin(mesh_cidrs.begin(), mesh_cidrs.begin() + std::min<size_t>(mesh_cidrs.size(), 4), ", ",
                            [](std::string* out, const IpPrefix& c) { absl::StrAppend(out, c.ToString()); }),
              "; gateways outside come with ExternalPeer"));
    }
  }
  return checker.Take();
}

std::vector<Problem> ValidateName(absl::string_view object, absl::string_view ns, absl::string_view name) {
  Checker checker(object);
  if (!IsDnsSubdomain(name)) {
    checker.Add("metadata.name", name, "is not a name", "write lower-case letters, digits, '-' and '.', at most 253");
  }
  if (!ns.empty() && !IsDnsLabel(ns)) {
    checker.Add("metadata.namespace", ns, "is not a namespace's name",
                "write lower-case letters, digits and '-', at most 63");
  }
  return checker.Take();
}

}  // namespace espalier::source
