#include "common/x509/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace espalier::x509 {
namespace {

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "atomic_file_XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
};

TEST_F(AtomicFileTest, ReplacesWhole) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "one", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "two", 0600).ok());
  EXPECT_EQ(ReadWholeFile(Path("a"), 100).value(), "two");
  struct stat st;
  ASSERT_EQ(stat(Path("a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(AtomicFileTest, WhatIsMissingIsNamed) {
  EXPECT_FALSE(WriteFileAtomically(Path("absent/a"), "one", 0600).ok());
  EXPECT_EQ(ReadWholeFile(Path("b"), 100).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(AtomicFileTest, LimitsSize) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), std::string(101, 'x'), 0600).ok());
  EXPECT_EQ(ReadWholeFile(Path("a"), 100).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ReadWholeFile(Path("a"), 101).ok());
}

TEST_F(AtomicFileTest, KeysOpenToOthersAreRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("key"), "secret", 0600).ok());
  EXPECT_TRUE(ReadPrivateFile(Path("key"), 100).ok());
  for (mode_t mode : {0640, 0604, 0660, 0644}) {
    ASSERT_EQ(chmod(Path("key").c_str(), mode), 0);
    EXPECT_EQ(ReadPrivateFile(Path("key"), 100).status().code(), absl::StatusCode::kPermissionDenied);
  }
}

TEST_F(AtomicFileTest, PrivateDirectory) {
  ASSERT_TRUE(EnsurePrivateDirectory(Path("state")).ok());
  struct stat st;
  ASSERT_EQ(stat(Path("state").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_TRUE(EnsurePrivateDirectory(Path("state")).ok());
  ASSERT_EQ(chmod(Path("state").c_str(), 0777), 0);
  EXPECT_EQ(EnsurePrivateDirectory(Path("state")).code(), absl::StatusCode::kPermissionDenied);
  ASSERT_TRUE(WriteFileAtomically(Path("file"), "", 0600).ok());
  EXPECT_FALSE(EnsurePrivateDirectory(Path("file")).ok());
}

}  // namespace
}  // namespace espalier::x509
