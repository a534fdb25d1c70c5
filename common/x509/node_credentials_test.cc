#include "common/x509/node_credentials.h"

#include <gtest/gtest.h>

#include "common/x509/test_mesh.h"

namespace espalier::x509 {
namespace {

Bytes Octets(absl::string_view text) { return Bytes(text.begin(), text.end()); }

class NodeCredentialsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(credentials_.SetTrust(root_.certificate.ToPem(), {}).ok());
    ASSERT_TRUE(credentials_.SetIdentity(key_, {leaf_}).ok());
  }

  Issuer root_ = MakeTestRoot();
  PrivateKey key_ = ValueOf(PrivateKey::Generate());
  Certificate leaf_ = ValueOf(SignCertificate(LeafContent(), key_.get(), root_));
  NodeCredentials credentials_{kTestDomain};
};

TEST_F(NodeCredentialsTest, AuthenticatesOnlyTheClaimedNode) {
  std::vector<Bytes> chain = {MakeTestLeaf(root_)};
  EXPECT_TRUE(credentials_.Authenticate(chain, Octets("spiffe://cluster.local/node/uid-a"), kTestNow).ok());
  for (const char* claim : {"", "spiffe://cluster.local/node/uid-b", "spiffe://cluster.local/node/uid-a ",
                            "spiffe://cluster.local/node/uid-", "SPIFFE://cluster.local/node/uid-a"}) {
    EXPECT_FALSE(credentials_.Authenticate(chain, Octets(claim), kTestNow).ok()) << claim;
  }
}

TEST_F(NodeCredentialsTest, OwnIdentity) {
  EXPECT_EQ(credentials_.spiffe_id(), "spiffe://cluster.local/node/uid-a");
  EXPECT_EQ(credentials_.uid(), "uid-a");
  EXPECT_EQ(credentials_.serial(), leaf_.Serial());
  EXPECT_EQ(credentials_.chain_der(), std::vector<Bytes>{leaf_.ToDer()});
  EXPECT_TRUE(credentials_.Sign(Octets("x")).ok());
  EXPECT_EQ(credentials_.TrustAnchorHashes().size(), 20u);
}

TEST_F(NodeCredentialsTest, RefusedIdentityChangesNothing) {
  PrivateKey other = ValueOf(PrivateKey::Generate());
  EXPECT_FALSE(credentials_.SetIdentity(other, {leaf_}).ok());
  EXPECT_FALSE(credentials_.SetIdentity(key_, {}).ok());
  CertificateContent foreign = LeafContent();
  foreign.uri_names = {"spiffe://other/node/uid-a"};
  EXPECT_FALSE(credentials_.SetIdentity(key_, {ValueOf(SignCertificate(foreign, key_.get(), root_))}).ok());
  EXPECT_EQ(credentials_.serial(), leaf_.Serial());
}

TEST_F(NodeCredentialsTest, RefusedTrustChangesNothing) {
  EXPECT_FALSE(credentials_.SetTrust("garbage", {}).ok());
  EXPECT_TRUE(credentials_.Authenticate({leaf_.ToDer()}, Octets(credentials_.spiffe_id()), kTestNow).ok());
}

TEST_F(NodeCredentialsTest, EmptyHasNothingToSay) {
  NodeCredentials empty(kTestDomain);
  EXPECT_FALSE(empty.Authenticate({leaf_.ToDer()}, Octets("spiffe://cluster.local/node/uid-a"), kTestNow).ok());
  EXPECT_FALSE(empty.Sign(Octets("x")).ok());
  EXPECT_TRUE(empty.TrustAnchorHashes().empty());
}

}  // namespace
}  // namespace espalier::x509
