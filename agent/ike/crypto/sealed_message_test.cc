// Sealed messages and fragments: IKE-005, IKE-006, IKE-013, IKE-014, IKE-070, IKE-071, IKE-080.
#include "agent/ike/crypto/sealed_message.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/ike/crypto/suite.h"
#include "agent/ike/crypto/test_vectors.h"
#include "agent/ike/wire/error.h"

namespace espalier::ike::crypto {
namespace {

using wire::PayloadType;

const absl::Time kNow = absl::FromUnixSeconds(1000);
const wire::Header kHeader{.spi_i = 0xc0c1c2c3c4c5c6c7,
                           .spi_r = 0xd0d1d2d3d4d5d6d7,
                           .exchange = wire::ExchangeType::kInformational,
                           .message_id = 9};

Aead Key(EspSuite suite = EspSuite::kAesGcm256) { return *Aead::Create(suite, Bytes(AeadKeySize(suite), 0x33)); }

wire::Payloads Inner(size_t vendor_id = 10) {
  wire::Payloads p;
  p.Add(wire::NotifyPayload(wire::NotifyType::kSetWindowSize, Hex("0000000a")));
  p.Add(PayloadType::kVendorId, wire::OpaquePayload{Bytes(vendor_id, 0x77)});
  return p;
}

absl::StatusOr<wire::OpenedMessage> Open(const Bytes& datagram, const Aead& aead) {
  const auto m = wire::ParseMessage(datagram);
  if (!m.ok()) return m.status();
  return OpenMessage(datagram, *m, aead);
}

std::optional<wire::OpenedMessage> Reassemble(const std::vector<Bytes>& datagrams, const Aead& aead) {
  wire::Reassembler r;
  std::optional<wire::OpenedMessage> out;
  for (const Bytes& d : datagrams) {
    const auto m = wire::ParseMessage(d);
    EXPECT_TRUE(m.ok());
    EXPECT_TRUE(r.Wants(m->encrypted->fragment, m->encrypted->total));
    auto fragment = OpenFragment(d, *m, aead);
    EXPECT_TRUE(fragment.ok()) << fragment.status();
    out = r.Add(kNow, *std::move(fragment));
  }
  return out;
}

TEST(SealedMessageTest, Ike014Rfc7634AppendixB) {
  const auto aead = Aead::Create(EspSuite::kChaCha20Poly1305,
                                 Hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3"));
  wire::Payloads p;
  p.Add(wire::NotifyPayload(wire::NotifyType::kSetWindowSize, Hex("0000000a")));
  uint64_t iv = 0x1011121314151617;
  const auto sealed = SealMessage(kHeader, p, *aead, &iv, {});
  ASSERT_TRUE(sealed.ok());
  ASSERT_EQ(sealed->datagrams.size(), 1u);
  EXPECT_EQ(sealed->datagrams[0],
            Hex("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d7 2e20250000000009 00000045 29000029 1011121314151617"
                "610394701f8d017f7c12924889 6b71bfe25236efd7cdc67066906315b2"));
  EXPECT_EQ(iv, 0x1011121314151618u);
  const auto opened = Open(sealed->datagrams[0], *aead);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(*wire::ParsePayloads(opened->first_inner, opened->inner), p);
}

TEST(SealedMessageTest, RoundTripOfEverySuite) {
  for (EspSuite suite : {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305}) {
    const Aead aead = Key(suite);
    uint64_t iv = 0;
    const auto sealed = SealMessage(kHeader, Inner(), aead, &iv, {});
    ASSERT_TRUE(sealed.ok());
    const auto opened = Open(sealed->datagrams[0], aead);
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(*wire::ParsePayloads(opened->first_inner, opened->inner), Inner());
    EXPECT_EQ(opened->int_auth_header, sealed->int_auth_header);
  }
}

TEST(SealedMessageTest, Ike013EmptySkIsLegal) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const auto sealed = SealMessage(kHeader, wire::Payloads(), aead, &iv, {});
  ASSERT_TRUE(sealed.ok());
  const auto opened = Open(sealed->datagrams[0], aead);
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(opened->inner.empty());
  EXPECT_EQ(opened->first_inner, PayloadType::kNone);
  EXPECT_TRUE(wire::ParsePayloads(opened->first_inner, opened->inner)->empty());
}

TEST(SealedMessageTest, Ike013FlipEveryBit) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const Bytes good = SealMessage(kHeader, Inner(), aead, &iv, {})->datagrams[0];
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(Open(bad, aead).ok()) << bit;
  }
  for (size_t n = 0; n < good.size(); ++n) {
    EXPECT_FALSE(Open(Bytes(good.begin(), good.begin() + n), aead).ok());
    // Also with lengths that agree.
    if (n < 32) continue;
    Bytes cut(good.begin(), good.begin() + n);
    Writer w(&cut);
    w.PatchU32(24, static_cast<uint32_t>(n));
    w.PatchU16(30, static_cast<uint16_t>(n - 28));
    const auto opened = Open(cut, aead);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(wire::FaultOf(opened.status()), wire::Fault::kDrop);
  }
}

// A message with padding, sealed by hand.
Bytes SealPlain(const Bytes& plain, const Aead& aead, PayloadType first = PayloadType::kNotify, const Bytes& clear = {},
                PayloadType first_clear = PayloadType::kSk) {
  Bytes out;
  Writer w(&out);
  const size_t sk = 4 + kIvSize + plain.size() + kIcvSize;
  wire::WriteHeader(kHeader, first_clear, static_cast<uint32_t>(28 + clear.size() + sk), &w);
  w.Raw(clear);
  w.U8(static_cast<uint8_t>(first));
  w.U8(0);
  w.U16(static_cast<uint16_t>(sk));
  const Bytes aad = out;
  EXPECT_TRUE(aead.Seal(77, aad, plain, &out).ok());
  return out;
}

TEST(SealedMessageTest, Ike013PaddingIsBounded) {
  const Aead aead = Key();
  const Bytes notify = Hex("0000000c 00004001 0000000a");
  for (uint8_t pad : {0, 1, 16, 255}) {
    const auto opened = Open(SealPlain(Join({notify, Bytes(pad, 0xee), {pad}}), aead), aead);
    ASSERT_TRUE(opened.ok()) << int{pad};
    EXPECT_EQ(opened->inner, notify);
    // The adjusted lengths count no padding (RFC 9242 section 3.3.2).
    EXPECT_EQ(opened->int_auth_header[27], 28 + 4 + 12);
    EXPECT_EQ(opened->int_auth_header[31], 4 + 12);
  }
  for (const Bytes& plain : {Bytes{1}, Bytes{255}, Join({notify, {13}}), Bytes{}}) {
    const auto opened = Open(SealPlain(plain, aead), aead);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(wire::FaultOf(opened.status()), wire::Fault::kMalformed) << "after a good ICV: INVALID_SYNTAX";
  }
  EXPECT_TRUE(Open(SealPlain(Join({notify, {12}}), aead), aead).ok());
}

TEST(SealedMessageTest, Ike006CriticalClearPayloadOnlyAfterTheIcv) {
  const Aead aead = Key();
  Bytes m = SealPlain(Hex("00"), aead, PayloadType::kNone, Hex("2e 80 0004"), static_cast<PayloadType>(200));
  const auto opened = Open(m, aead);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(wire::FaultOf(opened.status()), wire::Fault::kCritical);
  EXPECT_EQ(wire::CriticalType(opened.status()), static_cast<PayloadType>(200));
  m.back() ^= 1;
  EXPECT_EQ(wire::FaultOf(Open(m, aead).status()), wire::Fault::kDrop);
  // Not critical: stepped over, but part of the associated data and of IntAuth.
  const Bytes fine = SealPlain(Hex("00"), aead, PayloadType::kNone, Hex("2e 00 0004"), static_cast<PayloadType>(200));
  const auto stepped = Open(fine, aead);
  ASSERT_TRUE(stepped.ok());
  EXPECT_EQ(stepped->int_auth_header.size(), 28u + 4 + 4);
}

TEST(SealedMessageTest, Ike014IvsAreNeverRepeated) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const auto a = SealMessage(kHeader, Inner(5000), aead, &iv, {.fragmentation = true, .max_message = 600});
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(iv, a->datagrams.size());
  for (size_t i = 0; i < a->datagrams.size(); ++i) {
    uint64_t used = ~uint64_t{0};
    Reader(ByteSpan(a->datagrams[i]).subspan(36)).U64(&used);
    EXPECT_EQ(used, i);
  }
  iv = ~uint64_t{0};
  EXPECT_TRUE(absl::IsResourceExhausted(SealMessage(kHeader, Inner(), aead, &iv, {}).status()));
  EXPECT_EQ(iv, ~uint64_t{0}) << "and it does not wrap";
}

TEST(FragmentTest, Ike070OneThatFitsGoesWhole) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const size_t whole = SealMessage(kHeader, Inner(500), aead, &iv, {})->datagrams[0].size();
  const auto fits = SealMessage(kHeader, Inner(500), aead, &iv, {.fragmentation = true, .max_message = whole});
  ASSERT_EQ(fits->datagrams.size(), 1u);
  EXPECT_EQ(wire::ParseMessage(fits->datagrams[0])->encrypted->type, PayloadType::kSk);
  const auto split = SealMessage(kHeader, Inner(500), aead, &iv, {.fragmentation = true, .max_message = whole - 1});
  EXPECT_EQ(split->datagrams.size(), 2u);
  const auto not_agreed = SealMessage(kHeader, Inner(50000), aead, &iv, {.max_message = 600});
  EXPECT_EQ(not_agreed->datagrams.size(), 1u);
}

TEST(FragmentTest, Ike070Form) {
  const Aead aead = Key();
  uint64_t iv = 0;
  for (size_t max : {128u, 548u, 1232u}) {
    const auto sealed = SealMessage(kHeader, Inner(4000), aead, &iv, {.fragmentation = true, .max_message = max});
    ASSERT_TRUE(sealed.ok());
    const size_t total = sealed->datagrams.size();
    EXPECT_GT(total, 1u);
    for (size_t i = 0; i < total; ++i) {
      EXPECT_LE(sealed->datagrams[i].size(), max);
      const auto m = wire::ParseMessage(sealed->datagrams[i]);
      ASSERT_TRUE(m.ok());
      EXPECT_EQ(m->header.message_id, kHeader.message_id);
      EXPECT_EQ(m->encrypted->type, PayloadType::kSkf);
      EXPECT_EQ(m->encrypted->fragment, i + 1);
      EXPECT_EQ(m->encrypted->total, total);
      EXPECT_EQ(m->encrypted->first_inner, i == 0 ? PayloadType::kNotify : PayloadType::kNone);
    }
    const auto whole = Reassemble(sealed->datagrams, aead);
    if (total > 20) continue;
    ASSERT_TRUE(whole.has_value());
    EXPECT_EQ(*wire::ParsePayloads(whole->first_inner, whole->inner), Inner(4000));
    EXPECT_EQ(whole->int_auth_header, sealed->int_auth_header) << "IKE-080";
  }
}

TEST(FragmentTest, Ike080SameIntAuthFragmentedOrNot) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const auto whole = SealMessage(kHeader, Inner(3000), aead, &iv, {});
  const auto split = SealMessage(kHeader, Inner(3000), aead, &iv, {.fragmentation = true});
  ASSERT_GT(split->datagrams.size(), 1u);
  EXPECT_EQ(whole->int_auth_header, split->int_auth_header);
  EXPECT_EQ(Open(whole->datagrams[0], aead)->int_auth_header, whole->int_auth_header);
  auto reversed = split->datagrams;
  std::ranges::reverse(reversed);
  EXPECT_EQ(Reassemble(reversed, aead)->int_auth_header, whole->int_auth_header);
}

TEST(FragmentTest, Ike071NumbersAreAuthenticated) {
  const Aead aead = Key();
  uint64_t iv = 0;
  const Bytes good = SealMessage(kHeader, Inner(3000), aead, &iv, {.fragmentation = true})->datagrams[0];
  ASSERT_TRUE(OpenFragment(good, *wire::ParseMessage(good), aead).ok());
  for (size_t at = 0; at < 60; ++at) {
    for (uint8_t bit : {0x01, 0x80}) {
      Bytes bad = good;
      bad[at] ^= bit;
      const auto m = wire::ParseMessage(bad);
      if (!m.ok() || !m->encrypted.has_value()) continue;
      EXPECT_FALSE(OpenFragment(bad, *m, aead).ok()) << at;
    }
  }
  // Neither kind opens as the other.
  EXPECT_FALSE(Open(good, aead).ok());
}

TEST(FragmentTest, Ike070SizeOfAMessage) {
  EXPECT_EQ(MaxMessageSize(1280, false, true), 1280u - 20 - 8 - 4);
  EXPECT_EQ(MaxMessageSize(1280, true, true), 1280u - 40 - 8 - 4);
  EXPECT_EQ(MaxMessageSize(576, false, false), 576u - 20 - 8);
  EXPECT_EQ(MaxMessageSize(0, true, true), 128u);
}

TEST(FragmentTest, TooLong) {
  const Aead aead = Key();
  uint64_t iv = 0;
  EXPECT_TRUE(absl::IsResourceExhausted(
      SealMessage(kHeader, PayloadType::kVendorId, Bytes(65001), aead, &iv, {.fragmentation = true}).status()));
}

TEST(SuiteTest, Ike010TransformsOfASuite) {
  EXPECT_EQ(EncrTransform(EspSuite::kAesGcm256).key_bits, 256);
  EXPECT_FALSE(EncrTransform(EspSuite::kChaCha20Poly1305).key_bits.has_value());
  EXPECT_EQ(EspSuiteOf(EncrTransform(EspSuite::kAesGcm128)), EspSuite::kAesGcm128);
  EXPECT_FALSE(EspSuiteOf({wire::TransformType::kEncr, wire::encr::kAesGcm16}).has_value());
  EXPECT_FALSE(EspSuiteOf({wire::TransformType::kEncr, wire::encr::kChaCha20Poly1305, 256}).has_value());
}

TEST(SuiteTest, Ike081OfAnAcceptedProposal) {
  using enum wire::TransformType;
  wire::Proposal p{.transforms = {EncrTransform(EspSuite::kAesGcm256),
                                  {kPrf, wire::prf::kHmacSha512},
                                  {kKe, wire::ke::kX25519},
                                  {kAddKe5, wire::ke::kP256},
                                  {kAddKe2, wire::ke::kMlKem768},
                                  {kAddKe1, wire::ke::kNone}}};
  const auto suite = SuiteOf(p);
  ASSERT_TRUE(suite.has_value());
  EXPECT_EQ(suite->additional_ke, (std::vector<uint16_t>{wire::ke::kMlKem768, wire::ke::kP256}));
  EXPECT_EQ(ToString(*suite), "AES-256-GCM/PRF-HMAC-SHA2-512/X25519+ML-KEM-768+P-256");
  p.transforms[2].id = 14;
  EXPECT_FALSE(SuiteOf(p).has_value());
  p.transforms.pop_back();
  p.transforms[2].id = wire::ke::kX25519;
  p.transforms[1].id = 2;
  EXPECT_FALSE(SuiteOf(p).has_value());
}

}  // namespace
}  // namespace espalier::ike::crypto
