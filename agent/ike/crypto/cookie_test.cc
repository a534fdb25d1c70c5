// Cookies (IKE-021) and the NAT detection hash (IKE-073).
#include "agent/ike/crypto/cookie.h"

#include <gtest/gtest.h>

#include "agent/ike/crypto/nat_detection.h"
#include "agent/ike/crypto/test_vectors.h"

namespace espalier::ike::crypto {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000);
const Endpoint kSource{*IpAddress::Parse("192.0.2.1"), 4500};
constexpr uint64_t kSpi = 42;

class CookieTest : public testing::Test {
 protected:
  bool Check(absl::Time now, const Bytes& cookie) { return jar_.Check(now, cookie, ni_, kSource, kSpi); }

  CookieJar jar_{Counting(3), absl::Minutes(2)};
  const Bytes ni_ = Bytes(32, 5);
};

TEST_F(CookieTest, Ike021BoundToTheRequest) {
  const Bytes cookie = jar_.Make(kNow, ni_, kSource, kSpi);
  EXPECT_LE(cookie.size(), 64u);
  EXPECT_TRUE(Check(kNow, cookie));
  EXPECT_EQ(jar_.Make(kNow, ni_, kSource, kSpi), cookie) << "stateless";
  EXPECT_FALSE(jar_.Check(kNow, cookie, Bytes(32, 6), kSource, kSpi));
  EXPECT_FALSE(jar_.Check(kNow, cookie, ni_, kSource, kSpi + 1));
  EXPECT_FALSE(jar_.Check(kNow, cookie, ni_, {kSource.address, 500}, kSpi));
  EXPECT_FALSE(jar_.Check(kNow, cookie, ni_, {*IpAddress::Parse("192.0.2.2"), 4500}, kSpi));
}

TEST_F(CookieTest, Ike021WrongOnesAreAsNone) {
  const Bytes cookie = jar_.Make(kNow, ni_, kSource, kSpi);
  EXPECT_FALSE(Check(kNow, {}));
  for (size_t n = 0; n < cookie.size(); ++n) EXPECT_FALSE(Check(kNow, Bytes(cookie.begin(), cookie.begin() + n)));
  Bytes longer = cookie;
  longer.push_back(0);
  EXPECT_FALSE(Check(kNow, longer));
  for (size_t i = 0; i < cookie.size(); ++i) {
    Bytes bad = cookie;
    bad[i] ^= 0x80;
    EXPECT_FALSE(Check(kNow, bad)) << i;
  }
}

TEST_F(CookieTest, Ike021TheFormerSecretIsGoodAShortWhile) {
  const Bytes cookie = jar_.Make(kNow, ni_, kSource, kSpi);
  EXPECT_TRUE(Check(kNow + absl::Seconds(119), cookie));
  EXPECT_TRUE(Check(kNow + absl::Seconds(121), cookie));
  EXPECT_NE(jar_.Make(kNow + absl::Seconds(122), ni_, kSource, kSpi), cookie);
  EXPECT_FALSE(Check(kNow + absl::Seconds(242), cookie));
}

TEST_F(CookieTest, Ike021AfterAQuietTimeNothingOldIsGood) {
  const Bytes cookie = jar_.Make(kNow, ni_, kSource, kSpi);
  EXPECT_FALSE(Check(kNow + absl::Hours(1), cookie));
}

TEST_F(CookieTest, NoCookieBeforeTheFirstIsMade) {
  EXPECT_FALSE(Check(kNow, Bytes(33, 0)));
  EXPECT_FALSE(Check(kNow, Bytes(33, 1)));
}

// Computed apart: hashlib.sha1(spi_i + spi_r + address + port).
TEST(NatDetectionTest, Ike073Hash) {
  EXPECT_EQ(NatDetectionHash(0x0102030405060708, 0, {*IpAddress::Parse("192.0.2.1"), 500}),
            Hex("644b4575455bd6fcc1efe2be8162a9218e448e5f"));
  EXPECT_EQ(NatDetectionHash(0x0102030405060708, 0x1112131415161718, {*IpAddress::Parse("2001:db8::1"), 4500}),
            Hex("1ee24423bf8f59515e0265c6d0f08be3d038f7e5"));
}

}  // namespace
}  // namespace espalier::ike::crypto
