#include "controller/ca/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/x509/atomic_file.h"
#include "common/x509/test_mesh.h"

namespace espalier::ca {
namespace {

using x509::ValueOf;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class AuthorityTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "authority_XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
    options_.state_dir = folder_ + "/state";
    options_.certificate_lifetime = absl::Minutes(1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Authority> Open(absl::Time now = kNow) { return ValueOf(Authority::Open(options_, now)); }
  IssuedCertificate Issue(Authority& authority, absl::Time now = kNow) {
    x509::PrivateKey key = ValueOf(x509::PrivateKey::Generate());
    return ValueOf(authority.IssueNode(ValueOf(x509::BuildCertificateRequest(key)), "uid-a", "a", now));
  }
  static absl::Status Validate(const Authority& authority, const IssuedCertificate& issued, absl::Time now = kNow) {
    std::vector<Bytes> chain;
    for (const x509::Certificate& c : ValueOf(x509::Certificate::FromPem(issued.chain_pem))) chain.push_back(c.ToDer());
    return x509::ValidateNodeChain(*authority.trust(), "cluster.local", chain, now).status();
  }
  static mode_t Mode(const std::string& path) {
    struct stat st{};
    EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
    return st.st_mode & 0777;
  }

  std::string folder_;
  AuthorityOptions options_;
};

TEST_F(AuthorityTest, FirstStartMakesEverythingPrivate) {
  Open();
  EXPECT_EQ(Mode(options_.state_dir), 0700u);
  EXPECT_EQ(Mode(options_.state_dir + "/ca.key"), 0600u);
  EXPECT_EQ(Mode(options_.state_dir + "/server.pem"), 0600u);
}

TEST_F(AuthorityTest, RestartKeepsTheCa) {
  IssuedCertificate before = Issue(*Open());
  EXPECT_TRUE(Validate(*Open(), before).ok());
}

TEST_F(AuthorityTest, KeyOpenToOthersIsRefused) {
  Open();
  ASSERT_EQ(chmod((options_.state_dir + "/ca.key").c_str(), 0640), 0);
  EXPECT_EQ(Authority::Open(options_, kNow).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(AuthorityTest, IssuedCertificateIsTheNodes) {
  auto authority = Open();
  IssuedCertificate issued = Issue(*authority);
  EXPECT_EQ(issued.spiffe_id, "spiffe://cluster.local/node/uid-a");
  EXPECT_EQ(issued.not_after, kNow + absl::Minutes(1));
  EXPECT_TRUE(Validate(*authority, issued).ok()) << Validate(*authority, issued);
  EXPECT_FALSE(Validate(*authority, issued, kNow + absl::Minutes(2)).ok());
}

TEST_F(AuthorityTest, BadRequestsAreRefused) {
  auto authority = Open();
  Bytes request = ValueOf(x509::BuildCertificateRequest(ValueOf(x509::PrivateKey::Generate())));
  EXPECT_EQ(authority->IssueNode({}, "uid-a", "a", kNow).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(authority->IssueNode(request, "a/b", "a", kNow).ok());
  EXPECT_FALSE(authority->IssueNode(request, "", "a", kNow).ok());
  request.back() ^= 1;
  EXPECT_EQ(authority->IssueNode(request, "uid-a", "a", kNow).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AuthorityTest, RevocationIsFollowed) {
  auto authority = Open();
  IssuedCertificate issued = Issue(*authority);
  EXPECT_FALSE(ValueOf(authority->Refresh(kNow)));
  ASSERT_TRUE(Revoke(options_.state_dir, issued.serial).ok());
  EXPECT_TRUE(ValueOf(authority->Refresh(kNow)));
  EXPECT_EQ(authority->revoked(), std::vector<std::string>{issued.serial});
  EXPECT_FALSE(Validate(*authority, issued).ok());
  EXPECT_FALSE(Revoke(options_.state_dir, "not a serial").ok());
}

TEST_F(AuthorityTest, BadListKeepsWhatWasInForce) {
  auto authority = Open();
  IssuedCertificate issued = Issue(*authority);
  ASSERT_TRUE(Revoke(options_.state_dir, issued.serial).ok());
  EXPECT_TRUE(authority->Refresh(kNow).ok());
  ASSERT_TRUE(x509::WriteFileAtomically(options_.state_dir + "/revoked", "zz\n", 0644).ok());
  EXPECT_THAT(authority->Refresh(kNow).status().message(), testing::HasSubstr("revoked:1"));
  EXPECT_FALSE(Validate(*authority, issued).ok());
}

TEST_F(AuthorityTest, ServerCertificateIsRenewedAtTwoThirds) {
  auto authority = Open();
  absl::Time first = authority->server_not_after();
  EXPECT_TRUE(authority->Refresh(kNow + absl::Seconds(30)).ok());
  EXPECT_EQ(authority->server_not_after(), first);
  EXPECT_TRUE(authority->Refresh(kNow + absl::Seconds(42)).ok());
  EXPECT_EQ(authority->server_not_after(), kNow + absl::Seconds(102));
}

TEST_F(AuthorityTest, ExtraAnchorsAreTrustedBesides) {
  auto authority = Open();
  x509::Issuer other = x509::MakeTestRoot();
  ASSERT_TRUE(
      x509::WriteFileAtomically(options_.state_dir + "/extra-anchors.pem", other.certificate.ToPem(), 0644).ok());
  EXPECT_TRUE(ValueOf(authority->Refresh(kNow)));
  EXPECT_EQ(authority->trust()->anchors().size(), 2u);
  EXPECT_EQ(ValueOf(x509::Certificate::FromPem(ValueOf(x509::ReadWholeFile(authority->bundle_path(), 1 << 20)))).size(),
            2u);
  EXPECT_TRUE(Validate(*authority, Issue(*authority)).ok());
}

TEST_F(AuthorityTest, OperatorsIntermediateIsSentAlong) {
  x509::Issuer root = x509::MakeTestRoot(), middle = x509::MakeTestIntermediate(root, x509::CaContent("Operator"));
  ASSERT_TRUE(x509::EnsurePrivateDirectory(options_.state_dir).ok());
  ASSERT_TRUE(x509::WriteFileAtomically(options_.state_dir + "/ca.key", ValueOf(middle.key.ToPem()), 0600).ok());
  ASSERT_TRUE(x509::WriteFileAtomically(options_.state_dir + "/ca.pem", middle.certificate.ToPem(), 0644).ok());
  ASSERT_TRUE(
      x509::WriteFileAtomically(options_.state_dir + "/extra-anchors.pem", root.certificate.ToPem(), 0644).ok());
  auto authority = Open(x509::kTestNow);
  IssuedCertificate issued = Issue(*authority, x509::kTestNow);
  EXPECT_EQ(ValueOf(x509::Certificate::FromPem(issued.chain_pem)).size(), 2u);
  EXPECT_TRUE(Validate(*authority, issued, x509::kTestNow).ok());
}

TEST_F(AuthorityTest, CertificateOfAnotherKeyIsRefused) {
  Open();
  ASSERT_TRUE(
      x509::WriteFileAtomically(options_.state_dir + "/ca.pem", x509::MakeTestRoot().certificate.ToPem(), 0644).ok());
  EXPECT_FALSE(Authority::Open(options_, x509::kTestNow).ok());
}

}  // namespace
}  // namespace espalier::ca
