#include "agent/ike/crypto/auth_data.h"

#include <openssl/crypto.h>

namespace espalier::ike::crypto {
namespace {

constexpr absl::string_view kKeyPad = "Key Pad for IKEv2";  // RFC 7296 section 2.15: 17 octets, no terminator

void Append(ByteSpan part, Bytes* out) { out->insert(out->end(), part.begin(), part.end()); }

Bytes ToBytes(const Secret& s) { return Bytes(s.span().begin(), s.span().end()); }

}  // namespace

Bytes SignedOctets(PrfId prf, ByteSpan message, ByteSpan peer_nonce, const Secret& sk_p, ByteSpan id_body,
                   ByteSpan int_auth) {
  const Secret maced_id = Prf(prf, sk_p.span(), {id_body});
  Bytes out;
  out.reserve(message.size() + peer_nonce.size() + maced_id.size() + int_auth.size());
  Append(message, &out);
  Append(peer_nonce, &out);
  Append(maced_id.span(), &out);
  Append(int_auth, &out);
  return out;
}

Bytes IntAuthLink(PrfId prf, const Secret& sk_p, ByteSpan previous, ByteSpan int_auth_header, ByteSpan inner) {
  return ToBytes(Prf(prf, sk_p.span(), {previous, int_auth_header, inner}));
}

Bytes IntAuth(ByteSpan initiator_link, ByteSpan responder_link, uint32_t auth_message_id) {
  Bytes out;
  Append(initiator_link, &out);
  Append(responder_link, &out);
  Writer(&out).U32(auth_message_id);
  return out;
}

Secret SharedKeyAuth(PrfId prf, const Secret& shared_key, ByteSpan signed_octets) {
  const ByteSpan pad(reinterpret_cast<const uint8_t*>(kKeyPad.data()), kKeyPad.size());
  const Secret key = Prf(prf, shared_key.span(), {pad});
  return Prf(prf, key.span(), {signed_octets});
}

bool TimingSafeEqual(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace espalier::ike::crypto
