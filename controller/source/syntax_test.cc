#include "controller/source/syntax.h"

#include <gtest/gtest.h>

#include "controller/source/nearest.h"

namespace espalier::source {
namespace {

TEST(Syntax, Names) {
  EXPECT_TRUE(IsDnsLabel("shop-1"));
  EXPECT_FALSE(IsDnsLabel("Shop"));
  EXPECT_FALSE(IsDnsLabel("a.b"));
  EXPECT_FALSE(IsDnsLabel("-a"));
  EXPECT_FALSE(IsDnsLabel(""));
  EXPECT_FALSE(IsDnsLabel(std::string(64, 'a')));
  EXPECT_TRUE(IsDnsSubdomain("a.b-c.d"));
  EXPECT_FALSE(IsDnsSubdomain("a..b"));
  EXPECT_FALSE(IsDnsSubdomain("a/b"));
  EXPECT_FALSE(IsDnsSubdomain(std::string(254, 'a')));
}

TEST(Syntax, Labels) {
  EXPECT_TRUE(IsLabelKey("app"));
  EXPECT_TRUE(IsLabelKey("app.kubernetes.io/name"));
  EXPECT_TRUE(IsLabelKey("A_b.C"));
  EXPECT_FALSE(IsLabelKey("/name"));
  EXPECT_FALSE(IsLabelKey("a/b/c"));
  EXPECT_FALSE(IsLabelKey("app "));
  EXPECT_FALSE(IsLabelKey(""));
  EXPECT_TRUE(IsLabelValue(""));
  EXPECT_TRUE(IsLabelValue("v1.2_x-y"));
  EXPECT_FALSE(IsLabelValue("-x"));
  EXPECT_FALSE(IsLabelValue(std::string(64, 'x')));
}

TEST(Syntax, Seconds) {
  EXPECT_EQ(ParseSeconds("3600s"), 3600);
  EXPECT_EQ(ParseSeconds("1h30m"), 5400);
  EXPECT_EQ(ParseSeconds("1h0m1s"), 3601);
  for (const char* bad : {"", "3600", "s", "1d", "30m1h", "1m1m", "-1s", "+1s", "1.5h", "1 h", "0s", "9999999999s",
                          "999999999h", "100ms"}) {
    EXPECT_EQ(ParseSeconds(bad), std::nullopt) << bad;
  }
}

TEST(Syntax, Decimal) {
  EXPECT_EQ(ParseDecimal("0"), 0);
  EXPECT_EQ(ParseDecimal("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "9223372036854775808", "1Gi", "-1", "+1", "01", " 1", "1e3"}) {
    EXPECT_EQ(ParseDecimal(bad), std::nullopt) << bad;
  }
}

TEST(Nearest, FindsSlips) {
  const std::vector<std::string> fields = {"podSelector", "namespaceSelector", "action", "rules", "priority"};
  EXPECT_EQ(Nearest("podSelectors", fields), "podSelector");
  EXPECT_EQ(Nearest("podselector", fields), "podSelector");
  EXPECT_EQ(Nearest("acton", fields), "action");
  EXPECT_EQ(Nearest("rulse", fields), "rules");
  EXPECT_EQ(Nearest("encryption", fields), "");
  EXPECT_EQ(Nearest("x", fields), "");
  EXPECT_EQ(WriteOneOf("x", {"A", "B"}), "write one of A, B");
  EXPECT_EQ(WriteOneOf("requre", {"Require", "Deny"}), "write \"Require\"");
}

}  // namespace
}  // namespace espalier::source
