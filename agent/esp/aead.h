// The authenticated ciphers of ESP: AES-GCM with a 16-octet ICV (RFC 4106) and ChaCha20-Poly1305 (RFC 7634), one
// packet a call, on ipsec-mb.
#ifndef ESPALIER_AGENT_ESP_AEAD_H_
#define ESPALIER_AGENT_ESP_AEAD_H_

#include <intel-ipsec-mb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "agent/ike/host.h"

namespace espalier::esp {

using ike::EspSuite;

// Specification constants (RFC 4106 sections 3.1, 4, 6; RFC 7634 section 2).
inline constexpr size_t kIvSize = 8;
inline constexpr size_t kIcvSize = 16;
inline constexpr size_t kSaltSize = 4;

// KEYMAT's length for a suite, salt included (RFC 4106 section 8.1, RFC 7634 section 4). 0: no such suite.
size_t KeyMaterialSize(EspSuite suite);

// One key, expanded. Wiped when it goes. Const calls are safe from several threads.
class Aead {
 public:
  // `key` is the cipher's key with 4 octets of salt at its end. InvalidArgument: a suite or a length that is not ours.
  static absl::StatusOr<std::unique_ptr<Aead>> Create(EspSuite suite, std::span<const uint8_t> key);
  ~Aead();
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;

  // Encrypts `size` octets from `in` to `out` (the same place, or not overlapping) and writes the ICV. The nonce is the
  // salt and `iv`: a pair of key and iv must never come twice.
  void Seal(const uint8_t* iv, const uint8_t* aad, size_t aad_size, const uint8_t* in, size_t size, uint8_t* out,
            uint8_t* icv) const;
  // Decrypts likewise; false: the ICV (compared in constant time) is wrong, and what lies at `out` must not be used.
  bool Open(const uint8_t* iv, const uint8_t* aad, size_t aad_size, const uint8_t* in, size_t size, uint8_t* out,
            const uint8_t* icv) const;

 private:
  explicit Aead(EspSuite suite) : suite_(suite) {}
  void MakeNonce(const uint8_t* iv, uint8_t* nonce) const;

  alignas(64) gcm_key_data gcm_;
  std::array<uint8_t, 32> chacha_{};
  std::array<uint8_t, kSaltSize> salt_{};
  EspSuite suite_;
};

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_AEAD_H_
