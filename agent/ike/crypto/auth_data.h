// What AUTH payloads sign or MAC: RFC 7296 section 2.15, RFC 9242 section 3.3.2.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_AUTH_DATA_H_
#define ESPALIER_AGENT_IKE_CRYPTO_AUTH_DATA_H_

#include "absl/strings/string_view.h"
#include "agent/ike/crypto/prf.h"
#include "common/bytes.h"
#include "common/secret.h"

namespace espalier::ike::crypto {

// InitiatorSignedOctets or ResponderSignedOctets: `message` is the signer's own raw IKE_SA_INIT message in its last
// version, without non-ESP marker; `peer_nonce` the other end's nonce; `sk_p` the signer's SK_pi or SK_pr; `id_body`
// its ID payload as sent, RESERVED included (IKE-008); `int_auth` empty where no IKE_INTERMEDIATE took place (IKE-030).
Bytes SignedOctets(PrfId prf, ByteSpan message, ByteSpan peer_nonce, const Secret& sk_p, ByteSpan id_body,
                   ByteSpan int_auth);

// One link of the chain: prf(SK_p, previous | A | P). `previous` is empty for the first; A is
// OpenedMessage::int_auth_header or SealedMessage::int_auth_header, P the clear inner payloads (IKE-080). SK_p is the
// one in force before the exchange.
Bytes IntAuthLink(PrfId prf, const Secret& sk_p, ByteSpan previous, ByteSpan int_auth_header, ByteSpan inner);

// IntAuth = last link of the initiator | last link of the responder | message ID of the first IKE_AUTH.
Bytes IntAuth(ByteSpan initiator_link, ByteSpan responder_link, uint32_t auth_message_id);

// AUTH of a pre-shared key: prf(prf(key, "Key Pad for IKEv2"), signed octets) (IKE-040). Compare with TimingSafeEqual.
Secret SharedKeyAuth(PrfId prf, const Secret& shared_key, ByteSpan signed_octets);

// Constant time in the content.
bool TimingSafeEqual(ByteSpan a, ByteSpan b);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_AUTH_DATA_H_
