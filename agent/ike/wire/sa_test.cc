// Security association payload and what of it may be chosen: IKE-009, IKE-010, IKE-025, IKE-081.
#include "agent/ike/wire/sa.h"

#include <gtest/gtest.h>

#include "agent/ike/wire/error.h"
#include "agent/ike/wire/proposal_rules.h"
#include "agent/ike/wire/test_octets.h"

namespace espalier::ike::wire {
namespace {

using enum TransformType;

constexpr Transform kGcm256{kEncr, encr::kAesGcm16, 256};
constexpr Transform kGcm128{kEncr, encr::kAesGcm16, 128};
constexpr Transform kChaCha{kEncr, encr::kChaCha20Poly1305};
constexpr Transform kCbc256{kEncr, encr::kAesCbc, 256};
constexpr Transform kPrf256{kPrf, prf::kHmacSha256};
constexpr Transform kInteg256{kInteg, integ::kHmacSha256_128};
constexpr Transform kIntegNone{kInteg, integ::kNone};
constexpr Transform kX25519{kKe, ke::kX25519};
constexpr Transform kKeNone{kKe, ke::kNone};
constexpr Transform kEsn{kSequenceNumbers, sequence_numbers::kEsn};
constexpr Transform kMlKem{kAddKe1, ke::kMlKem768};

Proposal Ike(std::vector<Transform> transforms) { return {.transforms = std::move(transforms)}; }

Proposal Esp(std::vector<Transform> transforms) {
  Proposal p{.protocol = ProtocolId::kEsp, .transforms = std::move(transforms)};
  p.set_spi32(0x01020304);
  return p;
}

Bytes Written(const SaPayload& sa) {
  Bytes out;
  Writer w(&out);
  sa.Write(&w);
  return out;
}

TEST(SaTest, RoundTrip) {
  SaPayload sa;
  sa.proposals.push_back(Ike({kGcm256, kGcm128, kChaCha, kPrf256, kX25519, kMlKem}));
  sa.proposals.push_back(Ike({kCbc256, kPrf256, kInteg256, kX25519}));
  sa.proposals[1].number = 2;
  sa.proposals[1].set_spi64(0x0102030405060708);
  const auto parsed = SaPayload::Parse(Written(sa));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, sa);
  EXPECT_EQ(parsed->proposals[1].spi64(), 0x0102030405060708u);
  EXPECT_EQ(parsed->proposals[1].spi32(), 0u);
}

TEST(SaTest, WireForm) {
  SaPayload sa;
  sa.proposals.push_back(Esp({kGcm256, kEsn}));
  EXPECT_EQ(Written(sa), Hex("00 00 0020 01 03 04 02 01020304"
                             "03 00 000c 01 00 0014 800e 0100"
                             "00 00 0008 05 00 0001"));
}

TEST(SaTest, Ike009Structure) {
  struct Case {
    const char* what;
    const char* body;
    bool good;
  };
  const Case cases[] = {
      {"empty", "", false},
      {"short", "00 00 00", false},
      {"one transform", "00 00 0010 01 01 00 01  00 00 0008 02 00 0005", true},
      {"RESERVED set", "00 ff 0010 01 01 00 01  00 ff 0008 02 ff 0005", true},
      {"no transform", "00 00 0008 01 01 00 00", true},
      {"proposal length 0", "00 00 0000 01 01 00 00", false},
      {"proposal length 7", "00 00 0007 01 01 00", false},
      {"proposal past the end", "00 00 0011 01 01 00 01  00 00 0008 02 00 0005", false},
      {"octets after the proposal", "00 00 0010 01 01 00 01  00 00 0008 02 00 0005 00", false},
      {"says more, is last", "02 00 0010 01 01 00 01  00 00 0008 02 00 0005", false},
      {"last substruc 1", "01 00 0010 01 01 00 01  00 00 0008 02 00 0005", false},
      {"count 2 of 1", "00 00 0010 01 01 00 02  03 00 0008 02 00 0005", false},
      {"count 255 of 1", "00 00 0010 01 01 00 ff  03 00 0008 02 00 0005", false},
      {"count 1 of 2", "00 00 0018 01 01 00 01  00 00 0008 02 00 0005 00 00 0008 02 00 0006", false},
      {"transform says more", "00 00 0010 01 01 00 01  03 00 0008 02 00 0005", false},
      {"transform says last", "00 00 0018 01 01 00 02  00 00 0008 02 00 0005 00 00 0008 02 00 0006", false},
      {"transform length 7", "00 00 0010 01 01 00 01  00 00 0007 02 00 0005", false},
      {"transform length 9", "00 00 0010 01 01 00 01  00 00 0009 02 00 0005", false},
      {"attribute cut", "00 00 0012 01 01 00 01  00 00 000a 01 00 0014 800e", false},
      {"TLV past the end", "00 00 0014 01 01 00 01  00 00 000c 01 00 0014 0001 0001", false},
      {"IKE SPI 8", "00 00 0018 01 01 08 01 0102030405060708  00 00 0008 02 00 0005", true},
      {"IKE SPI 4", "00 00 0014 01 01 04 01 01020304  00 00 0008 02 00 0005", false},
      {"ESP SPI 4", "00 00 0014 01 03 04 01 01020304  00 00 0008 05 00 0000", true},
      {"ESP SPI 0", "00 00 0010 01 03 00 01  00 00 0008 05 00 0000", false},
      {"ESP SPI 8", "00 00 0018 01 03 08 01 0102030405060708  00 00 0008 05 00 0000", false},
      {"unknown protocol", "00 00 0012 01 09 02 01 0102  00 00 0008 05 00 0000", true},
      {"SPI past the end", "00 00 0010 01 09 ff 01  00 00 0008 05 00 0000", false},
      {"an answer with number 7", "00 00 0010 07 01 00 01  00 00 0008 02 00 0005", true},
      {"numbers 1, 2", "02 00 0010 01 01 00 01 00 00 0008 02 00 0005 00 00 0010 02 01 00 01 00 00 0008 02 00 0005",
       true},
      {"numbers 1, 1", "02 00 0010 01 01 00 01 00 00 0008 02 00 0005 00 00 0010 01 01 00 01 00 00 0008 02 00 0005",
       false},
      {"numbers 1, 3", "02 00 0010 01 01 00 01 00 00 0008 02 00 0005 00 00 0010 03 01 00 01 00 00 0008 02 00 0005",
       false},
  };
  for (const Case& c : cases) EXPECT_EQ(SaPayload::Parse(Hex(c.body)).ok(), c.good) << c.what;
}

TEST(SaTest, Ike005SixtyFourProposals) {
  for (size_t n : {64u, 65u}) {
    SaPayload sa;
    for (size_t i = 0; i < n; ++i) {
      sa.proposals.push_back(Ike({kPrf256}));
      sa.proposals.back().number = static_cast<uint8_t>(i + 1);
    }
    EXPECT_EQ(SaPayload::Parse(Written(sa)).ok(), n == 64) << n;
  }
}

TEST(SaTest, Ike005TwoHundredFiftyFiveTransforms) {
  SaPayload sa;
  sa.proposals.push_back(Ike(std::vector<Transform>(255, kPrf256)));
  const auto parsed = SaPayload::Parse(Written(sa));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->proposals[0].transforms.size(), 255u);
}

TEST(SaTest, Ike009UnknownAttributesMarkTheTransform) {
  // TV of type 15; Key Length twice; Key Length as TLV.
  for (const char* attributes :
       {"800e 0100 800f 0001", "800e 0100 800e 0080", "000e 0002 0100 0000", "800e 0100 0063 0000"}) {
    const Bytes a = Hex(attributes);
    Bytes body = Hex("00 00 0000 01 01 00 01  00 00 0000 01 00 0014");
    body.insert(body.end(), a.begin(), a.end());
    Writer w(&body);
    w.PatchU16(2, static_cast<uint16_t>(body.size()));
    w.PatchU16(10, static_cast<uint16_t>(8 + a.size()));
    const auto sa = SaPayload::Parse(body);
    if (std::string_view(attributes) == "000e 0002 0100 0000") {
      // The TLV's value, then a second one of type 0 with a cut length.
      EXPECT_FALSE(sa.ok());
      continue;
    }
    ASSERT_TRUE(sa.ok()) << attributes;
    EXPECT_TRUE(sa->proposals[0].transforms[0].unusable) << attributes;
  }
  const auto tlv = SaPayload::Parse(Hex("00 00 0016 01 01 00 01  00 00 000e 01 00 0014 000e 0002 0100"));
  ASSERT_TRUE(tlv.ok());
  EXPECT_TRUE(tlv->proposals[0].transforms[0].unusable);
  EXPECT_FALSE(tlv->proposals[0].transforms[0].key_bits.has_value());
}

TEST(ProposalRulesTest, Ike009And010ForIke) {
  struct Case {
    const char* what;
    Proposal offered;
    std::optional<std::vector<Transform>> usable;
  };
  Transform cbc_no_length = kCbc256;
  cbc_no_length.key_bits.reset();
  Transform gcm_no_length = kGcm256, gcm_odd = kGcm256, chacha_length = kChaCha, prf_length = kPrf256;
  gcm_no_length.key_bits.reset();
  gcm_odd.key_bits = 255;
  chacha_length.key_bits = 256;
  prf_length.key_bits = 256;
  Transform integ_length = kInteg256;
  integ_length.key_bits = 256;
  Transform unusable = kGcm128;
  unusable.unusable = true;
  const Transform unknown_encr{kEncr, 999};
  const Transform unknown_type{static_cast<TransformType>(13), 1};
  const Case cases[] = {
      {"AEAD", Ike({kGcm256, kPrf256, kX25519}), {{kGcm256, kPrf256, kX25519}}},
      {"AEAD with INTEG NONE", Ike({kGcm256, kPrf256, kIntegNone, kX25519}), {{kGcm256, kPrf256, kIntegNone, kX25519}}},
      {"AEAD with INTEG", Ike({kGcm256, kPrf256, kInteg256, kX25519}), {}},
      {"AEAD with INTEG or NONE", Ike({kGcm256, kPrf256, kInteg256, kIntegNone, kX25519}), {}},
      {"AEAD and CBC without INTEG", Ike({kGcm256, kCbc256, kPrf256, kX25519}), {{kGcm256, kPrf256, kX25519}}},
      {"CBC with INTEG", Ike({kCbc256, kPrf256, kInteg256, kX25519}), {{kCbc256, kPrf256, kInteg256, kX25519}}},
      {"CBC without INTEG", Ike({kCbc256, kPrf256, kX25519}), {}},
      {"CBC with INTEG NONE", Ike({kCbc256, kPrf256, kIntegNone, kX25519}), {}},
      {"CBC with INTEG or NONE",
       Ike({kCbc256, kPrf256, kIntegNone, kInteg256, kX25519}),
       {{kCbc256, kPrf256, kInteg256, kX25519}}},
      {"no ENCR", Ike({kPrf256, kX25519}), {}},
      {"no PRF", Ike({kGcm256, kX25519}), {}},
      {"no KE", Ike({kGcm256, kPrf256}), {}},
      {"KE NONE", Ike({kGcm256, kPrf256, kKeNone}), {}},
      {"KE NONE beside another", Ike({kGcm256, kPrf256, kKeNone, kX25519}), {{kGcm256, kPrf256, kX25519}}},
      {"PRF 0", Ike({kGcm256, {kPrf, 0}, kX25519}), {}},
      {"nothing", Ike({}), {}},
      {"AES-CBC without Key Length", Ike({cbc_no_length, kPrf256, kInteg256, kX25519}), {}},
      {"AES-GCM without Key Length", Ike({gcm_no_length, kPrf256, kX25519}), {}},
      {"AES-GCM of 255", Ike({gcm_odd, kPrf256, kX25519}), {}},
      {"AES-GCM of 255 beside 256", Ike({gcm_odd, kGcm256, kPrf256, kX25519}), {{kGcm256, kPrf256, kX25519}}},
      {"ChaCha20 with Key Length", Ike({chacha_length, kPrf256, kX25519}), {}},
      {"PRF with Key Length", Ike({kGcm256, prf_length, kX25519}), {}},
      {"INTEG with Key Length", Ike({kCbc256, kPrf256, integ_length, kX25519}), {}},
      {"unknown attribute", Ike({unusable, kGcm256, kPrf256, kX25519}), {{kGcm256, kPrf256, kX25519}}},
      {"unknown attribute alone", Ike({unusable, kPrf256, kX25519}), {}},
      {"unknown ENCR beside ours",
       Ike({unknown_encr, kGcm256, kPrf256, kX25519}),
       {{unknown_encr, kGcm256, kPrf256, kX25519}}},
      {"unknown transform type", Ike({kGcm256, kPrf256, kX25519, unknown_type}), {}},
      {"ESN in IKE", Ike({kGcm256, kPrf256, kX25519, kEsn}), {}},
      {"other protocol", Esp({kGcm256, kEsn}), {}},
  };
  for (const Case& c : cases) {
    const auto usable = UsableProposal(c.offered, {});
    ASSERT_EQ(usable.has_value(), c.usable.has_value()) << c.what;
    if (usable.has_value()) {
      EXPECT_EQ(usable->transforms, *c.usable) << c.what;
    }
  }
}

TEST(ProposalRulesTest, Ike009SpiSizes) {
  Proposal p = Ike({kGcm256, kPrf256, kX25519});
  EXPECT_TRUE(UsableProposal(p, {}).has_value());
  EXPECT_FALSE(UsableProposal(p, {.rekey_ike = true}).has_value());
  p.set_spi64(9);
  EXPECT_FALSE(UsableProposal(p, {}).has_value());
  EXPECT_TRUE(UsableProposal(p, {.rekey_ike = true}).has_value());
  p.set_spi64(0);
  EXPECT_FALSE(UsableProposal(p, {.rekey_ike = true}).has_value());

  const ProposalContext esp{.protocol = ProtocolId::kEsp};
  Proposal child = Esp({kGcm256, kEsn});
  EXPECT_TRUE(UsableProposal(child, esp).has_value());
  for (uint32_t reserved : {0u, 1u, 255u}) {  // RFC 4303 section 2.1
    child.set_spi32(reserved);
    EXPECT_FALSE(UsableProposal(child, esp).has_value()) << reserved;
  }
}

TEST(ProposalRulesTest, Ike010ForChildren) {
  const ProposalContext esp{.protocol = ProtocolId::kEsp};
  EXPECT_TRUE(UsableProposal(Esp({kGcm256, kEsn, kKeNone, kX25519}), esp).has_value());
  EXPECT_TRUE(UsableProposal(Esp({kGcm256, kEsn, kKeNone}), esp).has_value()) << "a child may go without KE";
  EXPECT_FALSE(UsableProposal(Esp({kGcm256}), esp).has_value()) << "ESN is mandatory";
  EXPECT_FALSE(UsableProposal(Esp({kEsn}), esp).has_value());
  EXPECT_FALSE(UsableProposal(Esp({kGcm256, kEsn, kPrf256}), esp).has_value()) << "a child has no PRF";
  EXPECT_FALSE(UsableProposal(Esp({kCbc256, kEsn}), esp).has_value());
  EXPECT_TRUE(UsableProposal(Esp({kCbc256, kInteg256, kEsn}), esp).has_value());
  Proposal ah = Esp({kInteg256, kEsn});
  ah.protocol = ProtocolId::kAh;
  EXPECT_TRUE(UsableProposal(ah, {.protocol = ProtocolId::kAh}).has_value());
  ah.transforms = {kIntegNone, kEsn};
  EXPECT_FALSE(UsableProposal(ah, {.protocol = ProtocolId::kAh}).has_value());
  ah.transforms = {kInteg256, kEsn, kGcm256};
  EXPECT_FALSE(UsableProposal(ah, {.protocol = ProtocolId::kAh}).has_value());
}

TEST(ProposalRulesTest, Ike081AdditionalKeyExchanges) {
  const Proposal p = Ike({kGcm256, kPrf256, kX25519, kMlKem});
  EXPECT_TRUE(UsableProposal(p, {}).has_value());
  EXPECT_FALSE(UsableProposal(p, {.addke_allowed = false}).has_value());
  EXPECT_TRUE(AdditionalKeyExchangesDiffer(p));
  EXPECT_TRUE(AdditionalKeyExchangesDiffer(Ike({kMlKem, {kAddKe2, ke::kNone}, {kAddKe3, ke::kNone}})));
  EXPECT_FALSE(AdditionalKeyExchangesDiffer(Ike({kMlKem, {kAddKe5, ke::kMlKem768}})));
}

TEST(ProposalRulesTest, Ike025AnAnswerIsOneOfTheOffer) {
  SaPayload offer;
  offer.proposals.push_back(Ike({kGcm256, kGcm128, kPrf256, kX25519, kMlKem}));
  offer.proposals.push_back(Ike({kChaCha, kPrf256, kX25519, kMlKem, {kAddKe1, ke::kNone}}));
  offer.proposals[1].number = 2;
  EXPECT_TRUE(NumbersRunFromOne(offer));
  auto answer = [](uint8_t number, std::vector<Transform> t) {
    Proposal p = Ike(std::move(t));
    p.number = number;
    return p;
  };
  EXPECT_TRUE(IsChoiceOf(answer(1, {kGcm128, kPrf256, kX25519, kMlKem}), offer));
  EXPECT_TRUE(IsChoiceOf(answer(1, {kMlKem, kX25519, kPrf256, kGcm256}), offer)) << "any order";
  EXPECT_TRUE(IsChoiceOf(answer(2, {kChaCha, kPrf256, kX25519, {kAddKe1, ke::kNone}}), offer));
  EXPECT_TRUE(IsChoiceOf(answer(2, {kChaCha, kPrf256, kX25519}), offer)) << "left out is NONE, and NONE was offered";
  EXPECT_FALSE(IsChoiceOf(answer(1, {kGcm128, kPrf256, kX25519}), offer)) << "ADDKE1 stripped";
  EXPECT_FALSE(IsChoiceOf(answer(1, {kGcm128, kGcm256, kPrf256, kX25519, kMlKem}), offer)) << "two ciphers";
  EXPECT_FALSE(IsChoiceOf(answer(2, {kGcm128, kPrf256, kX25519, kMlKem}), offer)) << "cipher of the other proposal";
  EXPECT_FALSE(IsChoiceOf(answer(3, {kGcm128, kPrf256, kX25519, kMlKem}), offer)) << "number never offered";
  EXPECT_FALSE(IsChoiceOf(answer(1, {{kEncr, encr::kAesGcm16, 192}, kPrf256, kX25519, kMlKem}), offer));
  EXPECT_FALSE(IsChoiceOf(answer(1, {{kEncr, encr::kAesGcm16}, kPrf256, kX25519, kMlKem}), offer)) << "attribute gone";
  EXPECT_FALSE(IsChoiceOf(answer(1, {kGcm256, kPrf256, kX25519, kMlKem, kIntegNone}), offer)) << "a type more";
  Proposal esp = answer(1, {kGcm256, kPrf256, kX25519, kMlKem});
  esp.protocol = ProtocolId::kEsp;
  EXPECT_FALSE(IsChoiceOf(esp, offer));

  // Sequence numbers: 0 is a choice like another, not "left out".
  SaPayload child;
  child.proposals.push_back(Esp({kGcm256, {kSequenceNumbers, 0}, kEsn}));
  EXPECT_FALSE(IsChoiceOf(Esp({kGcm256}), child));
  EXPECT_TRUE(IsChoiceOf(Esp({kGcm256, {kSequenceNumbers, 0}}), child));
}

TEST(ProposalRulesTest, Ike009OffersAreNumberedFromOne) {
  SaPayload offer;
  offer.proposals.push_back(Ike({kGcm256}));
  offer.proposals[0].number = 2;
  EXPECT_FALSE(NumbersRunFromOne(offer));
}

}  // namespace
}  // namespace espalier::ike::wire
