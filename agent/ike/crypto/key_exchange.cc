#include "agent/ike/crypto/key_exchange.h"

#include <openssl/err.h>

#include "absl/strings/str_cat.h"
#include "agent/ike/crypto/ke_methods.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::crypto {

bool KeSupported(uint16_t method) { return KeInitiatorSize(method) != 0; }

size_t KeInitiatorSize(uint16_t method) {
  switch (method) {
    case wire::ke::kX25519:
      return kX25519Size;
    case wire::ke::kMlKem768:
      return kMlKem768KeySize;
    default:
      return 2 * EcpFieldSize(method);  // RFC 5903 section 7: x and y
  }
}

size_t KeResponderSize(uint16_t method) {
  return method == wire::ke::kMlKem768 ? kMlKem768CiphertextSize : KeInitiatorSize(method);
}

absl::StatusOr<std::unique_ptr<KeyExchange>> KeyExchange::Create(uint16_t method, const RandomSource& random) {
  switch (method) {
    case wire::ke::kX25519:
      return CreateX25519(random);
    case wire::ke::kP256:
    case wire::ke::kP384:
    case wire::ke::kP521:
      return CreateEcp(method, random);
    case wire::ke::kMlKem768:
      return CreateMlKem768(random);
    default:
      return absl::UnimplementedError(absl::StrCat("key exchange method ", method));
  }
}

absl::StatusOr<KeResponse> KeRespond(uint16_t method, ByteSpan peer_value, const RandomSource& random) {
  if (KeSupported(method) && peer_value.size() != KeInitiatorSize(method)) {
    return absl::InvalidArgumentError("KE data length");
  }
  if (method == wire::ke::kMlKem768) return RespondMlKem768(peer_value, random);
  const auto own = KeyExchange::Create(method, random);
  if (!own.ok()) return own.status();
  absl::StatusOr<Secret> secret = (*own)->Finish(peer_value);
  if (!secret.ok()) return secret.status();
  const ByteSpan value = (*own)->public_value();
  return KeResponse{Bytes(value.begin(), value.end()), *std::move(secret)};
}

absl::StatusOr<Secret> Derive(EVP_PKEY* own, EVP_PKEY* peer) {
  const PkeyContext ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  size_t size = 0;
  if (ctx == nullptr || EVP_PKEY_derive_init(ctx.get()) != 1 || EVP_PKEY_derive_set_peer(ctx.get(), peer) != 1 ||
      EVP_PKEY_derive(ctx.get(), nullptr, &size) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("public value");
  }
  Secret out(size);
  if (EVP_PKEY_derive(ctx.get(), out.mutable_span().data(), &size) != 1 || size != out.size()) {
    ERR_clear_error();
    return absl::InvalidArgumentError("public value");
  }
  return out;
}

}  // namespace espalier::ike::crypto
