#include "common/x509/spiffe_id.h"

#include <gtest/gtest.h>

namespace espalier::x509 {
namespace {

TEST(SpiffeIdTest, Accepts) {
  auto id = SpiffeId::Parse("spiffe://cluster.local/node/0a1b-2c_3.d");
  ASSERT_TRUE(id.ok()) << id.status();
  EXPECT_EQ(id->trust_domain, "cluster.local");
  EXPECT_EQ(id->path, "/node/0a1b-2c_3.d");
  EXPECT_EQ(id->NodeUid().value(), "0a1b-2c_3.d");
  EXPECT_EQ(NodeSpiffeId("cluster.local", "0a1b-2c_3.d"), "spiffe://cluster.local/node/0a1b-2c_3.d");
}

TEST(SpiffeIdTest, Refuses) {
  for (const char* text : {"",
                           "spiffe://",
                           "spiffe:///node/a",
                           "spiffe://d",
                           "spiffe://d/",
                           "spiffe://d/node/",
                           "spiffe://d/node/a/",
                           "spiffe://d//a",
                           "spiffe://d/./a",
                           "spiffe://d/../a",
                           "SPIFFE://d/node/a",
                           "spiffe:/d/node/a",
                           "https://d/node/a",
                           "spiffe://D/node/a",
                           "spiffe://user@d/node/a",
                           "spiffe://d:1/node/a",
                           "spiffe://d/node/a?q",
                           "spiffe://d/node/a#f",
                           "spiffe://d/node/%61",
                           "spiffe://d/node/a b",
                           "spiffe://d/node/\xc3\xa4",
                           " spiffe://d/node/a",
                           "spiffe://d/node/a\n"}) {
    EXPECT_FALSE(SpiffeId::Parse(text).ok()) << text;
  }
  EXPECT_FALSE(SpiffeId::Parse("spiffe://d/node/" + std::string(2048, 'a')).ok());
  EXPECT_FALSE(SpiffeId::Parse("spiffe://" + std::string(256, 'd') + "/node/a").ok());
}

TEST(SpiffeIdTest, OnlyNodePathsHaveAUid) {
  for (const char* text : {"spiffe://d/node", "spiffe://d/node/a/b", "spiffe://d/pod/a", "spiffe://d/a/node/b"}) {
    auto id = SpiffeId::Parse(text);
    ASSERT_TRUE(id.ok()) << text;
    EXPECT_FALSE(id->NodeUid().ok()) << text;
  }
}

}  // namespace
}  // namespace espalier::x509
