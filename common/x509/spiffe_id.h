// SPIFFE ids of nodes: spiffe://TRUST-DOMAIN/node/UID.
#ifndef ESPALIER_COMMON_X509_SPIFFE_ID_H_
#define ESPALIER_COMMON_X509_SPIFFE_ID_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace espalier::x509 {

struct SpiffeId {
  std::string trust_domain;
  std::string path;  // with its leading slash

  // Strict (SPIFFE-ID section 2): lower-case scheme, a trust domain of a-z 0-9 . - _, a path of non-empty segments of
  // letters, digits, . - _ that are not "." or "..", at most 2048 octets; no user, port, query, fragment, escape or
  // trailing slash. InvalidArgument names the fault, not the text.
  static absl::StatusOr<SpiffeId> Parse(absl::string_view text);

  // The UID, where the path is /node/UID; InvalidArgument otherwise.
  absl::StatusOr<std::string> NodeUid() const;
};

// Whether a text can be a trust domain, or a node's UID as the last segment of its id.
absl::Status CheckTrustDomain(absl::string_view text);
absl::Status CheckNodeUid(absl::string_view text);

std::string NodeSpiffeId(absl::string_view trust_domain, absl::string_view uid);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_SPIFFE_ID_H_
