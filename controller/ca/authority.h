// The mesh's certificate authority: its key, the anchors that nodes trust, the serials they no longer do, and the
// controller's own TLS certificate.
//
// In the state folder (mode 0700, made at the first start):
//   ca.key            PKCS #8, mode 0600; refused if others can read it
//   ca.pem            the issuing certificate, then its intermediates up to an operator's root, if there is one
//   extra-anchors.pem optional: anchors besides the issuing CA (the old or next CA while one is replaced, an operator's
//                     root)
//   trust-bundle.pem  written: every anchor. What an agent needs for its first contact.
//   revoked           one serial a line, hexadecimal; '#' begins a comment. `espalier-controller revoke` appends.
//   server.pem        written: the controller's TLS key and certificate, mode 0600
//   tokens/           see join_tokens.h
#ifndef ESPALIER_CONTROLLER_CA_AUTHORITY_H_
#define ESPALIER_CONTROLLER_CA_AUTHORITY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/x509/chain.h"
#include "common/x509/issue.h"

namespace espalier::ca {

// The DNS name of the controller's certificate, which agents demand.
inline constexpr char kControllerDnsName[] = "espalier-controller";

struct AuthorityOptions {
  std::string state_dir;
  std::string trust_domain = "cluster.local";
  absl::Duration certificate_lifetime = absl::Hours(24);  // of nodes and of the controller; at least 2 s
};

struct IssuedCertificate {
  std::string chain_pem;  // leaf first
  std::string spiffe_id;
  std::string serial;
  absl::Time not_after;
};

// Thread-safe.
class Authority {
 public:
  // Opens the state folder, or makes it with a new CA. Errors name the file and what to do.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(AuthorityOptions options, absl::Time now);

  // A certificate for the node, for the public key of a PKCS #10 request; nothing else of the request is used.
  // InvalidArgument: the request, or a UID that can't stand in a SPIFFE id.
  absl::StatusOr<IssuedCertificate> IssueNode(ByteSpan csr_der, absl::string_view uid, absl::string_view node_name,
                                              absl::Time now);

  // Reads extra-anchors.pem and revoked again, and renews the server's certificate at two thirds of its life. Call it
  // every second or so. The result says whether trust() changed. On an error what was in force stays; the files that
  // can be read are taken.
  absl::StatusOr<bool> Refresh(absl::Time now);

  std::shared_ptr<const x509::TrustStore> trust() const;
  std::string bundle_pem() const;
  std::vector<std::string> revoked() const;  // normal form, sorted
  absl::Time ca_not_after() const { return issuer_.certificate.NotAfter(); }
  absl::Time server_not_after() const;
  uint64_t issued() const;
  const AuthorityOptions& options() const { return options_; }

  std::string bundle_path() const;
  std::string server_path() const;

 private:
  Authority(AuthorityOptions options, x509::Issuer issuer, std::vector<x509::Certificate> intermediates);

  absl::Status LoadTrust(bool* changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RenewServer(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Not before: some minutes ago, for clocks that are behind.
  absl::Time NotBefore(absl::Time now) const;

  const AuthorityOptions options_;
  const x509::Issuer issuer_;
  const std::vector<x509::Certificate> intermediates_;

  mutable absl::Mutex mutex_;
  std::string bundle_pem_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> revoked_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const x509::TrustStore> trust_ ABSL_GUARDED_BY(mutex_);
  std::optional<x509::Certificate> server_ ABSL_GUARDED_BY(mutex_);
  uint64_t issued_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Appends to the state folder's list. InvalidArgument: no serial number.
absl::Status Revoke(const std::string& state_dir, absl::string_view serial);

}  // namespace espalier::ca

#endif  // ESPALIER_CONTROLLER_CA_AUTHORITY_H_
