#include "agent/ike/crypto/prf.h"

#include <gtest/gtest.h>

#include "agent/ike/crypto/test_vectors.h"

namespace espalier::ike::crypto {
namespace {

PrfId ByBits(const std::string& bits) {
  if (bits == "256") return PrfId::kHmacSha256;
  return bits == "384" ? PrfId::kHmacSha384 : PrfId::kHmacSha512;
}

TEST(PrfTest, Rfc4868) {
  for (const VectorLine& v : ReadVectors("rfc4868.txt")) {
    EXPECT_EQ(Of(Prf(ByBits(v[0]), Octets(v[1]), {Octets(v[2])})), Octets(v[3]));
  }
}

TEST(PrfTest, Wycheproof) {
  for (const VectorLine& v : ReadVectors("hmac.txt")) {
    EXPECT_EQ(Of(Prf(ByBits(v[1]), Octets(v[2]), {Octets(v[3])})), Octets(v[4])) << v[1] << " case " << v[0];
  }
}

TEST(PrfTest, PartsAreJoined) {
  const Bytes key(7, 1), a = Hex("01"), b = Hex("0203"), whole = Hex("010203");
  EXPECT_EQ(Prf(PrfId::kHmacSha256, key, {a, {}, b}), Prf(PrfId::kHmacSha256, key, {whole}));
  EXPECT_NE(Of(Prf(PrfId::kHmacSha256, key, {b, a})), Of(Prf(PrfId::kHmacSha256, key, {whole})));
}

TEST(PrfTest, AnEmptyKeyIsAKey) {
  EXPECT_EQ(Of(Prf(PrfId::kHmacSha256, {}, {})),
            Hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
}

TEST(PrfPlusTest, Ike027LengthsAndItsEnd) {
  const Bytes key(32, 1), seed(64, 2);
  for (PrfId prf : {PrfId::kHmacSha256, PrfId::kHmacSha384, PrfId::kHmacSha512}) {
    const size_t most = 255 * PrfSize(prf);
    const auto all = PrfPlus(prf, key, seed, most);
    ASSERT_TRUE(all.ok());
    EXPECT_FALSE(PrfPlus(prf, key, seed, most + 1).ok());
    for (size_t n : {size_t{0}, size_t{1}, PrfSize(prf) - 1, PrfSize(prf), PrfSize(prf) + 1, size_t{200}}) {
      const auto part = PrfPlus(prf, key, seed, n);
      ASSERT_TRUE(part.ok());
      EXPECT_TRUE(std::ranges::equal(part->span(), all->span().first(n))) << n;
    }
  }
}

TEST(PrfPlusTest, LastBlock) {
  for (const VectorLine& v : ReadVectors("derivation.txt")) {
    if (v[0] != "prf+") continue;
    const PrfId prf = ByBits(v[1]);
    Bytes ni(32);
    for (size_t i = 0; i < ni.size(); ++i) ni[i] = static_cast<uint8_t>(i);
    const auto all = PrfPlus(prf, Bytes(32, 0x5a), ni, 255 * PrfSize(prf));
    EXPECT_EQ(Bytes(all->span().end() - 16, all->span().end()), Octets(v[2]));
  }
}

}  // namespace
}  // namespace espalier::ike::crypto
