// For tests: a root and leaves that can be made wrong in one respect.
#ifndef ESPALIER_COMMON_X509_TEST_MESH_H_
#define ESPALIER_COMMON_X509_TEST_MESH_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/x509/issue.h"

namespace espalier::x509 {

inline const absl::Time kTestNow = absl::FromUnixSeconds(1'800'000'000);
inline constexpr char kTestDomain[] = "cluster.local";

template <typename T>
T ValueOf(absl::StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status();
  return *std::move(value);
}

inline CertificateContent TestContent(std::string common_name) {
  CertificateContent content;
  content.common_name = std::move(common_name);
  content.not_before = kTestNow - absl::Hours(1);
  content.not_after = kTestNow + absl::Hours(1);
  return content;
}

// A correct leaf's content.
inline CertificateContent LeafContent() {
  CertificateContent content = TestContent("node/a");
  content.uri_names = {"spiffe://cluster.local/node/uid-a"};
  content.extensions = {{"basicConstraints", "critical,CA:FALSE"},
                        {"keyUsage", "critical,digitalSignature"},
                        {"extendedKeyUsage", "1.3.6.1.5.5.7.3.17,serverAuth,clientAuth"}};
  return content;
}

// A correct CA's content.
inline CertificateContent CaContent(std::string common_name) {
  CertificateContent content = TestContent(std::move(common_name));
  content.extensions = {{"basicConstraints", "critical,CA:TRUE"}, {"keyUsage", "critical,keyCertSign,cRLSign"}};
  return content;
}

// Replaces (or with an empty value removes) an extension.
inline CertificateContent With(CertificateContent content, const std::string& name, const std::string& value) {
  std::erase_if(content.extensions, [&](const ExtensionText& e) { return e.name == name; });
  if (!value.empty()) content.extensions.push_back({name, value});
  return content;
}

inline Issuer MakeTestRoot(const CertificateContent& content = CaContent("Test root")) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  return Issuer{key, ValueOf(SelfSignCertificate(content, key))};
}

inline Issuer MakeTestIntermediate(const Issuer& root, const CertificateContent& content) {
  PrivateKey key = ValueOf(PrivateKey::Generate());
  return Issuer{key, ValueOf(SignCertificate(content, key.get(), root))};
}

inline Bytes MakeTestLeaf(const Issuer& issuer, const CertificateContent& content = LeafContent()) {
  return ValueOf(SignCertificate(content, ValueOf(PrivateKey::Generate()).get(), issuer)).ToDer();
}

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_TEST_MESH_H_
