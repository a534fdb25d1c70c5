#include "agent/esp/aead.h"

#include <openssl/evp.h>

#include <random>

#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Hex;

struct Vector {
  EspSuite suite;
  const char *key, *nonce, *aad, *plain, *cipher, *icv;
};

// The GCM specification's test cases 4 and 16; RFC 7634 appendix A.
const Vector kVectors[] = {
    {EspSuite::kAesGcm128, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657b"
     "a"
     "637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973"
     "d"
     "58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {EspSuite::kAesGcm256, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657b"
     "a"
     "637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0ab"
     "c"
     "c9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {EspSuite::kChaCha20Poly1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "a0a1a2a31011121314151617", "0102030400000005",
     "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f101112131415161718191a1b1"
     "c"
     "1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
     "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9b"
     "e"
     "fe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0",
     "76aaa8266b7fb0f7b11b369907e1ad43"},
};

std::unique_ptr<Aead> Make(EspSuite suite, Bytes key, ByteSpan nonce) {
  key.insert(key.end(), nonce.begin(), nonce.begin() + kSaltSize);
  auto aead = Aead::Create(suite, key);
  EXPECT_TRUE(aead.ok()) << aead.status();
  return *std::move(aead);
}

TEST(AeadTest, Vectors) {
  for (const Vector& v : kVectors) {
    const Bytes nonce = Hex(v.nonce), aad = Hex(v.aad), plain = Hex(v.plain), cipher = Hex(v.cipher), icv = Hex(v.icv);
    const auto aead = Make(v.suite, Hex(v.key), nonce);
    Bytes out(plain.size()), tag(kIcvSize), back(plain.size());
    aead->Seal(&nonce[4], aad.data(), aad.size(), plain.data(), plain.size(), out.data(), tag.data());
    EXPECT_EQ(out, cipher);
    EXPECT_EQ(tag, icv);
    EXPECT_TRUE(aead->Open(&nonce[4], aad.data(), aad.size(), cipher.data(), cipher.size(), back.data(), icv.data()));
    EXPECT_EQ(back, plain);
    for (size_t i = 0; i < icv.size(); ++i) {
      Bytes wrong = icv;
      wrong[i] ^= 0x80;
      EXPECT_FALSE(
          aead->Open(&nonce[4], aad.data(), aad.size(), cipher.data(), cipher.size(), back.data(), wrong.data()));
    }
  }
}

// Every size a packet has, in place too, against another implementation.
TEST(AeadTest, AgreesWithOpenSsl) {
  const uint32_t seed = 20260101;
  std::mt19937 random(seed);
  const auto fill = [&](size_t n) {
    Bytes out(n);
    for (uint8_t& b : out) b = static_cast<uint8_t>(random());
    return out;
  };
  for (const EspSuite suite : {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305}) {
    const EVP_CIPHER* cipher = suite == EspSuite::kAesGcm128   ? EVP_aes_128_gcm()
                               : suite == EspSuite::kAesGcm256 ? EVP_aes_256_gcm()
                                                               : EVP_chacha20_poly1305();
    const Bytes key = fill(KeyMaterialSize(suite) - kSaltSize), nonce = fill(12);
    const auto aead = Make(suite, key, nonce);
    for (size_t size = 4; size < 2000; size += size < 300 ? 4 : 52) {
      const Bytes aad = fill(size % 8 == 0 ? 12 : 8), plain = fill(size);
      Bytes want(size), want_tag(kIcvSize), got = plain, tag(kIcvSize);
      EVP_CIPHER_CTX* c = EVP_CIPHER_CTX_new();
      int n = 0;
      EVP_EncryptInit_ex(c, cipher, nullptr, key.data(), nonce.data());
      EVP_EncryptUpdate(c, nullptr, &n, aad.data(), static_cast<int>(aad.size()));
      EVP_EncryptUpdate(c, want.data(), &n, plain.data(), static_cast<int>(size));
      EVP_EncryptFinal_ex(c, want.data() + n, &n);
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kIcvSize, want_tag.data());
      EVP_CIPHER_CTX_free(c);
      aead->Seal(&nonce[4], aad.data(), aad.size(), got.data(), size, got.data(), tag.data());
      ASSERT_EQ(got, want) << "suite " << static_cast<int>(suite) << " size " << size << " seed " << seed;
      ASSERT_EQ(tag, want_tag) << "suite " << static_cast<int>(suite) << " size " << size << " seed " << seed;
    }
  }
}

TEST(AeadTest, RefusesKeysOfAnotherSize) {
  for (const EspSuite suite : {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305}) {
    const size_t size = KeyMaterialSize(suite);
    EXPECT_FALSE(Aead::Create(suite, Bytes(size - 1)).ok());
    EXPECT_FALSE(Aead::Create(suite, Bytes(size + 1)).ok());
    EXPECT_FALSE(Aead::Create(suite, {}).ok());
  }
  EXPECT_FALSE(Aead::Create(static_cast<EspSuite>(9), Bytes(20)).ok());
}

}  // namespace
}  // namespace espalier::esp
