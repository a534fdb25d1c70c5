#include "controller/ca/join_tokens.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

namespace espalier::ca {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class JoinTokensTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "join_tokens_XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(JoinTokensTest, WorksOnce) {
  JoinTokens tokens(folder_);
  std::string token = tokens.Create("a", absl::Hours(1), kNow).value();
  EXPECT_TRUE(tokens.Check(token, "a", kNow).ok());
  EXPECT_TRUE(tokens.Claim(token, "a", kNow).ok());
  EXPECT_EQ(tokens.Claim(token, "a", kNow).code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(JoinTokensTest, OnlyTheHashIsOnDisk) {
  JoinTokens tokens(folder_);
  std::string token = tokens.Create("a", absl::Hours(1), kNow).value();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().string().find(token), std::string::npos);
  }
}

TEST_F(JoinTokensTest, AnotherNodesTokenStaysValid) {
  JoinTokens tokens(folder_);
  std::string token = tokens.Create("a", absl::Hours(1), kNow).value();
  EXPECT_EQ(tokens.Claim(token, "b", kNow).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(tokens.Claim(token, "a", kNow).ok());
}

TEST_F(JoinTokensTest, Expires) {
  JoinTokens tokens(folder_);
  std::string token = tokens.Create("a", absl::Minutes(1), kNow).value();
  EXPECT_EQ(tokens.Claim(token, "a", kNow + absl::Minutes(1)).code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(tokens.RemoveExpired(kNow + absl::Seconds(59)), 0);
  EXPECT_EQ(tokens.RemoveExpired(kNow + absl::Minutes(1)), 1);
}

TEST_F(JoinTokensTest, GarbageIsUnknown) {
  JoinTokens tokens(folder_);
  tokens.Create("a", absl::Minutes(1), kNow).value();
  for (const std::string& token : {std::string(), std::string("../../etc/passwd"), std::string(100000, 'x')}) {
    EXPECT_EQ(tokens.Claim(token, "a", kNow).code(), absl::StatusCode::kUnauthenticated);
  }
}

TEST_F(JoinTokensTest, OfManyClaimsAtOnceOneSucceeds) {
  JoinTokens tokens(folder_);
  std::string token = tokens.Create("a", absl::Hours(1), kNow).value();
  std::atomic<int> won = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { won += tokens.Claim(token, "a", kNow).ok(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(won, 1);
}

}  // namespace
}  // namespace espalier::ca
