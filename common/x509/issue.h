// Making certificates: the mesh's root, nodes' leaves, the controller's own.
#ifndef ESPALIER_COMMON_X509_ISSUE_H_
#define ESPALIER_COMMON_X509_ISSUE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/x509/certificate.h"
#include "common/x509/key.h"

namespace espalier::x509 {

// One X.509v3 extension in OpenSSL's configuration syntax ("keyUsage", "critical,keyCertSign"); `name` may be an OID.
struct ExtensionText {
  std::string name;
  std::string value;
};

// What a certificate says. Serial numbers are 127 random bits (positive, RFC 5280 section 4.1.2.2).
struct CertificateContent {
  std::string common_name;           // cut to the 64 characters that RFC 5280 allows
  absl::Time not_before, not_after;  // cut to seconds
  std::vector<std::string> uri_names, dns_names;
  std::vector<ExtensionText> extensions;
};

struct Issuer {
  PrivateKey key;
  Certificate certificate;
};

// Signs a certificate for `subject_key`; without issuer it is self-signed by `self` (which then is the subject's key).
// Subject and authority key identifiers are added. `content` comes from the caller, never from the wire unchecked.
absl::StatusOr<Certificate> SignCertificate(const CertificateContent& content, EVP_PKEY* subject_key,
                                            const Issuer& issuer);
absl::StatusOr<Certificate> SelfSignCertificate(const CertificateContent& content, const PrivateKey& self);

// A root that signs leaves and nothing else (path length 0).
absl::StatusOr<Certificate> MakeRoot(const PrivateKey& key, absl::string_view common_name, absl::Time not_before,
                                     absl::Time not_after);

// A node's leaf: one URI name (the SPIFFE id), digitalSignature, ipsecIKE + serverAuth + clientAuth. InvalidArgument
// where domain or UID can't stand in a SPIFFE id. It has no DNS name, so that a node can't pass for the controller.
absl::StatusOr<Certificate> IssueNodeCertificate(const Issuer& issuer, EVP_PKEY* subject_key,
                                                 absl::string_view trust_domain, absl::string_view uid,
                                                 absl::string_view node_name, absl::Time not_before,
                                                 absl::Time not_after);

// A TLS server's leaf with DNS names and no URI name, so that it can't pass for a node.
absl::StatusOr<Certificate> IssueServerCertificate(const Issuer& issuer, EVP_PKEY* subject_key,
                                                   const std::vector<std::string>& dns_names, absl::Time not_before,
                                                   absl::Time not_after);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_ISSUE_H_
