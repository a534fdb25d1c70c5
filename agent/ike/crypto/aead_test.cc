#include "agent/ike/crypto/aead.h"

#include <gtest/gtest.h>

#include "agent/ike/crypto/test_vectors.h"

namespace espalier::ike::crypto {
namespace {

constexpr EspSuite kSuites[] = {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305};

EspSuite ByName(const std::string& name) {
  if (name.starts_with("gcm128")) return EspSuite::kAesGcm128;
  return name.starts_with("gcm256") ? EspSuite::kAesGcm256 : EspSuite::kChaCha20Poly1305;
}

TEST(AeadTest, Ike014Wycheproof) {
  for (const VectorLine& v : ReadVectors("aead.txt")) {
    // The 96-bit nonce of a case is our salt and IV.
    const Bytes nonce = Octets(v[3]), aad = Octets(v[4]), message = Octets(v[5]);
    const auto aead = Aead::Create(ByName(v[0]), Join({Octets(v[2]), Bytes(nonce.begin(), nonce.begin() + 4)}));
    ASSERT_TRUE(aead.ok()) << v[0];
    uint64_t iv = 0;
    Reader(ByteSpan(nonce).subspan(4)).U64(&iv);
    const Bytes body = Join({Bytes(nonce.begin() + 4, nonce.end()), Octets(v[6]), Octets(v[7])});
    const auto opened = aead->Open(aad, body);
    ASSERT_EQ(opened.ok(), v[1] == "valid") << v[0];
    Bytes sealed;
    ASSERT_TRUE(aead->Seal(iv, aad, message, &sealed).ok());
    EXPECT_EQ(sealed == body, v[1] == "valid") << v[0];
    if (opened.ok()) {
      EXPECT_EQ(*opened, message) << v[0];
    }
  }
}

TEST(AeadTest, Ike013EveryFlippedBitIsRefused) {
  for (EspSuite suite : kSuites) {
    const auto aead = Aead::Create(suite, Bytes(AeadKeySize(suite), 0x42));
    const Bytes aad = Hex("000102030405060708090a0b");
    Bytes body;
    ASSERT_TRUE(aead->Seal(5, aad, Bytes(30, 0x11), &body).ok());
    EXPECT_EQ(body.size(), kIvSize + 30 + kIcvSize);
    ASSERT_TRUE(aead->Open(aad, body).ok());
    for (size_t bit = 0; bit < body.size() * 8; ++bit) {
      Bytes bad = body;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      const auto opened = aead->Open(aad, bad);
      ASSERT_FALSE(opened.ok());
      EXPECT_TRUE(absl::IsDataLoss(opened.status()));
    }
    for (size_t bit = 0; bit < aad.size() * 8; ++bit) {
      Bytes bad = aad;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_FALSE(aead->Open(bad, body).ok());
    }
    for (size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(aead->Open(aad, ByteSpan(body).first(n)).ok());
    // And it still opens what is whole.
    EXPECT_TRUE(aead->Open(aad, body).ok());
  }
}

TEST(AeadTest, EmptyPlaintext) {
  for (EspSuite suite : kSuites) {
    const auto aead = Aead::Create(suite, Bytes(AeadKeySize(suite), 1));
    Bytes body;
    ASSERT_TRUE(aead->Seal(0, Hex("aa"), {}, &body).ok());
    const auto opened = aead->Open(Hex("aa"), body);
    ASSERT_TRUE(opened.ok());
    EXPECT_TRUE(opened->empty());
  }
}

TEST(AeadTest, KeySizes) {
  for (EspSuite suite : kSuites) {
    for (size_t n : {AeadKeySize(suite) - 1, AeadKeySize(suite) + 1, size_t{0}}) {
      EXPECT_FALSE(Aead::Create(suite, Bytes(n)).ok());
    }
  }
  EXPECT_FALSE(Aead::Create(static_cast<EspSuite>(9), Bytes(36)).ok());
}

}  // namespace
}  // namespace espalier::ike::crypto
