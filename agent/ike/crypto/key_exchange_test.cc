// Key exchange: IKE-011 (lengths), IKE-026 (checks of public values), IKE-082 (ML-KEM-768).
#include "agent/ike/crypto/key_exchange.h"

#include <gtest/gtest.h>

#include "agent/ike/crypto/test_vectors.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::crypto {
namespace {

constexpr uint16_t kMethods[] = {wire::ke::kX25519, wire::ke::kP256, wire::ke::kP384, wire::ke::kP521,
                                 wire::ke::kMlKem768};

std::unique_ptr<KeyExchange> Make(uint16_t method, const RandomSource& random = {}) {
  auto k = KeyExchange::Create(method, random);
  EXPECT_TRUE(k.ok()) << k.status();
  return *std::move(k);
}

TEST(KeyExchangeTest, BothEndsAgree) {
  for (uint16_t method : kMethods) {
    for (int i = 0; i < 3; ++i) {
      const auto initiator = Make(method);
      EXPECT_EQ(initiator->method(), method);
      EXPECT_EQ(initiator->public_value().size(), KeInitiatorSize(method));
      const auto response = KeRespond(method, initiator->public_value());
      ASSERT_TRUE(response.ok()) << method << response.status();
      EXPECT_EQ(response->public_value.size(), KeResponderSize(method));
      const auto secret = initiator->Finish(response->public_value);
      ASSERT_TRUE(secret.ok());
      EXPECT_EQ(*secret, response->secret);
      EXPECT_EQ(*initiator->Finish(response->public_value), response->secret) << "twice gives the same";
    }
  }
}

TEST(KeyExchangeTest, FreshEachTimeAndTheSameFromTheSameRandomness) {
  for (uint16_t method : kMethods) {
    const auto a = Make(method), b = Make(method);
    EXPECT_FALSE(std::ranges::equal(a->public_value(), b->public_value()));
    const auto c = Make(method, Counting(1)), d = Make(method, Counting(1));
    EXPECT_TRUE(std::ranges::equal(c->public_value(), d->public_value()));
    const auto r1 = KeRespond(method, c->public_value(), Counting(2));
    const auto r2 = KeRespond(method, c->public_value(), Counting(2));
    EXPECT_EQ(r1->public_value, r2->public_value);
    EXPECT_EQ(r1->secret, r2->secret);
  }
}

TEST(KeyExchangeTest, Ike011LengthsOneOff) {
  for (uint16_t method : kMethods) {
    const auto k = Make(method);
    for (int off : {-1, 1}) {
      EXPECT_TRUE(absl::IsInvalidArgument(k->Finish(Bytes(KeResponderSize(method) + off, 4)).status())) << method;
      EXPECT_TRUE(absl::IsInvalidArgument(KeRespond(method, Bytes(KeInitiatorSize(method) + off, 4)).status()));
    }
    EXPECT_TRUE(absl::IsInvalidArgument(k->Finish({}).status()));
    EXPECT_TRUE(absl::IsInvalidArgument(KeRespond(method, {}).status()));
  }
}

TEST(KeyExchangeTest, UnknownMethods) {
  for (uint16_t method : {0, 1, 2, 5, 14, 22, 23, 24, 32, 35, 37, 65535}) {
    EXPECT_FALSE(KeSupported(method));
    EXPECT_EQ(KeInitiatorSize(method), 0u);
    EXPECT_TRUE(absl::IsUnimplemented(KeyExchange::Create(method).status()));
    EXPECT_TRUE(absl::IsUnimplemented(KeRespond(method, Bytes(32, 1)).status()));
  }
}

TEST(EcpTest, Rfc5903) {
  for (const VectorLine& v : ReadVectors("rfc5903.txt")) {
    const auto method = static_cast<uint16_t>(std::stoi(v[0]));
    const auto k = Make(method, Fixed(Octets(v[1])));
    EXPECT_EQ(Bytes(k->public_value().begin(), k->public_value().end()), Octets(v[2])) << method;
    const auto response = KeRespond(method, Octets(v[2]), Fixed(Octets(v[3])));
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->public_value, Octets(v[4]));
    EXPECT_EQ(Of(response->secret), Octets(v[5]));
    EXPECT_EQ(Of(*k->Finish(Octets(v[4]))), Octets(v[5]));
  }
}

TEST(EcpTest, Ike026Wycheproof) {
  for (const auto& [file, method] :
       {std::pair{"p256.txt", wire::ke::kP256}, {"p384.txt", wire::ke::kP384}, {"p521.txt", wire::ke::kP521}}) {
    for (const VectorLine& v : ReadVectors(file)) {
      const auto secret = Make(method, Fixed(Octets(v[2])))->Finish(Octets(v[3]));
      ASSERT_EQ(secret.ok(), v[1] == "valid") << file << " case " << v[0];
      if (secret.ok()) {
        EXPECT_EQ(Of(*secret), Octets(v[4])) << file << " case " << v[0];
      }
    }
  }
}

TEST(EcpTest, Ike026PointsOffTheCurve) {
  for (uint16_t method : {wire::ke::kP256, wire::ke::kP384, wire::ke::kP521}) {
    const auto k = Make(method);
    const size_t n = KeInitiatorSize(method);
    EXPECT_FALSE(k->Finish(Bytes(n, 0)).ok()) << "0, 0";
    EXPECT_FALSE(k->Finish(Bytes(n, 0xff)).ok()) << "coordinates above the prime";
    const auto other = Make(method);
    Bytes point(other->public_value().begin(), other->public_value().end());
    ASSERT_TRUE(k->Finish(point).ok());
    for (size_t at : {size_t{0}, n / 2 - 1, n / 2, n - 1}) {
      Bytes off = point;
      off[at] ^= 1;
      EXPECT_TRUE(absl::IsInvalidArgument(k->Finish(off).status())) << method << " octet " << at;
      EXPECT_TRUE(absl::IsInvalidArgument(KeRespond(method, off).status()));
    }
  }
}

TEST(EcpTest, ScalarsOutOfRangeAreDrawnAgain) {
  for (uint16_t method : {wire::ke::kP256, wire::ke::kP384, wire::ke::kP521}) {
    int call = 0;
    const auto k = Make(method, [&](std::span<uint8_t> out) {
      const uint8_t octets[] = {0, 0xff, 1};  // 0, above the order, good
      std::ranges::fill(out, octets[std::min(call++, 2)]);
    });
    EXPECT_EQ(call, 3);
    // A source that never gives one ends too.
    EXPECT_FALSE(KeyExchange::Create(method, [](std::span<uint8_t> out) { std::ranges::fill(out, 0); }).ok());
  }
}

TEST(X25519Test, Ike026Wycheproof) {
  const Bytes zero(32);
  int refused = 0;
  for (const VectorLine& v : ReadVectors("x25519.txt")) {
    const auto secret = Make(wire::ke::kX25519, Fixed(Octets(v[2])))->Finish(Octets(v[3]));
    // Non-canonical values and twists are taken, a secret of zeros is not (RFC 7748 sections 5 and 6.1).
    const bool good = v[1] != "invalid" && Octets(v[4]) != zero;
    refused += !good;
    ASSERT_EQ(secret.ok(), good) << v[0];
    if (good) {
      EXPECT_EQ(Of(*secret), Octets(v[4])) << v[0];
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(X25519Test, Ike026SmallOrder) {
  const auto k = Make(wire::ke::kX25519);
  // RFC 7748: 0, 1, p-1, p, p+1, and the two of order 8, with and without the top bit.
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"}) {
    Bytes value = Hex(point);
    EXPECT_TRUE(absl::IsInvalidArgument(k->Finish(value).status())) << point;
    EXPECT_TRUE(absl::IsInvalidArgument(KeRespond(wire::ke::kX25519, value).status())) << point;
    value[31] |= 0x80;
    EXPECT_TRUE(absl::IsInvalidArgument(k->Finish(value).status())) << point << " top bit";
  }
}

TEST(MlKemTest, Ike082Sizes) {
  EXPECT_EQ(KeInitiatorSize(wire::ke::kMlKem768), 1184u);
  EXPECT_EQ(KeResponderSize(wire::ke::kMlKem768), 1088u);
}

TEST(MlKemTest, Ike082Decapsulation) {
  for (const VectorLine& v : ReadVectors("mlkem768_decaps.txt")) {
    const Bytes seed = Octets(v[2]);
    if (seed.size() != 64) continue;  // a seed of another length can't come to us: we draw it
    const auto k = Make(wire::ke::kMlKem768, Fixed(seed));
    if (v[3] != "-") {
      EXPECT_EQ(Bytes(k->public_value().begin(), k->public_value().end()), Octets(v[3])) << v[0];
    }
    const auto secret = k->Finish(Octets(v[4]));
    ASSERT_EQ(secret.ok(), v[1] == "valid") << v[0];
    if (secret.ok()) {
      EXPECT_EQ(Of(*secret), Octets(v[5])) << v[0];
    }
  }
}

TEST(MlKemTest, Ike082EncapsulationKeyCheck) {
  int valid = 0, refused = 0;
  for (const VectorLine& v : ReadVectors("mlkem768_encaps.txt")) {
    const auto r = KeRespond(wire::ke::kMlKem768, Octets(v[3]), Fixed(Octets(v[2])));
    ASSERT_EQ(r.ok(), v[1] == "valid") << v[0];
    if (!r.ok()) {
      ++refused;
      EXPECT_TRUE(absl::IsInvalidArgument(r.status()));
      continue;
    }
    ++valid;
    EXPECT_EQ(r->public_value, Octets(v[4])) << v[0];
    EXPECT_EQ(Of(r->secret), Octets(v[5])) << v[0];
  }
  EXPECT_GT(valid, 0);
  EXPECT_GT(refused, 0);
}

TEST(MlKemTest, Ike082ImplicitRejectionGivesAnotherSecret) {
  const auto k = Make(wire::ke::kMlKem768);
  auto r = KeRespond(wire::ke::kMlKem768, k->public_value());
  ASSERT_TRUE(r.ok());
  r->public_value[100] ^= 1;
  const auto secret = k->Finish(r->public_value);
  ASSERT_TRUE(secret.ok());
  EXPECT_FALSE(*secret == r->secret);
}

}  // namespace
}  // namespace espalier::ike::crypto
