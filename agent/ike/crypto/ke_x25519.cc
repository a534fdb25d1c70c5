// X25519, RFC 8031 section 3, RFC 7748.
#include <openssl/err.h>

#include <array>

#include "agent/ike/crypto/ke_methods.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::crypto {
namespace {

class X25519 : public KeyExchange {
 public:
  explicit X25519(Pkey key) : key_(std::move(key)) {}

  // False: OpenSSL failed.
  bool ReadPublic() {
    size_t size = value_.size();
    return EVP_PKEY_get_raw_public_key(key_.get(), value_.data(), &size) == 1 && size == value_.size();
  }

  uint16_t method() const override { return wire::ke::kX25519; }
  ByteSpan public_value() const override { return value_; }

  absl::StatusOr<Secret> Finish(ByteSpan peer_value) override {
    if (peer_value.size() != kX25519Size) return absl::InvalidArgumentError("KE data length");
    // The top bit is masked and a value above the prime is taken as it is (RFC 7748 section 5), by OpenSSL.
    const Pkey peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer_value.data(), peer_value.size()));
    if (peer == nullptr) return absl::InvalidArgumentError("public value");
    absl::StatusOr<Secret> secret = Derive(key_.get(), peer.get());
    if (!secret.ok()) return secret.status();
    // A point of small order gives zeros (RFC 7748 section 6.1; IKE-026).
    if (*secret == Secret(kX25519Size)) return absl::InvalidArgumentError("public value of small order");
    return secret;
  }

 private:
  Pkey key_;
  std::array<uint8_t, kX25519Size> value_{};
};

}  // namespace

absl::StatusOr<std::unique_ptr<KeyExchange>> CreateX25519(const RandomSource& random) {
  Secret scalar(kX25519Size);
  FillRandom(random, scalar.mutable_span());
  Pkey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, scalar.span().data(), scalar.size()));
  if (key == nullptr) return absl::InternalError("X25519 key");
  auto out = std::make_unique<X25519>(std::move(key));
  if (!out->ReadPublic()) return absl::InternalError("X25519 public value");
  return out;
}

}  // namespace espalier::ike::crypto
