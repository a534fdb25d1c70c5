#include "agent/ike/crypto/aead.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

namespace espalier::ike::crypto {
namespace {

constexpr size_t kSaltSize = 4;
using Nonce = std::array<uint8_t, kSaltSize + kIvSize>;

const EVP_CIPHER* CipherOf(EspSuite suite) {
  switch (suite) {
    case EspSuite::kAesGcm128:
      return EVP_aes_128_gcm();
    case EspSuite::kAesGcm256:
      return EVP_aes_256_gcm();
    case EspSuite::kChaCha20Poly1305:
      return EVP_chacha20_poly1305();
  }
  return nullptr;
}

// RFC 5282 section 4, RFC 7634 section 2: salt, then the IV of the message.
Nonce NonceOf(const Secret& salt, ByteSpan iv) {
  Nonce out;
  std::ranges::copy(salt.span(), out.begin());
  std::ranges::copy(iv, out.begin() + kSaltSize);
  return out;
}

}  // namespace

void Aead::ContextDeleter::operator()(evp_cipher_ctx_st* c) const { EVP_CIPHER_CTX_free(c); }

Aead::Aead(Aead&&) noexcept = default;
Aead& Aead::operator=(Aead&&) noexcept = default;
Aead::~Aead() = default;

absl::StatusOr<Aead> Aead::Create(EspSuite suite, ByteSpan key_and_salt) {
  const EVP_CIPHER* cipher = CipherOf(suite);
  if (cipher == nullptr || key_and_salt.size() != AeadKeySize(suite)) {
    return absl::InvalidArgumentError("AEAD key size");
  }
  Aead out;
  out.salt_ = Secret(key_and_salt.last(kSaltSize));
  out.seal_.reset(EVP_CIPHER_CTX_new());
  out.open_.reset(EVP_CIPHER_CTX_new());
  if (out.seal_ == nullptr || out.open_ == nullptr ||
      EVP_EncryptInit_ex(out.seal_.get(), cipher, nullptr, key_and_salt.data(), nullptr) != 1 ||
      EVP_DecryptInit_ex(out.open_.get(), cipher, nullptr, key_and_salt.data(), nullptr) != 1) {
    return absl::InternalError("AEAD set-up");
  }
  return out;
}

absl::Status Aead::Seal(uint64_t iv, ByteSpan aad, ByteSpan plaintext, Bytes* out) const {
  const size_t start = out->size();
  Writer(out).U64(iv);
  out->resize(start + kIvSize + plaintext.size() + kIcvSize);
  uint8_t* const text = out->data() + start + kIvSize;
  const Nonce nonce = NonceOf(salt_, ByteSpan(*out).subspan(start, kIvSize));
  int n = 0;
  if (EVP_EncryptInit_ex(seal_.get(), nullptr, nullptr, nullptr, nonce.data()) != 1 ||
      EVP_EncryptUpdate(seal_.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size())) != 1 ||
      (!plaintext.empty() &&
       EVP_EncryptUpdate(seal_.get(), text, &n, plaintext.data(), static_cast<int>(plaintext.size())) != 1) ||
      EVP_EncryptFinal_ex(seal_.get(), text + plaintext.size(), &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(seal_.get(), EVP_CTRL_AEAD_GET_TAG, kIcvSize, text + plaintext.size()) != 1) {
    out->resize(start);
    return absl::InternalError("AEAD seal");
  }
  return absl::OkStatus();
}

absl::StatusOr<Bytes> Aead::Open(ByteSpan aad, ByteSpan body) const {
  if (body.size() < kIvSize + kIcvSize) return absl::DataLossError("AEAD body too short");
  const ByteSpan text = body.subspan(kIvSize, body.size() - kIvSize - kIcvSize);
  std::array<uint8_t, kIcvSize> icv;
  std::ranges::copy(body.last(kIcvSize), icv.begin());
  const Nonce nonce = NonceOf(salt_, body.first(kIvSize));
  Bytes out(text.size());
  int n = 0;
  if (EVP_DecryptInit_ex(open_.get(), nullptr, nullptr, nullptr, nonce.data()) != 1 ||
      EVP_CIPHER_CTX_ctrl(open_.get(), EVP_CTRL_AEAD_SET_TAG, kIcvSize, icv.data()) != 1 ||
      EVP_DecryptUpdate(open_.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size())) != 1 ||
      (!text.empty() &&
       EVP_DecryptUpdate(open_.get(), out.data(), &n, text.data(), static_cast<int>(text.size())) != 1) ||
      EVP_DecryptFinal_ex(open_.get(), out.data() + out.size(), &n) != 1) {
    return absl::DataLossError("ICV");  // `out` goes unread
  }
  return out;
}

}  // namespace espalier::ike::crypto
