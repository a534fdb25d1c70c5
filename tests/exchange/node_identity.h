// Certificates of the tests' nodes: P-256 keys, signed by one authority, made with OpenSSL.
#ifndef ESPALIER_TESTS_EXCHANGE_NODE_IDENTITY_H_
#define ESPALIER_TESTS_EXCHANGE_NODE_IDENTITY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/ike/host.h"

struct evp_pkey_st;

namespace espalier::ike {

struct NodeIdentity {
  PeerId node = 0;
  std::string spiffe_id;
  std::shared_ptr<evp_pkey_st> key;
  Bytes certificate;  // DER
  Bytes spki;
  std::string serial;

  // The same for the same node id in one process. `foreign`: another authority that nobody trusts.
  static NodeIdentity Make(PeerId node, bool foreign = false);
};

// SPIFFE id of a test node.
std::string SpiffeIdOf(PeerId node);

// Checks signature by the authority, and that the URI SAN is the claimed id.
absl::StatusOr<Proof> CheckCertificate(ByteSpan der, ByteSpan claimed_key_id);
absl::StatusOr<Bytes> SignWith(const NodeIdentity& identity, ByteSpan data);

}  // namespace espalier::ike

#endif  // ESPALIER_TESTS_EXCHANGE_NODE_IDENTITY_H_
