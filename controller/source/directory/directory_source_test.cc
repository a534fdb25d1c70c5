// With real files: each test waits for what it expects, bounded by a deadline that only a failure reaches.
#include "controller/source/directory/directory_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "absl/strings/str_cat.h"

namespace espalier::source {
namespace {

std::string Policy(absl::string_view name, absl::string_view action) {
  return absl::StrCat("apiVersion: espalier.io/v1alpha1\nkind: EncryptionPolicy\nmetadata: {name: ", name,
                      ", namespace: shop}\nspec: {action: ", action, "}\n");
}

class DirectorySourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/espalier-directory-source-XXXXXX";
    dir_ = mkdtemp(name);
    source_ = MakeDirectorySource({dir_});
  }
  void TearDown() override {
    source_->Stop();
    std::filesystem::remove_all(dir_);
  }

  void Start() {
    ASSERT_TRUE(source_
                    ->Start([this](Update update) {
                      std::lock_guard<std::mutex> lock(mutex_);
                      last_ = std::move(update);
                      ++updates_;
                      changed_.notify_all();
                    })
                    .ok());
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(absl::StrCat(dir_, "/", name)) << text; }

  // "NAME=ACTION ..." of the policies in force, and the number of problems.
  std::string Now() const {
    std::string out;
    for (const auto& [key, policy] : *last_.objects->policies)
      absl::StrAppend(&out, key, "=", policy->spec().action(), " ");
    absl::StrAppend(&out, last_.problems.size());
    return out;
  }
  std::string Await(const std::string& expected) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return last_.objects != nullptr && Now() == expected; });
    std::string out = Now();
    for (const Problem& p : last_.problems) {
      if (out != expected) absl::StrAppend(&out, "\n", p.ToString());
    }
    return out;
  }

  std::string dir_;
  std::unique_ptr<Source> source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Update last_;
  int updates_ = 0;
};

TEST_F(DirectorySourceTest, FirstUpdateBeforeStartReturns) {
  Write("a.yaml", Policy("web", "Require"));
  Write("ignored.txt", "x");
  Start();
  EXPECT_EQ(Now(), "shop/web=Require 0");
  EXPECT_EQ(updates_, 1);
}

TEST_F(DirectorySourceTest, NoDirectory) {
  std::filesystem::remove_all(dir_);
  EXPECT_FALSE(source_->Start([](Update) {}).ok());
}

TEST_F(DirectorySourceTest, FollowsChanges) {
  Start();
  Write("a.yaml", Policy("web", "Require"));
  EXPECT_EQ(Await("shop/web=Require 0"), "shop/web=Require 0");
  Write("b.yml", Policy("db", "Deny"));
  EXPECT_EQ(Await("shop/db=Deny shop/web=Require 0"), "shop/db=Deny shop/web=Require 0");
  Write("a.yaml", Policy("web", "Bypass"));
  EXPECT_EQ(Await("shop/db=Deny shop/web=Bypass 0"), "shop/db=Deny shop/web=Bypass 0");
  Write("a.yaml", "apiVersion: [");
  EXPECT_EQ(Await("shop/db=Deny shop/web=Bypass 1"), "shop/db=Deny shop/web=Bypass 1");
  std::filesystem::remove(absl::StrCat(dir_, "/b.yml"));
  EXPECT_EQ(Await("shop/web=Bypass 1"), "shop/web=Bypass 1");
}

// vim and others: the old file is renamed, the new one made, the old one removed. The policy is there all the time.
TEST_F(DirectorySourceTest, EditorsRenames) {
  Write("a.yaml", Policy("web", "Require"));
  Start();
  for (int i = 0; i < 10; ++i) {
    std::filesystem::rename(absl::StrCat(dir_, "/a.yaml"), absl::StrCat(dir_, "/a.yaml~"));
    Write("a.yaml", Policy("web", i % 2 == 0 ? "Deny" : "Require"));
    std::filesystem::remove(absl::StrCat(dir_, "/a.yaml~"));
    const std::string expected = i % 2 == 0 ? "shop/web=Deny 0" : "shop/web=Require 0";
    EXPECT_EQ(Await(expected), expected);
  }
  EXPECT_EQ(updates_, 11);  // never one without it
  // Others write beside and rename over.
  Write("a.yaml.new", Policy("web", "Bypass"));
  std::filesystem::rename(absl::StrCat(dir_, "/a.yaml.new"), absl::StrCat(dir_, "/a.yaml"));
  EXPECT_EQ(Await("shop/web=Bypass 0"), "shop/web=Bypass 0");
}

// A writer that pauses in the middle: what it has written so far would be a valid file of another meaning.
TEST_F(DirectorySourceTest, HalfWritten) {
  Write("a.yaml", Policy("web", "Require"));
  Start();
  const std::string text = absl::StrCat(Policy("web", "Deny"), "---\n", Policy("db", "Deny"));
  const int fd = open(absl::StrCat(dir_, "/a.yaml").c_str(), O_WRONLY | O_TRUNC);
  ASSERT_GE(fd, 0);
  const size_t half = Policy("web", "Deny").size();
  ASSERT_EQ(write(fd, text.data(), half), static_cast<ssize_t>(half));
  // Open for more than a second: that is said, and the old version holds.
  EXPECT_EQ(Await("shop/web=Require 1"), "shop/web=Require 1");
  EXPECT_EQ(last_.problems[0].message, "is open for writing, and is read when it is closed");
  ASSERT_EQ(write(fd, text.data() + half, text.size() - half), static_cast<ssize_t>(text.size() - half));
  close(fd);
  EXPECT_EQ(Await("shop/db=Deny shop/web=Deny 0"), "shop/db=Deny shop/web=Deny 0");
}

// A mounted ConfigMap: names lead through ..data, which is switched by a rename.
TEST_F(DirectorySourceTest, ConfigMapSwitch) {
  std::filesystem::create_directory(absl::StrCat(dir_, "/..1"));
  Write("..1/a.yaml", Policy("web", "Require"));
  std::filesystem::create_symlink("..1", absl::StrCat(dir_, "/..data"));
  std::filesystem::create_symlink("..data/a.yaml", absl::StrCat(dir_, "/a.yaml"));
  Start();
  EXPECT_EQ(Now(), "shop/web=Require 0");
  std::filesystem::create_directory(absl::StrCat(dir_, "/..2"));
  Write("..2/a.yaml", Policy("web", "Deny"));
  std::filesystem::create_symlink("..2", absl::StrCat(dir_, "/..data_tmp"));
  std::filesystem::rename(absl::StrCat(dir_, "/..data_tmp"), absl::StrCat(dir_, "/..data"));
  std::filesystem::remove_all(absl::StrCat(dir_, "/..1"));
  EXPECT_EQ(Await("shop/web=Deny 0"), "shop/web=Deny 0");
}

TEST_F(DirectorySourceTest, StrangeFiles) {
  Write("a.yaml", Policy("web", "Require"));
  std::filesystem::create_symlink("nowhere", absl::StrCat(dir_, "/b.yaml"));
  std::filesystem::create_directory(absl::StrCat(dir_, "/c.yaml"));
  ASSERT_EQ(mkfifo(absl::StrCat(dir_, "/d.yaml").c_str(), 0600), 0);
  Write("e.yaml", std::string((10 << 20) + 1, ' '));
  Start();
  EXPECT_EQ(Now(), "shop/web=Require 3");
  EXPECT_EQ(last_.problems[0].message, "is a link to a file that does not exist");
  EXPECT_EQ(last_.problems[1].message, "cannot be read: not a regular file");
  EXPECT_EQ(last_.problems[2].message, "cannot be read: larger than 10 MiB");
}

TEST_F(DirectorySourceTest, DirectoryMadeAnew) {
  Write("a.yaml", Policy("web", "Require"));
  Start();
  std::filesystem::rename(dir_, absl::StrCat(dir_, ".old"));
  EXPECT_EQ(Await("shop/web=Require 1"), "shop/web=Require 1");
  std::filesystem::create_directory(dir_);
  Write("a.yaml", Policy("web", "Deny"));
  EXPECT_EQ(Await("shop/web=Deny 0"), "shop/web=Deny 0");
  // And inotify follows the new one.
  Write("a.yaml", Policy("web", "Bypass"));
  EXPECT_EQ(Await("shop/web=Bypass 0"), "shop/web=Bypass 0");
  std::filesystem::remove_all(absl::StrCat(dir_, ".old"));
}

}  // namespace
}  // namespace espalier::source
