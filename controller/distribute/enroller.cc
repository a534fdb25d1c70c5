#include "controller/distribute/enroller.h"

#include <utility>

#include "absl/log/log.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace espalier::distribute {
namespace {

ByteSpan Octets(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

}  // namespace

Enroller::Enroller(ca::Authority* authority, FindNode find_node)
    : authority_(authority), find_node_(std::move(find_node)), tokens_(authority->options().state_dir) {}

absl::StatusOr<v1::EnrollResponse> Enroller::Decide(const v1::EnrollRequest& request,
                                                    const absl::StatusOr<x509::NodeProof>& peer, absl::Time now) {
  const bool by_token = !request.join_token().empty();
  if (by_token) {
    if (absl::Status s = tokens_.Check(request.join_token(), request.node_name(), now); !s.ok()) return s;
  } else if (!peer.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat("neither a join token nor a valid client certificate: ", peer.status().message()));
  }
  absl::StatusOr<compile::MeshNode> node = find_node_(request.node_name());
  if (!node.ok()) return absl::PermissionDeniedError("the node does not exist: its Node object comes first");
  if (!by_token && node->uid != peer->uid) {
    return absl::PermissionDeniedError("the client certificate is another node's");
  }
  // The token is claimed last, so that a request that fails for another reason leaves it valid.
  absl::StatusOr<ca::IssuedCertificate> issued =
      authority_->IssueNode(Octets(request.csr_der()), node->uid, node->name, now);
  if (!issued.ok()) return issued.status();
  if (by_token) {
    if (absl::Status s = tokens_.Claim(request.join_token(), request.node_name(), now); !s.ok()) return s;
  }
  v1::EnrollResponse response;
  response.set_certificate_chain_pem(issued->chain_pem);
  response.set_trust_bundle_pem(authority_->bundle_pem());
  response.set_node_uid(node->uid);
  response.set_spiffe_id(issued->spiffe_id);
  LOG(INFO) << "certificate issued"
            << " node=" << node->name << " serial=" << issued->serial << " by=" << (by_token ? "token" : "certificate")
            << " not_after=" << absl::FormatTime(issued->not_after, absl::UTCTimeZone());
  return response;
}

absl::StatusOr<v1::EnrollResponse> Enroller::Enroll(const v1::EnrollRequest& request,
                                                    const absl::StatusOr<x509::NodeProof>& peer, absl::Time now) {
  absl::StatusOr<v1::EnrollResponse> response = Decide(request, peer, now);
  std::string result = request.join_token().empty() ? "renewed" : "issued";
  if (!response.ok()) result = absl::AsciiStrToLower(absl::StatusCodeToString(response.status().code()));
  absl::MutexLock lock(&mutex_);
  ++counters_[result];
  return response;
}

std::map<std::string, uint64_t> Enroller::counters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

}  // namespace espalier::distribute
