// ML-KEM-768, FIPS 203, as draft-ietf-ipsecme-ikev2-mlkem uses it (IKE-082): the initiator sends its encapsulation key,
// the responder a ciphertext.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "agent/ike/crypto/ke_methods.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::crypto {
namespace {

constexpr const char* kName = "ML-KEM-768";
constexpr size_t kSeedSize = 64;     // d | z, FIPS 203 algorithm 19
constexpr size_t kEntropySize = 32;  // m, FIPS 203 algorithm 20
constexpr size_t kSecretSize = 32;

absl::Status Failed(const char* what) {
  ERR_clear_error();
  return absl::InternalError(what);
}

class MlKem : public KeyExchange {
 public:
  explicit MlKem(Pkey key) : key_(std::move(key)), value_(kMlKem768KeySize) {}

  // False: OpenSSL failed.
  bool ReadPublic() {
    size_t size = value_.size();
    return EVP_PKEY_get_raw_public_key(key_.get(), value_.data(), &size) == 1 && size == value_.size();
  }

  uint16_t method() const override { return wire::ke::kMlKem768; }
  ByteSpan public_value() const override { return value_; }

  absl::StatusOr<Secret> Finish(ByteSpan ciphertext) override {
    if (ciphertext.size() != kMlKem768CiphertextSize) return absl::InvalidArgumentError("ciphertext length");
    const PkeyContext ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, key_.get(), nullptr));
    Secret out(kSecretSize);
    size_t size = out.size();
    if (ctx == nullptr || EVP_PKEY_decapsulate_init(ctx.get(), nullptr) != 1 ||
        EVP_PKEY_decapsulate(ctx.get(), out.mutable_span().data(), &size, ciphertext.data(), ciphertext.size()) != 1 ||
        size != out.size()) {
      return Failed("decapsulation");
    }
    return out;
  }

 private:
  Pkey key_;
  Bytes value_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<KeyExchange>> CreateMlKem768(const RandomSource& random) {
  Secret seed(kSeedSize);
  FillRandom(random, seed.mutable_span());
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED, seed.mutable_span().data(), seed.size()),
      OSSL_PARAM_construct_end()};
  const PkeyContext ctx(EVP_PKEY_CTX_new_from_name(nullptr, kName, nullptr));
  EVP_PKEY* key = nullptr;
  if (ctx == nullptr || EVP_PKEY_keygen_init(ctx.get()) != 1 || EVP_PKEY_CTX_set_params(ctx.get(), params) != 1 ||
      EVP_PKEY_generate(ctx.get(), &key) != 1) {
    return Failed("ML-KEM-768 key pair");
  }
  auto out = std::make_unique<MlKem>(Pkey(key));
  if (!out->ReadPublic()) return Failed("ML-KEM-768 encapsulation key");
  return out;
}

absl::StatusOr<KeResponse> RespondMlKem768(ByteSpan encapsulation_key, const RandomSource& random) {
  if (encapsulation_key.size() != kMlKem768KeySize) return absl::InvalidArgumentError("encapsulation key length");
  // The modulus check of FIPS 203 section 7.2 is part of OpenSSL's reading of a key.
  const Pkey peer(
      EVP_PKEY_new_raw_public_key_ex(nullptr, kName, nullptr, encapsulation_key.data(), encapsulation_key.size()));
  if (peer == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("encapsulation key");
  }
  Secret entropy(kEntropySize);
  FillRandom(random, entropy.mutable_span());
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, entropy.mutable_span().data(), entropy.size()),
      OSSL_PARAM_construct_end()};
  const PkeyContext ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr));
  KeResponse out{Bytes(kMlKem768CiphertextSize), Secret(kSecretSize)};
  size_t ciphertext_size = out.public_value.size(), secret_size = out.secret.size();
  if (ctx == nullptr || EVP_PKEY_encapsulate_init(ctx.get(), params) != 1 ||
      EVP_PKEY_encapsulate(ctx.get(), out.public_value.data(), &ciphertext_size, out.secret.mutable_span().data(),
                           &secret_size) != 1 ||
      ciphertext_size != out.public_value.size() || secret_size != out.secret.size()) {
    return Failed("encapsulation");
  }
  return out;
}

}  // namespace espalier::ike::crypto
