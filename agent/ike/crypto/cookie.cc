#include "agent/ike/crypto/cookie.h"

#include <utility>

#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/prf.h"

namespace espalier::ike::crypto {

CookieJar::CookieJar(RandomSource random, absl::Duration rotation) : random_(std::move(random)), rotation_(rotation) {}

Bytes CookieJar::Make(absl::Time now, ByteSpan ni, const Endpoint& source, uint64_t spi_i) {
  Rotate(now);
  Bytes out = {version_};
  const Bytes hash = Hash(current_, ni, source, spi_i);
  out.insert(out.end(), hash.begin(), hash.end());
  return out;
}

bool CookieJar::Check(absl::Time now, ByteSpan cookie, ByteSpan ni, const Endpoint& source, uint64_t spi_i) {
  Rotate(now);
  if (cookie.empty()) return false;
  const Secret* secret = nullptr;
  if (cookie[0] == version_) {
    secret = &current_;
  } else if (cookie[0] == static_cast<uint8_t>(version_ - 1) && !former_.empty()) {
    secret = &former_;
  } else {
    return false;
  }
  return TimingSafeEqual(cookie.subspan(1), Hash(*secret, ni, source, spi_i));
}

void CookieJar::Rotate(absl::Time now) {
  if (!current_.empty() && now - since_ < rotation_) return;
  // Both are too old after a quiet time.
  former_ = now - since_ < 2 * rotation_ ? std::move(current_) : Secret();
  current_ = Secret(32);
  FillRandom(random_, current_.mutable_span());
  ++version_;
  since_ = now;
}

Bytes CookieJar::Hash(const Secret& secret, ByteSpan ni, const Endpoint& source, uint64_t spi_i) const {
  Bytes tail;
  Writer w(&tail);
  w.Raw(source.address.octets());
  w.U16(source.port);
  w.U64(spi_i);
  const Secret mac = Prf(PrfId::kHmacSha256, secret.span(), {ni, tail});
  return Bytes(mac.span().begin(), mac.span().end());
}

}  // namespace espalier::ike::crypto
