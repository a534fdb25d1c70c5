// Key derivation, RFC 7296 sections 2.14, 2.17 and 2.18, RFC 5282 section 7.1, RFC 9370 sections 2.2.2 and 2.2.4.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_KEY_MATERIAL_H_
#define ESPALIER_AGENT_IKE_CRYPTO_KEY_MATERIAL_H_

#include <span>

#include "agent/ike/crypto/prf.h"
#include "agent/ike/crypto/suite.h"
#include "common/bytes.h"
#include "common/secret.h"

namespace espalier::ike::crypto {

// Of one generation of an IKE SA. AEAD suites have no SK_ai and SK_ar; ei and er end in their salt.
struct IkeKeys {
  Secret d, ei, er, pi, pr;
  IkeKeys Clone() const { return {d.Clone(), ei.Clone(), er.Clone(), pi.Clone(), pr.Clone()}; }
};

// RFC 7296 section 2.14: prf(Ni | Nr, g^ir).
Secret InitialSkeyseed(PrfId prf, ByteSpan ni, ByteSpan nr, const Secret& shared);

// RFC 9370 section 2.2.2, after additional key exchange n: prf(SK_d(n-1), SK(n) | Ni | Nr); nonces of IKE_SA_INIT.
Secret AdditionalSkeyseed(PrfId prf, const Secret& sk_d, const Secret& shared, ByteSpan ni, ByteSpan nr);

// RFC 7296 section 2.18 with RFC 9370 section 2.2.4: prf(SK_d (old), SK(0) | Ni | Nr | SK(1) | .. | SK(n)), with the
// PRF of the old IKE SA and the nonces of the rekey.
Secret RekeySkeyseed(PrfId old_prf, const Secret& old_sk_d, const Secret& shared, ByteSpan ni, ByteSpan nr,
                     std::span<const Secret> additional = {});

// {SK_d | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) (IKE-027).
IkeKeys DeriveIkeKeys(PrfId prf, EspSuite aead, const Secret& skeyseed, ByteSpan ni, ByteSpan nr, uint64_t spi_i,
                      uint64_t spi_r);

// Keys of a Child SA, each with its salt at the end, as EspSa::key wants them.
struct ChildKeys {
  Secret from_initiator;  // initiator of the exchange that made the child (RFC 7296 section 2.17)
  Secret from_responder;
};
// KEYMAT = prf+(SK_d, [SK(0) |] Ni | Nr [| SK(1) | .. | SK(n)]); `shared` is empty without a key exchange of its own.
ChildKeys DeriveChildKeys(PrfId prf, const Secret& sk_d, EspSuite esp, const Secret& shared, ByteSpan ni, ByteSpan nr,
                          std::span<const Secret> additional = {});

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_KEY_MATERIAL_H_
