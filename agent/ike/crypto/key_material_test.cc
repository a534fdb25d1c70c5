// Derivation against an independent computation: IKE-027, IKE-030, IKE-040, IKE-063, IKE-080, IKE-081, IKE-083.
#include "agent/ike/crypto/key_material.h"

#include <gtest/gtest.h>

#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/test_vectors.h"

namespace espalier::ike::crypto {
namespace {

constexpr uint64_t kSpiI = 0x0102030405060708, kSpiR = 0x1112131415161718;

Bytes Range(uint8_t from, size_t n) {
  Bytes out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<uint8_t>(from + i);
  return out;
}

Secret Filled(size_t n, uint8_t octet) { return Secret(Bytes(n, octet)); }

PrfId ByBits(const std::string& bits) {
  if (bits == "256") return PrfId::kHmacSha256;
  return bits == "384" ? PrfId::kHmacSha384 : PrfId::kHmacSha512;
}

EspSuite ByName(const std::string& name) {
  if (name == "gcm128") return EspSuite::kAesGcm128;
  return name == "gcm256" ? EspSuite::kAesGcm256 : EspSuite::kChaCha20Poly1305;
}

Bytes Both(const ChildKeys& k) { return Join({Of(k.from_initiator), Of(k.from_responder)}); }

// The named line of derivation.txt, checked by `check` for each PRF (and suite).
template <typename F>
void ForEach(const std::string& name, F check) {
  int n = 0;
  for (const VectorLine& v : ReadVectors("derivation.txt")) {
    if (v[0] != name) continue;
    check(v);
    ++n;
  }
  EXPECT_GE(n, 3) << name;
}

class KeyMaterialTest : public testing::Test {
 protected:
  Secret SkD(PrfId prf) {
    return DeriveIkeKeys(prf, EspSuite::kAesGcm256, InitialSkeyseed(prf, ni_, nr_, shared_), ni_, nr_, kSpiI, kSpiR).d;
  }

  const Bytes ni_ = Range(0, 32), nr_ = Range(100, 48);
  const Secret shared_ = Filled(32, 0x5a), none_;
  const Secret more_[2] = {Filled(32, 0x3c), Filled(48, 0xc3)};
};

TEST_F(KeyMaterialTest, Ike027Skeyseed) {
  ForEach("skeyseed",
          [&](const VectorLine& v) { EXPECT_EQ(Of(InitialSkeyseed(ByBits(v[1]), ni_, nr_, shared_)), Octets(v[2])); });
}

TEST_F(KeyMaterialTest, Ike027IkeKeys) {
  ForEach("ike", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    const IkeKeys k = DeriveIkeKeys(prf, ByName(v[2]), InitialSkeyseed(prf, ni_, nr_, shared_), ni_, nr_, kSpiI, kSpiR);
    EXPECT_EQ(Of(k.d), Octets(v[3]));
    EXPECT_EQ(Of(k.ei), Octets(v[4]));
    EXPECT_EQ(Of(k.er), Octets(v[5]));
    EXPECT_EQ(Of(k.pi), Octets(v[6]));
    EXPECT_EQ(Of(k.pr), Octets(v[7]));
    EXPECT_EQ(k.Clone().pr, k.pr);
  });
}

TEST_F(KeyMaterialTest, Ike081AdditionalKeyExchange) {
  ForEach("additional", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    EXPECT_EQ(Of(AdditionalSkeyseed(prf, SkD(prf), more_[0], ni_, nr_)), Octets(v[2]));
  });
}

TEST_F(KeyMaterialTest, Ike063And083Rekey) {
  ForEach("rekey", [&](const VectorLine& v) {
    EXPECT_EQ(Of(RekeySkeyseed(ByBits(v[1]), SkD(ByBits(v[1])), shared_, ni_, nr_)), Octets(v[2]));
  });
  ForEach("rekey-additional", [&](const VectorLine& v) {
    EXPECT_EQ(Of(RekeySkeyseed(ByBits(v[1]), SkD(ByBits(v[1])), shared_, ni_, nr_, more_)), Octets(v[2]));
  });
}

TEST_F(KeyMaterialTest, Ike027And083ChildKeys) {
  ForEach("child", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    EXPECT_EQ(Both(DeriveChildKeys(prf, SkD(prf), ByName(v[2]), none_, ni_, nr_)), Octets(v[3]));
  });
  ForEach("child-pfs", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    EXPECT_EQ(Both(DeriveChildKeys(prf, SkD(prf), ByName(v[2]), shared_, ni_, nr_)), Octets(v[3]));
  });
  ForEach("child-additional", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    EXPECT_EQ(Both(DeriveChildKeys(prf, SkD(prf), ByName(v[2]), shared_, ni_, nr_, more_)), Octets(v[3]));
  });
}

TEST_F(KeyMaterialTest, Ike030SignedOctetsCoverReservedOfTheId) {
  const std::string message = "msg", int_auth = "intauth";
  const Bytes id = Hex("0b aabbcc 6964");
  ForEach("signed", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    EXPECT_EQ(SignedOctets(prf, Bytes(message.begin(), message.end()), nr_, SkD(prf), id,
                           Bytes(int_auth.begin(), int_auth.end())),
              Octets(v[2]));
    EXPECT_EQ(SignedOctets(prf, {}, {}, SkD(prf), id, {}).size(), PrfSize(prf)) << "no IntAuth: nothing in its place";
  });
}

TEST_F(KeyMaterialTest, Ike080IntAuthChain) {
  ForEach("intauth", [&](const VectorLine& v) {
    const PrfId prf = ByBits(v[1]);
    const Bytes one = IntAuthLink(prf, SkD(prf), {}, Hex("4131"), Hex("5031"));
    EXPECT_EQ(one, Octets(v[2]));
    EXPECT_EQ(IntAuthLink(prf, SkD(prf), one, Hex("4132"), {}), Octets(v[3]));
  });
  EXPECT_EQ(IntAuth(Hex("0102"), Hex("0304"), 3), Hex("01020304 00000003"));
}

TEST_F(KeyMaterialTest, Ike040SharedKey) {
  const std::string octets = "octets";
  ForEach("psk", [&](const VectorLine& v) {
    EXPECT_EQ(Of(SharedKeyAuth(ByBits(v[1]), Secret(Hex("736563726574")), Bytes(octets.begin(), octets.end()))),
              Octets(v[2]));
  });
}

TEST(TimingSafeEqualTest, Values) {
  EXPECT_TRUE(TimingSafeEqual({}, {}));
  EXPECT_TRUE(TimingSafeEqual(Hex("0102"), Hex("0102")));
  EXPECT_FALSE(TimingSafeEqual(Hex("0102"), Hex("0103")));
  EXPECT_FALSE(TimingSafeEqual(Hex("0102"), Hex("01")));
}

}  // namespace
}  // namespace espalier::ike::crypto
