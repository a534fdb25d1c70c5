#include "common/ip.h"

#include <gtest/gtest.h>

namespace espalier {
namespace {

TEST(IpAddress, ParsesAndPrintsBothFamilies) {
  for (const char* text : {"0.0.0.0", "192.0.2.255", "::", "2001:db8::1", "fd00:10:244::a"}) {
    auto a = IpAddress::Parse(text);
    ASSERT_TRUE(a.ok()) << text;
    EXPECT_EQ(a->ToString(), text);
  }
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4/8", "::1%eth0", "[::1]", "x"}) {
    EXPECT_FALSE(IpAddress::Parse(text).ok()) << text;
  }
}

TEST(IpPrefix, RefusesHostBitsAndBadLengths) {
  for (const char* text : {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/ 8", "fd00::1/64", "/8",
                           "::/129", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(IpPrefix::Parse(text).ok()) << text;
  }
  EXPECT_EQ(IpPrefix::Parse("10.1.2.3")->ToString(), "10.1.2.3/32");
}

TEST(IpPrefix, ContainsExactlyItsAddresses) {
  const auto p = *IpPrefix::Parse("10.244.2.128/25");
  EXPECT_TRUE(p.Contains(*IpAddress::Parse("10.244.2.128")));
  EXPECT_TRUE(p.Contains(*IpAddress::Parse("10.244.2.255")));
  EXPECT_FALSE(p.Contains(*IpAddress::Parse("10.244.2.127")));
  EXPECT_FALSE(p.Contains(*IpAddress::Parse("10.244.3.0")));
  EXPECT_FALSE(p.Contains(*IpAddress::Parse("::")));
  EXPECT_EQ(p.Last().ToString(), "10.244.2.255");
  EXPECT_EQ(IpPrefix::Parse("fd00::/127")->Last().ToString(), "fd00::1");
  EXPECT_TRUE(p.Overlaps(*IpPrefix::Parse("10.0.0.0/8")));
  EXPECT_FALSE(IpPrefix::Parse("0.0.0.0/0")->Overlaps(*IpPrefix::Parse("::/0")));
}

TEST(Endpoint, PrintsV6InBrackets) {
  EXPECT_EQ((Endpoint{*IpAddress::Parse("2001:db8::1"), 4500}).ToString(), "[2001:db8::1]:4500");
  EXPECT_EQ((Endpoint{*IpAddress::Parse("192.0.2.1"), 500}).ToString(), "192.0.2.1:500");
}

}  // namespace
}  // namespace espalier
