#include "common/x509/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include <functional>

#include "common/x509/test_mesh.h"

namespace espalier::x509 {
namespace {

using ::testing::HasSubstr;

// One fault each, in an otherwise valid chain leaf - intermediate - root.
struct Fault {
  const char* name;
  std::function<void(CertificateContent* root, CertificateContent* intermediate, CertificateContent* leaf)> make;
  const char* message;  // what the refusal says
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class ChainFault : public testing::TestWithParam<Fault> {};

TEST_P(ChainFault, IsRefusedWithItsCause) {
  CertificateContent root_content = CaContent("Root"), middle_content = CaContent("Middle"),
                     leaf_content = LeafContent();
  GetParam().make(&root_content, &middle_content, &leaf_content);
  Issuer root = MakeTestRoot(root_content);
  Issuer middle = MakeTestIntermediate(root, middle_content);
  TrustStore trust = ValueOf(TrustStore::Create(root.certificate.ToPem(), {}));
  auto proof =
      ValidateNodeChain(trust, kTestDomain, {MakeTestLeaf(middle, leaf_content), middle.certificate.ToDer()}, kTestNow);
  if (GetParam().message == nullptr) {
    EXPECT_TRUE(proof.ok()) << proof.status();
  } else {
    EXPECT_EQ(proof.status().code(), absl::StatusCode::kUnauthenticated) << proof.status();
    EXPECT_THAT(proof.status().message(), HasSubstr(GetParam().message));
  }
}

#define FAULT(name, message, ...)                                                            \
  Fault {                                                                                    \
    name,                                                                                    \
        [](CertificateContent* root, CertificateContent* middle, CertificateContent* leaf) { \
          (void)root, (void)middle, (void)leaf;                                              \
          __VA_ARGS__;                                                                       \
        },                                                                                   \
        message                                                                              \
  }

INSTANTIATE_TEST_SUITE_P(
    Table, ChainFault,
    testing::Values(
        FAULT("None", nullptr, ),
        // Times (RFC 5280 section 4.1.2.5).
        FAULT("LeafExpired", "expired", leaf->not_after = kTestNow - absl::Seconds(1)),
        FAULT("LeafNotYetValid", "not yet valid", leaf->not_before = kTestNow + absl::Seconds(1)),
        FAULT("IntermediateExpired", "expired", middle->not_after = kTestNow - absl::Seconds(1)),
        FAULT("RootExpired", "expired", root->not_after = kTestNow - absl::Seconds(1)),
        // Issuers (sections 4.2.1.3, 4.2.1.9).
        FAULT("IntermediateWithoutCaBit", "", *middle = With(*middle, "basicConstraints", "critical,CA:FALSE")),
        FAULT("IntermediateWithoutBasicConstraints", "", *middle = With(*middle, "basicConstraints", "")),
        FAULT("IntermediateWithoutKeyCertSign", "", *middle = With(*middle, "keyUsage", "critical,digitalSignature")),
        FAULT("IntermediateWithoutKeyUsage", "keyCertSign", *middle = With(*middle, "keyUsage", "")),
        FAULT("PathLengthExceeded", "path length",
              *root = With(*root, "basicConstraints", "critical,CA:TRUE,pathlen:0")),
        FAULT("IntermediateForMailOnly", "extended key usage of the issuer",
              *middle = With(*middle, "extendedKeyUsage", "emailProtection")),
        // Name constraints (section 4.2.1.10).
        FAULT("UriOutsidePermitted", "permitted subtree",
              *middle = With(*middle, "nameConstraints", "critical,permitted;URI:other.example")),
        FAULT("UriInsideExcluded", "excluded subtree",
              *middle = With(*middle, "nameConstraints", "critical,excluded;URI:cluster.local")),
        FAULT("UriInsidePermitted", nullptr,
              *middle = With(*middle, "nameConstraints", "critical,permitted;URI:cluster.local")),
        FAULT("DirectoryNameOutsidePermitted", "permitted subtree",
              *root = With(*root, "nameConstraints", "critical,permitted;email:example.org");
              leaf->extensions.push_back({"nsComment", "none"});
              *middle = With(*middle, "nameConstraints", "critical,permitted;URI:.example.org")),
        // Critical extensions nobody knows (section 4.2).
        FAULT("LeafUnknownCritical", "unhandled critical",
              leaf->extensions.push_back({"1.2.3.4.5", "critical,DER:05:00"})),
        FAULT("LeafUnknownNotCritical", nullptr, leaf->extensions.push_back({"1.2.3.4.5", "DER:05:00"})),
        FAULT("IntermediateUnknownCritical", "unhandled critical",
              middle->extensions.push_back({"1.2.3.4.5", "critical,DER:05:00"})),
        // The leaf's usage (IKE-036).
        FAULT("LeafWithoutKeyUsage", "no key usage", *leaf = With(*leaf, "keyUsage", "")),
        FAULT("LeafWithoutDigitalSignature", "digitalSignature",
              *leaf = With(*leaf, "keyUsage", "critical,keyEncipherment")),
        FAULT("LeafWithKeyCertSign", "authority's",
              *leaf = With(*leaf, "keyUsage", "critical,digitalSignature,keyCertSign")),
        FAULT("LeafIsCa", "is a CA", *leaf = With(*leaf, "basicConstraints", "critical,CA:TRUE")),
        FAULT("LeafWithoutBasicConstraints", nullptr, *leaf = With(*leaf, "basicConstraints", "")),
        FAULT("LeafForCodeSigning", "extended key usage of the leaf",
              *leaf = With(*leaf, "extendedKeyUsage", "codeSigning")),
        FAULT("LeafServerOnly", "extended key usage of the leaf",
              *leaf = With(*leaf, "extendedKeyUsage", "serverAuth")),
        FAULT("LeafServerAndClient", nullptr, *leaf = With(*leaf, "extendedKeyUsage", "serverAuth,clientAuth")),
        FAULT("LeafIpsecIke", nullptr, *leaf = With(*leaf, "extendedKeyUsage", "1.3.6.1.5.5.7.3.17")),
        FAULT("LeafAnyUsage", nullptr, *leaf = With(*leaf, "extendedKeyUsage", "anyExtendedKeyUsage")),
        FAULT("LeafWithoutExtendedKeyUsage", nullptr, *leaf = With(*leaf, "extendedKeyUsage", "")),
        FAULT("LeafMalformedExtendedKeyUsage", "", *leaf = With(*leaf, "extendedKeyUsage", "DER:30:05:06:01")),
        // Its SPIFFE id (IKE-037).
        FAULT("NoUriName", "0 URI names", leaf->uri_names = {}),
        FAULT("TwoUriNames", "2 URI names", leaf->uri_names.push_back("spiffe://cluster.local/node/uid-b")),
        FAULT("UriNotSpiffe", "does not begin", leaf->uri_names = {"https://cluster.local/node/uid-a"}),
        FAULT("OtherTrustDomain", "another trust domain", leaf->uri_names = {"spiffe://other.local/node/uid-a"}),
        FAULT("NotANode", "not a node's", leaf->uri_names = {"spiffe://cluster.local/pod/uid-a"}),
        FAULT("NulInUri", "character", leaf->uri_names = {std::string("spiffe://cluster.local/node/uid\0a", 33)}),
        FAULT("DnsNameBesides", nullptr, leaf->dns_names = {"a.example"})),
    [](const testing::TestParamInfo<Fault>& fault) { return std::string(fault.param.name); });

class Chain : public testing::Test {
 protected:
  absl::Status Validate(std::vector<Bytes> chain, std::vector<std::string> revoked = {}) {
    TrustStore trust = ValueOf(TrustStore::Create(root_.certificate.ToPem(), revoked));
    return ValidateNodeChain(trust, kTestDomain, chain, kTestNow).status();
  }

  Issuer root_ = MakeTestRoot();
};

TEST_F(Chain, ProofIsTheLeafs) {
  TrustStore trust = ValueOf(TrustStore::Create(root_.certificate.ToPem(), {}));
  Bytes leaf = MakeTestLeaf(root_);
  Certificate certificate = ValueOf(Certificate::FromDer(leaf));
  NodeProof proof = ValueOf(ValidateNodeChain(trust, kTestDomain, {leaf}, kTestNow));
  EXPECT_EQ(proof.spiffe_id, "spiffe://cluster.local/node/uid-a");
  EXPECT_EQ(proof.uid, "uid-a");
  EXPECT_EQ(proof.serial, certificate.Serial());
  EXPECT_EQ(proof.not_after, kTestNow + absl::Hours(1));
  EXPECT_EQ(proof.public_key_spki_der, certificate.SpkiDer());
}

TEST_F(Chain, WhatTheControllerIssuesPasses) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  Certificate leaf = ValueOf(IssueNodeCertificate(root_, key.get(), kTestDomain, "uid-x", std::string(253, 'n'),
                                                  kTestNow, kTestNow + absl::Minutes(1)));
  EXPECT_TRUE(Validate({leaf.ToDer()}).ok()) << Validate({leaf.ToDer()});
}

TEST_F(Chain, ControllersOwnCertificateIsNoNodes) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  Certificate server =
      ValueOf(IssueServerCertificate(root_, key.get(), {"espalier-controller"}, kTestNow, kTestNow + absl::Minutes(1)));
  EXPECT_FALSE(Validate({server.ToDer()}).ok());
}

TEST_F(Chain, ForeignRootIsRefused) {
  Issuer foreign = MakeTestRoot();  // of the same name, with another key
  EXPECT_EQ(Validate({MakeTestLeaf(foreign)}).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_FALSE(Validate({MakeTestLeaf(foreign), foreign.certificate.ToDer()}).ok());
}

TEST_F(Chain, RevokedSerialsAreRefusedHoweverWritten) {
  Bytes leaf = MakeTestLeaf(root_);
  std::string serial = ValueOf(Certificate::FromDer(leaf)).Serial();
  EXPECT_TRUE(Validate({leaf}, {"1234"}).ok());
  EXPECT_FALSE(Validate({leaf}, {serial}).ok());
  EXPECT_FALSE(Validate({leaf}, {"0x00" + serial}).ok());
}

TEST_F(Chain, RevokedIntermediateIsRefused) {
  Issuer middle = MakeTestIntermediate(root_, CaContent("Middle"));
  Bytes leaf = MakeTestLeaf(middle);
  EXPECT_TRUE(Validate({leaf, middle.certificate.ToDer()}).ok());
  EXPECT_FALSE(Validate({leaf, middle.certificate.ToDer()}, {middle.certificate.Serial()}).ok());
}

TEST_F(Chain, OrderOfTheRestDoesNotMatter) {
  Issuer upper = MakeTestIntermediate(root_, CaContent("Upper"));
  Issuer lower = MakeTestIntermediate(upper, CaContent("Lower"));
  Bytes leaf = MakeTestLeaf(lower), a = upper.certificate.ToDer(), b = lower.certificate.ToDer();
  EXPECT_TRUE(Validate({leaf, a, b}).ok());
  EXPECT_TRUE(Validate({leaf, b, a}).ok());
  EXPECT_FALSE(Validate({leaf, a}).ok());
  EXPECT_FALSE(Validate({b, leaf, a}).ok());
}

TEST_F(Chain, SeveralAnchorsWhileTheCaChanges) {
  Issuer next = MakeTestRoot(CaContent("Next root"));
  TrustStore trust = ValueOf(TrustStore::Create(root_.certificate.ToPem() + next.certificate.ToPem(), {}));
  EXPECT_EQ(trust.AnchorHashes().size(), 40u);
  EXPECT_TRUE(ValidateNodeChain(trust, kTestDomain, {MakeTestLeaf(root_)}, kTestNow).ok());
  EXPECT_TRUE(ValidateNodeChain(trust, kTestDomain, {MakeTestLeaf(next)}, kTestNow).ok());
}

TEST_F(Chain, WeakKeysAreRefused) {
  for (auto make :
       {+[] { return EVP_RSA_gen(1024); }, +[] { return EVP_EC_gen("secp256k1"); }, +[] { return EVP_EC_gen("P-224"); },
        +[] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"); }}) {
    KeyPtr key(make());
    ASSERT_NE(key, nullptr);
    EXPECT_FALSE(Validate({ValueOf(SignCertificate(LeafContent(), key.get(), root_)).ToDer()}).ok());
  }
  for (auto make : {+[] { return EVP_RSA_gen(2048); }, +[] { return EVP_EC_gen("P-384"); },
                    +[] { return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"); }}) {
    KeyPtr key(make());
    ASSERT_NE(key, nullptr);
    EXPECT_TRUE(Validate({ValueOf(SignCertificate(LeafContent(), key.get(), root_)).ToDer()}).ok());
  }
}

TEST_F(Chain, ChangedOctetsAreRefused) {
  Bytes leaf = MakeTestLeaf(root_);
  for (size_t i = 0; i < leaf.size(); ++i) {
    Bytes changed = leaf;
    changed[i] ^= 1;
    EXPECT_FALSE(Validate({changed}).ok()) << "octet " << i;
  }
  for (size_t i = 0; i < leaf.size(); ++i) {
    EXPECT_FALSE(Validate({Bytes(leaf.begin(), leaf.begin() + static_cast<long>(i))}).ok());
  }
  leaf.push_back(0);
  EXPECT_FALSE(Validate({leaf}).ok());
}

TEST_F(Chain, CountAndSizeAreBounded) {
  Bytes leaf = MakeTestLeaf(root_);
  EXPECT_FALSE(Validate({}).ok());
  EXPECT_FALSE(Validate(std::vector<Bytes>(kMaxChainLength + 1, leaf)).ok());
  EXPECT_FALSE(Validate({Bytes(kMaxCertificateSize + 1, 0x30)}).ok());
}

TEST(TrustStoreTest, RefusesWhatIsNoAnchor) {
  Issuer root = MakeTestRoot();
  EXPECT_FALSE(TrustStore::Create("", {}).ok());
  EXPECT_FALSE(TrustStore::Create("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", {}).ok());
  EXPECT_FALSE(TrustStore::Create(ValueOf(Certificate::FromDer(MakeTestLeaf(root))).ToPem(), {}).ok());
  EXPECT_FALSE(TrustStore::Create(root.certificate.ToPem(), {"not hex"}).ok());
}

}  // namespace
}  // namespace espalier::x509
