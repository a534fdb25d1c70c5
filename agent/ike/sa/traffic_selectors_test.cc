#include "agent/ike/sa/traffic_selectors.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace espalier::ike {
namespace {

using wire::TrafficSelector;

TrafficSelector Ts(absl::string_view first, absl::string_view last, uint8_t protocol = 0, uint16_t start = 0,
                   uint16_t end = 65535) {
  TrafficSelector t;
  t.first = *IpAddress::Parse(first);
  t.last = *IpAddress::Parse(last);
  t.protocol = protocol;
  t.start_port = start;
  t.end_port = end;
  return t;
}

const TrafficSelector kTen = Ts("10.0.0.0", "10.255.255.255");
const TrafficSelector kTenOne = Ts("10.1.0.0", "10.1.255.255");
const TrafficSelector kEleven = Ts("11.0.0.0", "11.255.255.255");
const TrafficSelector kSix = Ts("2001:db8::", "2001:db8::ffff");
const TrafficSelector kHttps = Ts("10.0.0.0", "10.255.255.255", 6, 443, 443);
const TrafficSelector kLow = Ts("10.0.0.0", "10.255.255.255", 6, 0, 1023);
const TrafficSelector kUdp = Ts("10.0.0.0", "10.255.255.255", 17);
const TrafficSelector kOpaque = Ts("10.0.0.0", "10.255.255.255", 6, 65535, 0);

struct Case {
  const char* name;
  TrafficSelectors offered, allowed, result;
};

TEST(TrafficSelectors, Narrow) {
  const TrafficSelector all4 = TrafficSelector::All4(), all6 = TrafficSelector::All6();
  const std::vector<Case> cases = {
      {"all of both families", {all4, all6}, {all4, all6}, {all4, all6}},
      {"one family only", {all4}, {all4, all6}, {all4}},
      {"the other family", {all6}, {all4}, {}},
      {"a subnet of all", {kTen}, {all4, all6}, {kTen}},
      {"all offered, a subnet allowed", {all4, all6}, {kTen}, {kTen}},
      {"overlap", {kTen}, {kTenOne, kEleven}, {kTenOne}},
      {"disjoint", {kTenOne}, {kEleven}, {}},
      {"partial overlap", {Ts("10.0.0.0", "10.5.0.0")}, {Ts("10.4.0.0", "10.9.0.0")}, {Ts("10.4.0.0", "10.5.0.0")}},
      {"one address in common",
       {Ts("10.0.0.0", "10.5.0.0")},
       {Ts("10.5.0.0", "10.9.0.0")},
       {Ts("10.5.0.0", "10.5.0.0")}},
      {"nothing offered", {}, {all4}, {}},
      {"nothing allowed", {all4}, {}, {}},
      {"protocol narrows", {kTen}, {kUdp}, {kUdp}},
      {"protocol of the offer", {kUdp}, {kTen}, {kUdp}},
      {"other protocol", {kUdp}, {kHttps}, {}},
      {"port in range", {kLow}, {kHttps}, {kHttps}},
      {"port of all", {kHttps}, {kTen}, {kHttps}},
      {"opaque in any", {kOpaque}, {kTen}, {kOpaque}},
      {"any in opaque", {kTen}, {kOpaque}, {kOpaque}},
      {"opaque and a port", {kOpaque}, {kHttps}, {}},
      {"opaque twice", {kOpaque}, {kOpaque}, {kOpaque}},
      {"the packet's selector first", {Ts("10.1.2.3", "10.1.2.3", 6, 443, 443), all4}, {kTen}, {kTen}},
      {"the packet's selector first, apart",
       {Ts("11.1.2.3", "11.1.2.3"), kTenOne},
       {kTen, kEleven},
       {Ts("11.1.2.3", "11.1.2.3"), kTenOne}},
      {"contained ones are joined", {kTen, kTenOne}, {all4}, {kTen}},
      {"contained one first", {kTenOne, kTen}, {all4}, {kTen}},
      {"equal ones", {kTen, kTen}, {all4}, {kTen}},
      {"mixed families", {kSix, kTen}, {all4, all6}, {kSix, kTen}},
      {"mixed, one allowed", {kSix, kTen}, {all4}, {kTen}},
      {"two allowed of one offered", {all4}, {kTen, kEleven}, {kTen, kEleven}},
      {"IPv6 overlap",
       {Ts("2001:db8::", "2001:db8::ff")},
       {Ts("2001:db8::80", "2001:db8::ffff")},
       {Ts("2001:db8::80", "2001:db8::ff")}},
      {"ICMP type and code",
       {Ts("10.0.0.0", "10.0.0.255", 1, 0x0800, 0x08ff)},
       {all4},
       {Ts("10.0.0.0", "10.0.0.255", 1, 0x0800, 0x08ff)}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Narrow(c.offered, c.allowed), c.result) << c.name;
    // IKE-068: what a right responder answers lies inside the offer.
    if (!c.result.empty()) {
      EXPECT_TRUE(Within(c.result, c.offered)) << c.name;
    }
  }
}

TEST(TrafficSelectors, ResultIsBounded) {
  TrafficSelectors many;
  for (int i = 0; i < 255; ++i) many.push_back(Ts(absl::StrCat("10.0.", i, ".1"), absl::StrCat("10.0.", i, ".1")));
  EXPECT_EQ(Narrow(many, AllTraffic()).size(), 64u);
}

TEST(TrafficSelectors, WiderAnswersAreSeen) {
  EXPECT_FALSE(Within({kTen}, {kTenOne}));
  EXPECT_FALSE(Within({TrafficSelector::All6()}, {TrafficSelector::All4()}));
  EXPECT_FALSE(Within({kTenOne, kEleven}, {kTen}));
  EXPECT_FALSE(Within({kTen}, {kHttps}));
  EXPECT_FALSE(Within({}, {kTen}));
}

}  // namespace
}  // namespace espalier::ike
