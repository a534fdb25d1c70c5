#include "agent/control/view_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "common/x509/atomic_file.h"

namespace espalier::control {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

class ViewCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "view_cache_XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
    path_ = folder_ + "/view.cache";
    view_.epoch = "e";
    view_.version = 7;
    view_.mesh.set_trust_domain("cluster.local");
    view_.mesh.set_self_node_id(1);
    view_.nodes[1].set_id(1);
    view_.nodes[1].set_name("a");
    view_.addresses["10.0.0.1"].set_ip("10.0.0.1");
    view_.addresses["10.0.0.1"].set_identity(300);
    view_.addresses["10.0.0.1"].set_node_id(1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  absl::Status LoadAt(absl::Time now) { return ViewCache(path_, absl::Hours(1)).Load(now).status(); }

  std::string folder_, path_;
  policy::View view_;
};

TEST_F(ViewCacheTest, GivesBackWhatWasSaved) {
  ViewCache cache(path_, absl::Hours(1));
  EXPECT_TRUE(absl::IsNotFound(cache.Load(kNow).status()));
  ASSERT_TRUE(cache.Save(view_, kNow).ok());
  auto loaded = cache.Load(kNow + absl::Minutes(1));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->saved_at, kNow);
  EXPECT_EQ(ToFullDelta(loaded->view).SerializeAsString(), ToFullDelta(view_).SerializeAsString());
}

TEST_F(ViewCacheTest, AgeIsLimited) {
  ASSERT_TRUE(ViewCache(path_, absl::Hours(1)).Save(view_, kNow).ok());
  EXPECT_TRUE(LoadAt(kNow + absl::Hours(1)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(LoadAt(kNow + absl::Hours(1) + absl::Seconds(1))));
  EXPECT_TRUE(absl::IsFailedPrecondition(LoadAt(kNow - absl::Hours(2)))) << "from the future";
}

TEST_F(ViewCacheTest, EveryDamageIsFound) {
  ASSERT_TRUE(ViewCache(path_, absl::Hours(1)).Save(view_, kNow).ok());
  const std::string good = x509::ReadWholeFile(path_, 1 << 20).value();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x01);
    ASSERT_TRUE(x509::WriteFileAtomically(path_, bad, 0600).ok());
    EXPECT_FALSE(LoadAt(kNow).ok()) << "octet " << i;
  }
  for (size_t length : {size_t{0}, size_t{7}, size_t{8}, size_t{30}, size_t{56}, good.size() - 1}) {
    ASSERT_TRUE(x509::WriteFileAtomically(path_, good.substr(0, length), 0600).ok());
    EXPECT_FALSE(LoadAt(kNow).ok()) << "length " << length;
  }
  ASSERT_TRUE(x509::WriteFileAtomically(path_, good + "x", 0600).ok());
  EXPECT_TRUE(absl::IsDataLoss(LoadAt(kNow)));
}

}  // namespace
}  // namespace espalier::control
