#include "agent/ike/crypto/prf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>

#include "absl/log/check.h"

namespace espalier::ike::crypto {
namespace {

const char* DigestName(PrfId prf) {
  switch (prf) {
    case PrfId::kHmacSha256:
      return "SHA256";
    case PrfId::kHmacSha384:
      return "SHA384";
    case PrfId::kHmacSha512:
      return "SHA512";
  }
  return "SHA256";
}

struct MacDeleter {
  void operator()(EVP_MAC_CTX* c) const { EVP_MAC_CTX_free(c); }
};

EVP_MAC* Hmac() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);  // for the process's life
  return mac;
}

}  // namespace

size_t PrfSize(PrfId prf) {
  switch (prf) {
    case PrfId::kHmacSha256:
      return 32;
    case PrfId::kHmacSha384:
      return 48;
    case PrfId::kHmacSha512:
      return 64;
  }
  return 32;
}

Secret Prf(PrfId prf, ByteSpan key, std::initializer_list<ByteSpan> parts) {
  std::unique_ptr<EVP_MAC_CTX, MacDeleter> ctx(EVP_MAC_CTX_new(Hmac()));
  CHECK(ctx != nullptr) << "no HMAC in OpenSSL";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(DigestName(prf)), 0),
      OSSL_PARAM_construct_end()};
  // A null key means "the former key" to OpenSSL: give an empty one an address.
  static constexpr uint8_t kEmpty[1] = {};
  CHECK_EQ(EVP_MAC_init(ctx.get(), key.empty() ? kEmpty : key.data(), key.size(), params), 1);
  for (ByteSpan part : parts) CHECK_EQ(EVP_MAC_update(ctx.get(), part.data(), part.size()), 1);
  Secret out(PrfSize(prf));
  size_t written = 0;
  CHECK_EQ(EVP_MAC_final(ctx.get(), out.mutable_span().data(), &written, out.size()), 1);
  CHECK_EQ(written, out.size());
  return out;
}

absl::StatusOr<Secret> PrfPlus(PrfId prf, ByteSpan key, ByteSpan seed, size_t size) {
  const size_t block = PrfSize(prf);
  if (size > 255 * block) return absl::InvalidArgumentError("prf+ beyond 255 blocks");  // RFC 7296 section 2.13
  Secret out(size);
  Secret t;
  for (size_t at = 0; at < size; at += block) {
    const uint8_t counter[] = {static_cast<uint8_t>(at / block + 1)};
    t = Prf(prf, key, {t.span(), seed, counter});
    std::ranges::copy(t.span().first(std::min(block, size - at)), out.mutable_span().subspan(at).begin());
  }
  return out;
}

}  // namespace espalier::ike::crypto
