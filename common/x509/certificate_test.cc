#include "common/x509/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "common/x509/test_mesh.h"

namespace espalier::x509 {
namespace {

TEST(CertificateTest, PemAndDerAgree) {
  Issuer root = MakeTestRoot();
  Certificate leaf = ValueOf(Certificate::FromDer(MakeTestLeaf(root)));
  std::vector<Certificate> read = ValueOf(Certificate::FromPem(ChainToPem({leaf, root.certificate})));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].ToDer(), leaf.ToDer());
  EXPECT_EQ(read[1].ToDer(), root.certificate.ToDer());
}

TEST(CertificateTest, KeyAndChainShareAFile) {
  Issuer root = MakeTestRoot();
  std::string text = ValueOf(root.key.ToPem()) + root.certificate.ToPem();
  EXPECT_EQ(ValueOf(Certificate::FromPem(text)).size(), 1u);
  EXPECT_EQ(ValueOf(PrivateKey::FromPem(text)).PublicSpkiDer(), root.certificate.SpkiDer());
}

TEST(CertificateTest, HalfAPemIsRefused) {
  std::string pem = MakeTestRoot().certificate.ToPem();
  EXPECT_FALSE(Certificate::FromPem(pem.substr(0, pem.size() / 2)).ok());
  EXPECT_FALSE(Certificate::FromPem(pem + pem.substr(0, pem.size() / 2)).ok());
  EXPECT_FALSE(Certificate::FromPem("nothing").ok());
}

TEST(CertificateTest, SerialsAreNormal) {
  EXPECT_EQ(ValueOf(NormalizeSerial("0A:FF")), "aff");
  EXPECT_EQ(ValueOf(NormalizeSerial(" 0x0aff\n")), "aff");
  EXPECT_EQ(ValueOf(NormalizeSerial("000")), "0");
  EXPECT_FALSE(NormalizeSerial("").ok());
  EXPECT_FALSE(NormalizeSerial("xyz").ok());
  EXPECT_FALSE(NormalizeSerial(std::string(65, 'a')).ok());
}

TEST(CertificateTest, SerialsDiffer) {
  Issuer root = MakeTestRoot();
  std::string a = ValueOf(Certificate::FromDer(MakeTestLeaf(root))).Serial();
  std::string b = ValueOf(Certificate::FromDer(MakeTestLeaf(root))).Serial();
  EXPECT_NE(a, b);
  EXPECT_GT(a.size(), 24u);
}

TEST(CertificateRequestTest, ProvesPossession) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  Bytes request = ValueOf(BuildCertificateRequest(key));
  KeyPtr read = ValueOf(VerifyCertificateRequest(request));
  EXPECT_EQ(EVP_PKEY_eq(read.get(), key.get()), 1);
}

TEST(CertificateRequestTest, ForgeriesAreRefused) {
  Bytes request = ValueOf(BuildCertificateRequest(ValueOf(PrivateKey::Generate())));
  for (size_t i = 0; i < request.size(); ++i) {
    Bytes changed = request;
    changed[i] ^= 1;
    EXPECT_FALSE(VerifyCertificateRequest(changed).ok()) << "octet " << i;
  }
  request.push_back(0);
  EXPECT_FALSE(VerifyCertificateRequest(request).ok());
  EXPECT_FALSE(VerifyCertificateRequest({}).ok());
  EXPECT_FALSE(VerifyCertificateRequest(Bytes(1 << 20, 0x30)).ok());
}

TEST(KeyTest, SignatureVerifies) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  const Bytes data = {1, 2, 3};
  Bytes signature = ValueOf(key.Sign(data));
  MdContextPtr context(EVP_MD_CTX_new());
  ASSERT_EQ(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()), 1);
  EXPECT_EQ(EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()), 1);
}

TEST(KeyTest, OtherKindsAreRefused) {
  for (auto make :
       {+[] { return EVP_EC_gen("P-384"); }, +[] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }}) {
    KeyPtr key(make());
    BioPtr bio(BIO_new(BIO_s_mem()));
    ASSERT_EQ(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
    EXPECT_FALSE(PrivateKey::FromPem(BioText(bio.get())).ok());
  }
  EXPECT_FALSE(PrivateKey::FromPem("").ok());
}

}  // namespace
}  // namespace espalier::x509
