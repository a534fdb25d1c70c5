#include "agent/esp/aead.h"

#include <openssl/crypto.h>

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace espalier::esp {
namespace {

// ipsec-mb's table of functions for this CPU. Its calls write an error number into it, so each thread has its own.
IMB_MGR* Manager() {
  struct Owner {
    IMB_MGR* manager = alloc_mb_mgr(0);
    Owner() {
      if (manager != nullptr) init_mb_mgr_auto(manager, nullptr);
    }
    ~Owner() {
      if (manager != nullptr) free_mb_mgr(manager);
    }
  };
  thread_local Owner owner;
  return owner.manager;
}

}  // namespace

size_t KeyMaterialSize(EspSuite suite) {
  switch (suite) {
    case EspSuite::kAesGcm128:
      return 16 + kSaltSize;
    case EspSuite::kAesGcm256:
    case EspSuite::kChaCha20Poly1305:
      return 32 + kSaltSize;
  }
  return 0;
}

absl::StatusOr<std::unique_ptr<Aead>> Aead::Create(EspSuite suite, std::span<const uint8_t> key) {
  const size_t want = KeyMaterialSize(suite);
  if (want == 0) return absl::InvalidArgumentError(absl::StrCat("unknown ESP suite ", static_cast<int>(suite)));
  if (key.size() != want) {
    return absl::InvalidArgumentError(
        absl::StrCat("ESP key material of ", key.size(), " octets, the suite needs ", want));
  }
  IMB_MGR* m = Manager();
  if (m == nullptr) return absl::ResourceExhaustedError("alloc_mb_mgr failed");
  std::unique_ptr<Aead> aead(new Aead(suite));
  switch (suite) {
    case EspSuite::kAesGcm128:
      IMB_AES128_GCM_PRE(m, key.data(), &aead->gcm_);
      break;
    case EspSuite::kAesGcm256:
      IMB_AES256_GCM_PRE(m, key.data(), &aead->gcm_);
      break;
    case EspSuite::kChaCha20Poly1305:
      std::memcpy(aead->chacha_.data(), key.data(), aead->chacha_.size());
      break;
  }
  std::memcpy(aead->salt_.data(), key.data() + want - kSaltSize, kSaltSize);
  return aead;
}

Aead::~Aead() {
  OPENSSL_cleanse(&gcm_, sizeof(gcm_));
  OPENSSL_cleanse(chacha_.data(), chacha_.size());
  OPENSSL_cleanse(salt_.data(), salt_.size());
}

void Aead::MakeNonce(const uint8_t* iv, uint8_t* nonce) const {
  std::memcpy(nonce, salt_.data(), kSaltSize);
  std::memcpy(nonce + kSaltSize, iv, kIvSize);
}

void Aead::Seal(const uint8_t* iv, const uint8_t* aad, size_t aad_size, const uint8_t* in, size_t size, uint8_t* out,
                uint8_t* icv) const {
  IMB_MGR* m = Manager();
  alignas(16) uint8_t nonce[16];
  MakeNonce(iv, nonce);
  if (suite_ == EspSuite::kChaCha20Poly1305) {
    chacha20_poly1305_context_data context;
    IMB_CHACHA20_POLY1305_INIT(m, chacha_.data(), &context, nonce, aad, aad_size);
    IMB_CHACHA20_POLY1305_ENC_UPDATE(m, chacha_.data(), &context, out, in, size);
    IMB_CHACHA20_POLY1305_ENC_FINALIZE(m, &context, icv, kIcvSize);
    OPENSSL_cleanse(&context, sizeof(context));
    return;
  }
  gcm_context_data context;
  if (suite_ == EspSuite::kAesGcm128) {
    IMB_AES128_GCM_ENC(m, &gcm_, &context, out, in, size, nonce, aad, aad_size, icv, kIcvSize);
  } else {
    IMB_AES256_GCM_ENC(m, &gcm_, &context, out, in, size, nonce, aad, aad_size, icv, kIcvSize);
  }
}

bool Aead::Open(const uint8_t* iv, const uint8_t* aad, size_t aad_size, const uint8_t* in, size_t size, uint8_t* out,
                const uint8_t* icv) const {
  IMB_MGR* m = Manager();
  alignas(16) uint8_t nonce[16];
  uint8_t computed[kIcvSize];
  MakeNonce(iv, nonce);
  if (suite_ == EspSuite::kChaCha20Poly1305) {
    chacha20_poly1305_context_data context;
    IMB_CHACHA20_POLY1305_INIT(m, chacha_.data(), &context, nonce, aad, aad_size);
    IMB_CHACHA20_POLY1305_DEC_UPDATE(m, chacha_.data(), &context, out, in, size);
    IMB_CHACHA20_POLY1305_DEC_FINALIZE(m, &context, computed, kIcvSize);
    OPENSSL_cleanse(&context, sizeof(context));
  } else {
    gcm_context_data context;
    if (suite_ == EspSuite::kAesGcm128) {
      IMB_AES128_GCM_DEC(m, &gcm_, &context, out, in, size, nonce, aad, aad_size, computed, kIcvSize);
    } else {
      IMB_AES256_GCM_DEC(m, &gcm_, &context, out, in, size, nonce, aad, aad_size, computed, kIcvSize);
    }
  }
  return CRYPTO_memcmp(computed, icv, kIcvSize) == 0;
}

}  // namespace espalier::esp
