#include "agent/ike/crypto/key_material.h"

#include <algorithm>
#include <initializer_list>

#include "absl/log/check.h"

namespace espalier::ike::crypto {
namespace {

// Concatenation that holds secrets: sized once, wiped with the object.
Secret Join(std::initializer_list<ByteSpan> parts, std::span<const Secret> more = {}) {
  size_t size = 0;
  for (ByteSpan p : parts) size += p.size();
  for (const Secret& s : more) size += s.size();
  Secret out(size);
  auto at = out.mutable_span().begin();
  for (ByteSpan p : parts) at = std::ranges::copy(p, at).out;
  for (const Secret& s : more) at = std::ranges::copy(s.span(), at).out;
  return out;
}

Secret TakeFirst(ByteSpan* from, size_t n) {
  Secret out(from->first(n));
  *from = from->subspan(n);
  return out;
}

// The sizes asked for here are far below prf+'s end.
Secret Expand(PrfId prf, ByteSpan key, ByteSpan seed, size_t size) {
  absl::StatusOr<Secret> out = PrfPlus(prf, key, seed, size);
  CHECK(out.ok());
  return *std::move(out);
}

}  // namespace

Secret InitialSkeyseed(PrfId prf, ByteSpan ni, ByteSpan nr, const Secret& shared) {
  const Secret key = Join({ni, nr});
  return Prf(prf, key.span(), {shared.span()});
}

Secret AdditionalSkeyseed(PrfId prf, const Secret& sk_d, const Secret& shared, ByteSpan ni, ByteSpan nr) {
  return Prf(prf, sk_d.span(), {shared.span(), ni, nr});
}

Secret RekeySkeyseed(PrfId old_prf, const Secret& old_sk_d, const Secret& shared, ByteSpan ni, ByteSpan nr,
                     std::span<const Secret> additional) {
  const Secret data = Join({shared.span(), ni, nr}, additional);
  return Prf(old_prf, old_sk_d.span(), {data.span()});
}

IkeKeys DeriveIkeKeys(PrfId prf, EspSuite aead, const Secret& skeyseed, ByteSpan ni, ByteSpan nr, uint64_t spi_i,
                      uint64_t spi_r) {
  Bytes spis;
  Writer w(&spis);
  w.U64(spi_i);
  w.U64(spi_r);
  const Secret seed = Join({ni, nr, spis});
  const size_t p = PrfSize(prf), e = AeadKeySize(aead);
  const Secret all = Expand(prf, skeyseed.span(), seed.span(), 3 * p + 2 * e);
  ByteSpan rest = all.span();
  // RFC 7296 section 2.14: SK_d, (SK_ai, SK_ar: none with an AEAD), SK_ei, SK_er, SK_pi, SK_pr.
  IkeKeys keys;
  keys.d = TakeFirst(&rest, p);
  keys.ei = TakeFirst(&rest, e);
  keys.er = TakeFirst(&rest, e);
  keys.pi = TakeFirst(&rest, p);
  keys.pr = TakeFirst(&rest, p);
  return keys;
}

ChildKeys DeriveChildKeys(PrfId prf, const Secret& sk_d, EspSuite esp, const Secret& shared, ByteSpan ni, ByteSpan nr,
                          std::span<const Secret> additional) {
  const Secret seed = Join({shared.span(), ni, nr}, additional);
  const size_t n = AeadKeySize(esp);
  const Secret keymat = Expand(prf, sk_d.span(), seed.span(), 2 * n);
  ByteSpan rest = keymat.span();
  ChildKeys keys;
  keys.from_initiator = TakeFirst(&rest, n);
  keys.from_responder = TakeFirst(&rest, n);
  return keys;
}

}  // namespace espalier::ike::crypto
