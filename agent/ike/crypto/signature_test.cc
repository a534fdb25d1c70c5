// Method 14: IKE-032, IKE-033.
#include "agent/ike/crypto/signature.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "agent/ike/crypto/ke_methods.h"
#include "agent/ike/crypto/test_vectors.h"

namespace espalier::ike::crypto {
namespace {

const char kEcdsa256[] = "300a06082a8648ce3d040302";
const char kEcdsa384[] = "300a06082a8648ce3d040303";
const char kEd25519[] = "300506032b6570";
// RFC 7427 appendix A.4.3, A.4.1, A.4.2, A.1.2, A.3.1.
const char kPss256[] =
    "3046 0609 2a86 4886 f70d 0101 0a30 39a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a 0609 2a86 4886 f70d "
    "0101 "
    "0830 0d06 0960 8648 0165 0304 0201 0500 a203 0201 20a3 0302 0101";
const char kPssEmpty[] = "300d 0609 2a86 4886 f70d 0101 0a30 00";
const char kPssSha1[] =
    "303e 0609 2a86 4886 f70d 0101 0a30 31a0 0b30 0906 052b 0e03 021a 0500 a118 3016 0609 2a86 4886 f70d 0101 0830 "
    "0906 "
    "052b 0e03 021a 0500 a203 0201 14a3 0302 0101";
const char kPkcs1Sha256[] = "300d 0609 2a86 4886 f70d 0101 0b05 00";
const char kEcdsaSha1[] = "3009 0607 2a86 48ce 3d04 01";

Bytes AuthData(const Bytes& identifier, const Bytes& signature) {
  return Join({{static_cast<uint8_t>(identifier.size())}, identifier, signature});
}

Bytes Spki(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int n = i2d_PUBKEY(key, &der);
  Bytes out(der, der + n);
  OPENSSL_free(der);
  return out;
}

Bytes Sign(EVP_PKEY* key, const EVP_MD* md, const Bytes& data, int pss_salt = -100) {
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  EVP_PKEY_CTX* pctx = nullptr;
  EXPECT_EQ(EVP_DigestSignInit(ctx, &pctx, md, nullptr, key), 1);
  if (pss_salt != -100) {
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, pss_salt), 1);
  }
  size_t n = 0;
  EXPECT_EQ(EVP_DigestSign(ctx, nullptr, &n, data.data(), data.size()), 1);
  Bytes out(n);
  EXPECT_EQ(EVP_DigestSign(ctx, out.data(), &n, data.data(), data.size()), 1);
  out.resize(n);
  EVP_MD_CTX_free(ctx);
  return out;
}

const Bytes kData = Hex("00112233445566778899");

TEST(SignatureTest, Wycheproof) {
  int valid = 0, invalid = 0;
  for (const VectorLine& v : ReadVectors("signatures.txt")) {
    const std::string name = v[0].substr(0, v[0].find(':'));
    const char* identifier = name == "ecdsa256"   ? kEcdsa256
                             : name == "ecdsa384" ? kEcdsa384
                             : name == "ecdsa512" ? "300a06082a8648ce3d040304"
                             : name == "ed25519"  ? kEd25519
                                                  : kPss256;
    const absl::Status s = VerifyDigitalSignature(AuthData(Hex(identifier), Octets(v[4])), Octets(v[3]), Octets(v[2]));
    EXPECT_EQ(s.ok(), v[1] == "valid") << v[0] << " " << s;
    (v[1] == "valid" ? valid : invalid)++;
  }
  EXPECT_GT(valid, 20);
  EXPECT_GT(invalid, 20);
}

TEST(SignatureTest, Ike032EcdsaAuthDataVerifies) {
  const Pkey key(EVP_EC_gen("P-256"));
  const Bytes auth = EcdsaSha256AuthData(Sign(key.get(), EVP_sha256(), kData));
  EXPECT_EQ(auth[0], 12);
  const Bytes spki = Spki(key.get());
  EXPECT_TRUE(VerifyDigitalSignature(auth, kData, spki).ok());
  EXPECT_FALSE(VerifyDigitalSignature(auth, Hex("00"), spki).ok());
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, Spki(Pkey(EVP_EC_gen("P-256")).get())).ok());
  // Every octet of AUTH and of the key counts; every truncation is refused.
  for (size_t i = 0; i < auth.size(); ++i) {
    Bytes bad = auth;
    bad[i] ^= 1;
    EXPECT_FALSE(VerifyDigitalSignature(bad, kData, spki).ok()) << i;
    EXPECT_FALSE(VerifyDigitalSignature(ByteSpan(auth).first(i), kData, spki).ok()) << i;
  }
  Bytes trailing = auth;
  trailing.push_back(0);
  EXPECT_FALSE(VerifyDigitalSignature(trailing, kData, spki).ok());
  Bytes long_spki = spki;
  long_spki.push_back(0);
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, long_spki).ok());
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, {}).ok());
  EXPECT_FALSE(VerifyDigitalSignature({}, kData, spki).ok());
}

TEST(SignatureTest, Ike032AllowListIsExact) {
  const Pkey ec(EVP_EC_gen("P-256"));
  const Pkey rsa(EVP_RSA_gen(2048));
  const Bytes ecdsa = Sign(ec.get(), EVP_sha256(), kData), pss = Sign(rsa.get(), EVP_sha256(), kData, 32);
  EXPECT_TRUE(VerifyDigitalSignature(AuthData(Hex(kPss256), pss), kData, Spki(rsa.get())).ok());
  struct Case {
    const char* what;
    const char* identifier;
    const Bytes* signature;
    EVP_PKEY* key;
  };
  const Bytes pss_sha1 = Sign(rsa.get(), EVP_sha1(), kData, 20), pkcs1 = Sign(rsa.get(), EVP_sha256(), kData),
              ecdsa_sha1 = Sign(ec.get(), EVP_sha1(), kData), pss_salt20 = Sign(rsa.get(), EVP_sha256(), kData, 20),
              empty, zero(64, 0);
  const Case cases[] = {
      {"PSS with empty parameters", kPssEmpty, &pss_sha1, rsa.get()},
      {"PSS with SHA-1", kPssSha1, &pss_sha1, rsa.get()},
      {"PKCS#1 v1.5", kPkcs1Sha256, &pkcs1, rsa.get()},
      {"ECDSA with SHA-1", kEcdsaSha1, &ecdsa_sha1, ec.get()},
      {"PSS with another salt", kPss256, &pss_salt20, rsa.get()},
      {"PKCS#1 signature called PSS", kPss256, &pkcs1, rsa.get()},
      {"ECDSA with NULL parameters", "300c06082a8648ce3d0403020500", &ecdsa, ec.get()},
      {"identifier with a trailing octet", "300a06082a8648ce3d04030200", &ecdsa, ec.get()},
      {"identifier with a long length", "30810a06082a8648ce3d040302", &ecdsa, ec.get()},
      {"hash of another length", kEcdsa384, &ecdsa, ec.get()},
      {"RSA key called ECDSA", kEcdsa256, &pss, rsa.get()},
      {"EC key called PSS", kPss256, &ecdsa, ec.get()},
      {"EC key called Ed25519", kEd25519, &zero, ec.get()},
      {"empty signature", kEcdsa256, &empty, ec.get()},
      {"signature of zeros", kEcdsa256, &zero, ec.get()},
      {"PSS of zeros", kPss256, &zero, rsa.get()},
      {"no identifier", "", &ecdsa, ec.get()},
  };
  for (const Case& c : cases) {
    const absl::Status s = VerifyDigitalSignature(AuthData(Hex(c.identifier), *c.signature), kData, Spki(c.key));
    EXPECT_TRUE(absl::IsPermissionDenied(s)) << c.what << " " << s;
  }
}

TEST(SignatureTest, Ike032LongerHashesOfPss) {
  const Pkey rsa(EVP_RSA_gen(2048));
  for (const auto& [md, octet, salt] : {std::tuple{EVP_sha384(), 0x02, 0x30}, {EVP_sha512(), 0x03, 0x40}}) {
    Bytes identifier = Hex(kPss256);
    // Where the two OIDs of the hash end, and the salt's length.
    identifier[29] = identifier[59] = static_cast<uint8_t>(octet);
    identifier[66] = static_cast<uint8_t>(salt);
    const Bytes auth = AuthData(identifier, Sign(rsa.get(), md, kData, salt));
    const absl::Status s = VerifyDigitalSignature(auth, kData, Spki(rsa.get()));
    EXPECT_TRUE(s.ok()) << salt << s;
  }
}

TEST(SignatureTest, Ike032OnlyAnnouncedHashes) {
  using wire::HashAlgorithm;
  const Pkey ec(EVP_EC_gen("P-256"));
  const Bytes auth = EcdsaSha256AuthData(Sign(ec.get(), EVP_sha256(), kData));
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, Spki(ec.get()), {HashAlgorithm::kSha384}).ok());
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, Spki(ec.get()), {}).ok());
  EXPECT_TRUE(VerifyDigitalSignature(auth, kData, Spki(ec.get()), {HashAlgorithm::kSha256}).ok());
  const Pkey ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const Bytes ed_auth = AuthData(Hex(kEd25519), Sign(ed.get(), nullptr, kData));
  EXPECT_TRUE(VerifyDigitalSignature(ed_auth, kData, Spki(ed.get())).ok());
  EXPECT_FALSE(VerifyDigitalSignature(ed_auth, kData, Spki(ed.get()), {HashAlgorithm::kSha256}).ok());
  EXPECT_EQ(std::ranges::count(SupportedHashes(), HashAlgorithm::kSha1), 0);
}

TEST(SignatureTest, Ike033KeysThatAreTooWeak) {
  const Pkey rsa1024(EVP_RSA_gen(1024));
  const Bytes auth = AuthData(Hex(kPss256), Sign(rsa1024.get(), EVP_sha256(), kData, 32));
  EXPECT_FALSE(VerifyDigitalSignature(auth, kData, Spki(rsa1024.get())).ok());
  const Pkey p224(EVP_EC_gen("P-224"));
  EXPECT_FALSE(
      VerifyDigitalSignature(EcdsaSha256AuthData(Sign(p224.get(), EVP_sha256(), kData)), kData, Spki(p224.get())).ok());
}

}  // namespace
}  // namespace espalier::ike::crypto
