#include "agent/api/explainer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/api/flow_ends.h"
#include "agent/policy/direct.h"
#include "agent/policy/identity.h"

namespace espalier::api {
namespace {

using policy::Verdict;

constexpr uint8_t kTcp = 6, kUdp = 17, kSctp = 132;

std::string ActionName(v1::Action action) {
  switch (action) {
    case v1::ACTION_BYPASS:
      return "Bypass";
    case v1::ACTION_PREFER:
      return "Prefer";
    case v1::ACTION_REQUIRE:
      return "Require";
    case v1::ACTION_DENY:
      return "Deny";
    default:
      return "";
  }
}

std::string StageName(v1::Stage stage) { return stage == v1::STAGE_SEND ? "Send" : "Enforced"; }

// One explanation in the making.
class Explaining {
 public:
  Explaining(const ExplainInput& input, v1::Explanation* out) : in_(input), view_(*input.view), out_(*out) {}

  absl::Status Run(const v1::ExplainRequest& request) {
    if (auto s = FindFlow(request); !s.ok()) return s;
    if (auto s = Decide(); !s.ok()) return s;
    DescribeEnds();
    NamePolicies();
    if (d_.verdict == Verdict::kPass) {
      ExplainPass();
    } else if (d_.verdict == Verdict::kDeny) {
      out_.set_verdict("denied");
      out_.set_reason(absl::StrCat("Dropped: ", Because(), "."));
    } else {
      ExplainEncryption();
    }
    if (!here_) {
      absl::StrAppend(out_.mutable_reason(), " Neither end is on this node: this is what node ", source_node_,
                      " does by the policies known here; its tunnels and counters are shown there.");
    }
    return absl::OkStatus();
  }

 private:
  absl::Status FindFlow(const v1::ExplainRequest& request) {
    if (request.protocol() > 255) {
      return absl::InvalidArgumentError(absl::StrCat("protocol ", request.protocol(), " is above 255"));
    }
    flow_.protocol = request.protocol() == 0 ? kTcp : static_cast<uint8_t>(request.protocol());
    auto source = FindTarget(view_, request.source());
    if (!source.ok()) return source.status();
    auto destination = FindTarget(view_, request.destination());
    if (!destination.ok()) return destination.status();
    const bool has_ports = flow_.protocol == kTcp || flow_.protocol == kUdp || flow_.protocol == kSctp;
    if (!has_ports && (destination->port || source->port)) {
      return absl::InvalidArgumentError(
          absl::StrCat("protocol ", static_cast<int>(flow_.protocol), " has no ports: leave the port out"));
    }
    auto pair = SameFamily(*source, *destination);
    if (!pair.ok()) return pair.status();
    flow_.source = pair->first;
    flow_.destination = pair->second;
    flow_.source_port = source->port.value_or(0);
    flow_.destination_port = destination->port.value_or(0);
    source_pod_ = source->pod;
    destination_pod_ = destination->pod;
    return absl::OkStatus();
  }

  // By the snapshot in force where an end is here; else by the one that the source's node makes of the same view.
  absl::Status Decide() {
    snapshot_ = in_.snapshot;
    d_ = snapshot_->Decide(flow_);
    const uint32_t self = view_.mesh.self_node_id();
    here_ = d_.source.node_id == self || d_.destination.node_id == self ||
            (d_.source.node_id == 0 && d_.destination.node_id == 0);
    if (!here_) {
      policy::View elsewhere = view_;
      elsewhere.mesh.set_self_node_id(d_.source.node_id != 0 ? d_.source.node_id : d_.destination.node_id);
      auto snapshot = policy::Snapshot::Build(elsewhere);
      if (!snapshot.ok()) return snapshot.status();
      snapshot_ = *std::move(snapshot);
      d_ = snapshot_->Decide(flow_);
      source_node_ = NodeName(elsewhere.mesh.self_node_id());
    }
    source_identity_ = snapshot_->BaseIdentity(d_.source.identity);
    destination_identity_ = snapshot_->BaseIdentity(d_.destination.identity);
    peer_id_ = d_.destination.node_id != snapshot_self() ? d_.destination.node_id : d_.source.node_id;
    return absl::OkStatus();
  }
  uint32_t snapshot_self() const {
    if (here_) return view_.mesh.self_node_id();
    return d_.source.node_id != 0 ? d_.source.node_id : d_.destination.node_id;
  }

  std::string NodeName(uint32_t id) const {
    const auto it = view_.nodes.find(id);
    if (it != view_.nodes.end()) return it->second.name();
    return id == 0 ? "" : absl::StrCat("#", id);
  }

  std::string EndName(const std::string& pod, const IpAddress& address, uint32_t identity, uint32_t node) const {
    const std::string ip = address.ToString();
    if (!pod.empty()) return absl::StrCat(pod, " (", ip, ")");
    switch (identity) {
      case policy::kHost:
      case policy::kRemoteNode:
        return absl::StrCat(ip, " (node ", NodeName(node), ")");
      case policy::kController:
        return absl::StrCat(ip, " (controller)");
      case policy::kUnknown:
        return node == 0 ? absl::StrCat(ip, " (no known pod)")
                         : absl::StrCat(ip, " (no known pod, in the pod CIDR of ", NodeName(node), ")");
      default:
        return absl::StrCat(ip, identity >= policy::kFirstLabelIdentity ? " (pod)" : " (outside the mesh)");
    }
  }

  void DescribeEnds() {
    out_.set_source(EndName(source_pod_, flow_.source, source_identity_, d_.source.node_id));
    out_.set_source_node(NodeName(d_.source.node_id));
    out_.set_source_identity(source_identity_);
    out_.set_destination(EndName(destination_pod_, flow_.destination, destination_identity_, d_.destination.node_id));
    out_.set_destination_node(NodeName(d_.destination.node_id));
    out_.set_destination_identity(destination_identity_);
    out_.set_protocol(flow_.protocol);
    out_.set_port(flow_.destination_port);
    out_.set_rule(-1);
  }

  // The policy that gave the answer, and those that match too.
  void NamePolicies() {
    const policy::Origin* origin = d_.origin >= 0 ? &snapshot_->origins()[d_.origin] : nullptr;
    if (origin != nullptr && origin->rule < 0) {
      out_.set_exemption(std::string(absl::StripPrefix(origin->policy, "Exemption/")));
    } else if (origin != nullptr) {
      const v1::Policy& policy = view_.policies.at(origin->policy);
      out_.set_policy(origin->policy);
      out_.set_rule(origin->rule);
      out_.set_stage(StageName(policy.stage()));
      out_.set_action(ActionName(policy.rules(origin->rule).action()));
    }
    const policy::End client{source_identity_, flow_.source}, server{destination_identity_, flow_.destination};
    auto matches = policy::MatchingPolicies(view_, client, server, flow_.protocol, flow_.destination_port);
    if (flow_.source_port != 0) {
      for (auto& m : policy::MatchingPolicies(view_, server, client, flow_.protocol, flow_.source_port)) {
        matches.push_back(std::move(m));
      }
    }
    std::vector<std::string> named;
    for (const policy::Match& m : matches) {
      if (origin != nullptr && m.policy == origin->policy) continue;
      if (std::find(named.begin(), named.end(), m.policy) != named.end()) continue;
      named.push_back(m.policy);
      out_.add_also_matching(absl::StrCat(m.policy, " rule ", m.rule, " (", ActionName(m.action),
                                          m.priority == 0 ? "" : absl::StrCat(", priority ", m.priority), ")"));
    }
  }

  // "rule 1 of EncryptionPolicy/shop/db says Require"
  std::string Because() const {
    return absl::StrCat("rule ", out_.rule(), " of ", out_.policy(), " says ", out_.action());
  }

  // An exemption that covers the end which is no pod. Where no policy could match, the snapshot has no row for it.
  const v1::Exemption* Exemption() const {
    const auto covers = [this](const v1::Exemption& x, const IpAddress& address, uint32_t identity, uint16_t port) {
      if (policy::InMesh(identity)) return false;
      if (x.protocol() != 0 && x.protocol() != flow_.protocol) return false;
      if (x.port() != 0 && x.port() != port) return false;
      return x.cidrs().empty() || std::any_of(x.cidrs().begin(), x.cidrs().end(), [&](const std::string& text) {
               const auto prefix = IpPrefix::Parse(text);
               return prefix.ok() && prefix->Contains(address);
             });
    };
    for (const auto& [name, x] : view_.exemptions) {
      if (covers(x, flow_.destination, destination_identity_, flow_.destination_port) ||
          covers(x, flow_.source, source_identity_, flow_.source_port)) {
        return &x;
      }
    }
    return nullptr;
  }

  void ExplainPass() {
    const bool source_is_pod = policy::InMesh(source_identity_);
    const bool destination_is_pod = policy::InMesh(destination_identity_);
    if (d_.source.node_id != 0 && d_.source.node_id == d_.destination.node_id) {
      out_.set_verdict("same-node");
      out_.set_reason(absl::StrCat("Both ends are on node ", out_.source_node(),
                                   ": the traffic never leaves it, so Espalier leaves it alone."));
      return;
    }
    if (out_.exemption().empty() && out_.policy().empty()) {
      if (const v1::Exemption* x = Exemption(); x != nullptr) out_.set_exemption(x->name());
    }
    if (!out_.exemption().empty()) {
      const auto it = view_.exemptions.find(out_.exemption());
      const std::string what = it == view_.exemptions.end() ? "" : it->second.description();
      out_.set_verdict("exempt");
      out_.set_reason(absl::StrCat("Never steered or refused: exemption ", out_.exemption(),
                                   what.empty() ? "" : absl::StrCat(" (", what, ")"), "."));
      return;
    }
    out_.set_verdict("plaintext");
    if (!out_.policy().empty()) {
      const bool pending = out_.action() == "Deny";
      out_.set_reason(absl::StrCat("In the clear: ", Because(),
                                   pending ? ", but it is not in force yet: the policy is in its stage Send." : "."));
    } else if (!source_is_pod && !destination_is_pod) {
      out_.set_reason("In the clear: neither end is a pod of the mesh.");
    } else {
      out_.set_reason("In the clear: no policy selects this flow.");
    }
  }

  void ExplainEncryption() {
    const bool prefer = d_.verdict == Verdict::kPrefer;
    const std::string node = NodeName(peer_id_);
    std::string why = out_.policy().empty() ? "" : Because();
    if (d_.destination.node_id == 0 || d_.source.node_id == 0) {
      const bool unknown = d_.destination.node_id == 0 ? destination_identity_ == policy::kUnknown
                                                       : source_identity_ == policy::kUnknown;
      const std::string& end = d_.destination.node_id == 0 ? out_.destination() : out_.source();
      out_.set_verdict(prefer ? "plaintext" : "dropped");
      out_.set_reason(absl::StrCat(prefer ? "In the clear: " : "Dropped: ", why, ", but ", end,
                                   unknown ? " is inside the mesh's CIDRs and belongs to no node that is known."
                                           : " is behind no node of the mesh, so there is no tunnel to it."));
      return;
    }
    std::optional<v1::PeerInfo> peer;
    if (here_ && in_.peer) peer = in_.peer(peer_id_);
    if (here_ && in_.sas) {
      for (v1::SaInfo& sa : in_.sas(peer_id_)) {
        auto& counters = *out_.mutable_counters();
        counters[absl::StrCat("sa_", sa.direction(), "_packets")] += sa.packets();
        counters[absl::StrCat("sa_", sa.direction(), "_bytes")] += sa.bytes();
        for (const auto& [cause, count] : sa.errors()) counters[absl::StrCat("drop_", cause)] += count;
        *out_.add_sas() = std::move(sa);
      }
    }
    if (peer) *out_.mutable_peer() = *peer;
    const bool up =
        std::any_of(out_.sas().begin(), out_.sas().end(), [](const v1::SaInfo& sa) { return sa.direction() == "out"; });
    if (prefer && here_ && !up) {
      out_.set_verdict("plaintext");
      out_.set_reason(absl::StrCat("In the clear for now: ", why, ", and the tunnel to ", node, " is not up."));
      return;
    }
    out_.set_verdict("encrypted");
    std::string reason = absl::StrCat("In ESP to node ", node, ": ", why, ".");
    if (d_.verdict == Verdict::kSend) {
      absl::StrAppend(&reason, " The policy is in its stage Send: plaintext is still accepted.");
    }
    if (source_identity_ == policy::kUnknown || destination_identity_ == policy::kUnknown) {
      absl::StrAppend(
          &reason, " No pod is known at ",
          destination_identity_ == policy::kUnknown ? flow_.destination.ToString() : flow_.source.ToString(),
          ", so it is treated as strictly as any pod could be.");
    }
    if (here_ && !up) {
      const bool failed = peer && peer->state() == "failed";
      absl::StrAppend(&reason, " The tunnel is not up",
                      failed ? absl::StrCat(" (", peer->last_error(), ")") : " yet; the first packet starts it",
                      ": packets are held for a second, then dropped.");
    }
    out_.set_reason(std::move(reason));
  }

  const ExplainInput& in_;
  const policy::View& view_;
  v1::Explanation& out_;
  std::shared_ptr<const policy::Snapshot> snapshot_;
  policy::Flow flow_;
  policy::Decision d_;
  std::string source_pod_, destination_pod_, source_node_;
  uint32_t source_identity_ = 0, destination_identity_ = 0, peer_id_ = 0;
  bool here_ = true;
};

}  // namespace

absl::StatusOr<v1::Explanation> ExplainFlow(const ExplainInput& input, const v1::ExplainRequest& request) {
  if (input.view == nullptr || input.snapshot == nullptr) {
    return absl::FailedPreconditionError(
        "this node has no view yet: it never reached its controller; see `espalierctl status`");
  }
  v1::Explanation out;
  if (auto s = Explaining(input, &out).Run(request); !s.ok()) return s;
  return out;
}

}  // namespace espalier::api
