// Header and payload chain: IKE-001 to IKE-006.
#include "agent/ike/wire/message.h"

#include <gtest/gtest.h>

#include "agent/ike/wire/error.h"
#include "agent/ike/wire/test_octets.h"

namespace espalier::ike::wire {
namespace {

constexpr size_t kVersionAt = 17, kFlagsAt = 19, kLengthAt = 24;

Header InitHeader() {
  return {.spi_i = 0x1122334455667788, .exchange = ExchangeType::kIkeSaInit, .from_initiator = true};
}

// Header with a true length, and this chain.
Bytes Datagram(PayloadType first, const Bytes& chain, Header h = InitHeader()) {
  Bytes out;
  Writer w(&out);
  WriteHeader(h, first, static_cast<uint32_t>(kHeaderSize + chain.size()), &w);
  w.Raw(chain);
  return out;
}

Bytes Generic(uint8_t next, uint8_t flags, uint16_t length, size_t body) {
  Bytes out;
  Writer w(&out);
  w.U8(next);
  w.U8(flags);
  w.U16(length);
  out.resize(4 + body, 0xab);
  return out;
}

Fault FaultOfParse(const Bytes& datagram) {
  const auto m = ParseMessage(datagram);
  EXPECT_FALSE(m.ok());
  return m.ok() ? Fault::kDrop : FaultOf(m.status());
}

Payloads InitPayloads() {
  Payloads p;
  SaPayload sa;
  sa.proposals.push_back({.transforms = {{TransformType::kEncr, encr::kAesGcm16, 256},
                                         {TransformType::kPrf, prf::kHmacSha256},
                                         {TransformType::kKe, ke::kX25519}}});
  p.Add(sa);
  p.Add(KePayload{ke::kX25519, Bytes(32, 7)});
  p.Add(NoncePayload{Bytes(32, 9)});
  p.Add(NotifyPayload(NotifyType::kFragmentationSupported));
  return p;
}

TEST(HeaderTest, Ike001LengthMustBeTheDatagrams) {
  const Bytes good = *WriteMessage(InitHeader(), InitPayloads());
  ASSERT_TRUE(ParseMessage(good).ok());
  EXPECT_EQ(FaultOfParse({}), Fault::kDrop);
  EXPECT_EQ(FaultOfParse(Bytes(good.begin(), good.begin() + 27)), Fault::kDrop);
  const uint32_t size = static_cast<uint32_t>(good.size());
  for (uint32_t claimed : {0u, 27u, 28u, size - 1, size + 1, 0xffffffffu}) {
    Bytes bad = good;
    Writer(&bad).PatchU32(kLengthAt, claimed);
    EXPECT_EQ(FaultOfParse(bad), Fault::kDrop) << claimed;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(FaultOfParse(longer), Fault::kDrop);
}

TEST(HeaderTest, Ike001HeaderAloneAndThreeThousandOctets) {
  EXPECT_TRUE(ParseMessage(Datagram(PayloadType::kNone, {})).ok());
  Payloads p;
  p.Add(PayloadType::kVendorId, OpaquePayload{Bytes(60000, 1)});
  EXPECT_TRUE(ParseMessage(*WriteMessage(InitHeader(), p)).ok());
}

TEST(HeaderTest, Ike002ReservedBitsAndMinorVersionAreIgnored) {
  const Bytes good = *WriteMessage(InitHeader(), InitPayloads());
  const Message expected = *ParseMessage(good);
  EXPECT_TRUE(expected.header.from_initiator);
  EXPECT_FALSE(expected.header.response);
  for (int bit : {0, 1, 2, 4, 6, 7}) {
    Bytes m = good;
    m[kFlagsAt] |= static_cast<uint8_t>(1 << bit);
    const auto parsed = ParseMessage(m);
    ASSERT_TRUE(parsed.ok()) << bit;
    EXPECT_EQ(parsed->header, expected.header) << bit;
    EXPECT_EQ(parsed->payloads, expected.payloads) << bit;
  }
  Bytes minor = good;
  minor[kVersionAt] = 0x2f;
  EXPECT_TRUE(ParseMessage(minor).ok());
  // Sent as 0.
  EXPECT_EQ(good[kFlagsAt], kFlagInitiator);
  EXPECT_EQ(good[kVersionAt], 0x20);
}

TEST(HeaderTest, Ike002ReceiverSpiIsByFlagI) {
  Header h{.spi_i = 1, .spi_r = 2, .from_initiator = true};
  EXPECT_EQ(h.receiver_spi(), 2u);
  h.from_initiator = false;
  EXPECT_EQ(h.receiver_spi(), 1u);
}

TEST(HeaderTest, Ike003MajorVersion) {
  Header h = InitHeader();
  h.spi_r = 0x99aabbccddeeff00;
  h.message_id = 77;
  Bytes m = Datagram(PayloadType::kNone, {}, h);
  m[kVersionAt] = 0x30;
  EXPECT_EQ(FaultOfParse(m), Fault::kMajorVersion);
  const Bytes answer = MajorVersionAnswer(m);
  const auto parsed = ParseMessage(answer);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->header.spi_i, h.spi_i);
  EXPECT_EQ(parsed->header.spi_r, h.spi_r);
  EXPECT_EQ(parsed->header.message_id, 77u);
  EXPECT_EQ(parsed->header.exchange, ExchangeType::kIkeSaInit);
  EXPECT_TRUE(parsed->header.response);
  EXPECT_FALSE(parsed->header.from_initiator);
  ASSERT_EQ(parsed->payloads.size(), 1u);
  ASSERT_TRUE(parsed->payloads.has(NotifyType::kInvalidMajorVersion));
  EXPECT_TRUE(parsed->payloads.first_error()->data.empty());

  Bytes response = m;
  response[kFlagsAt] |= kFlagResponse;
  EXPECT_EQ(FaultOfParse(response), Fault::kDrop);
  EXPECT_TRUE(MajorVersionAnswer(response).empty());

  for (uint8_t version : {0x00, 0x10, 0x1f}) {
    Bytes old = m;
    old[kVersionAt] = version;
    EXPECT_EQ(FaultOfParse(old), Fault::kDrop);
    EXPECT_TRUE(MajorVersionAnswer(old).empty());
  }
  // Garbage with a wrong length gets nothing either.
  m.push_back(0);
  EXPECT_EQ(FaultOfParse(m), Fault::kDrop);
  EXPECT_TRUE(MajorVersionAnswer(m).empty());
}

TEST(HeaderTest, Ike004InitiatorSpiIsNeverZero) {
  Header h = InitHeader();
  h.spi_i = 0;
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kNone, {}, h)), Fault::kDrop);
}

TEST(ChainTest, Ike005PayloadLengths) {
  for (uint16_t length : {0, 1, 3, 9, 0xffff}) {
    EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kVendorId, Generic(0, 0, length, 4))), Fault::kMalformed) << length;
  }
  EXPECT_TRUE(ParseMessage(Datagram(PayloadType::kVendorId, Generic(0, 0, 8, 4))).ok());
  // Less than a generic header, octets after the last, a chain that names a payload too many.
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kVendorId, Hex("0000"))), Fault::kMalformed);
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kVendorId, Generic(0, 0, 8, 5))), Fault::kMalformed);
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kVendorId, Generic(43, 0, 8, 4))), Fault::kMalformed);
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kNone, Generic(0, 0, 8, 4))), Fault::kMalformed);
}

TEST(ChainTest, Ike005TenThousandTinyPayloads) {
  Bytes chain;
  for (int i = 0; i < 10000; ++i) {
    const Bytes one = Generic(i + 1 < 10000 ? 43 : 0, 0, 4, 0);
    chain.insert(chain.end(), one.begin(), one.end());
  }
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kVendorId, chain)), Fault::kMalformed);
  EXPECT_EQ(FaultOf(ParsePayloads(PayloadType::kVendorId, chain).status()), Fault::kMalformed);
}

TEST(ChainTest, Ike005CountIsCapped) {
  for (size_t n : {kMaxPayloads, kMaxPayloads + 1}) {
    Payloads p;
    for (size_t i = 0; i < n; ++i) p.Add(NotifyPayload(NotifyType::kInitialContact));
    EXPECT_EQ(ParseMessage(*WriteMessage(InitHeader(), p)).ok(), n == kMaxPayloads) << n;
  }
}

TEST(ChainTest, Ike005EncryptedIsLast) {
  const Bytes sk = Generic(41, 0, 4 + 40, 40);
  const auto m = ParseMessage(Datagram(PayloadType::kSk, sk));
  ASSERT_TRUE(m.ok());
  ASSERT_TRUE(m->encrypted.has_value());
  EXPECT_EQ(m->encrypted->type, PayloadType::kSk);
  EXPECT_EQ(m->encrypted->first_inner, PayloadType::kNotify);
  EXPECT_EQ(m->encrypted->header_offset, 28u);
  EXPECT_EQ(m->encrypted->body_offset, 32u);
  EXPECT_EQ(m->encrypted->body_size, 40u);
  // Something after it.
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kSk, Join({sk, Generic(0, 0, 4, 0)}))), Fault::kMalformed);
  // Not inside.
  for (PayloadType t : {PayloadType::kSk, PayloadType::kSkf}) {
    EXPECT_EQ(FaultOf(ParsePayloads(t, sk).status()), Fault::kMalformed);
  }
}

TEST(ChainTest, FragmentNumbersAreFound) {
  Bytes skf = Generic(0, 0, 4 + 40, 40);
  Writer w(&skf);
  w.PatchU16(4, 2);
  w.PatchU16(6, 3);
  const auto m = ParseMessage(Datagram(PayloadType::kSkf, skf));
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(m->encrypted->type, PayloadType::kSkf);
  EXPECT_EQ(m->encrypted->fragment, 2);
  EXPECT_EQ(m->encrypted->total, 3);
  EXPECT_EQ(m->encrypted->body_offset, 36u);
  EXPECT_EQ(m->encrypted->body_size, 36u);
  EXPECT_EQ(FaultOfParse(Datagram(PayloadType::kSkf, Generic(0, 0, 7, 3))), Fault::kMalformed);
}

TEST(ChainTest, Ike006UnknownPayloads) {
  for (int type = 1; type < 256; ++type) {
    const bool known = (type >= 33 && type <= 48) || type == 53;
    if (known) continue;
    const auto pt = static_cast<PayloadType>(type);
    const auto skipped = ParseMessage(Datagram(pt, Join({Generic(43, 0, 8, 4), Generic(0, 0, 5, 1)})));
    ASSERT_TRUE(skipped.ok()) << type;
    EXPECT_EQ(skipped->payloads.size(), 2u);
    const auto refused = ParseMessage(Datagram(pt, Generic(0, 0x80, 8, 4)));
    ASSERT_FALSE(refused.ok()) << type;
    EXPECT_EQ(FaultOf(refused.status()), Fault::kCritical);
    EXPECT_EQ(CriticalType(refused.status()), pt);
  }
}

TEST(ChainTest, Ike006CriticalBitOfKnownPayloadIsIgnoredAndNeverSent) {
  const Bytes good = *WriteMessage(InitHeader(), InitPayloads());
  const auto expected = ParseMessage(good);
  Bytes m = good;
  for (size_t at = kHeaderSize; at < m.size();) {
    EXPECT_EQ(m[at + 1], 0);
    m[at + 1] = 0xff;  // RESERVED too
    at += size_t{m[at + 2]} << 8 | m[at + 3];
  }
  const auto parsed = ParseMessage(m);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->payloads, expected->payloads);
}

TEST(ChainTest, Ike006UnknownCriticalBeforeSkIsNoted) {
  const auto m =
      ParseMessage(Datagram(static_cast<PayloadType>(200), Join({Generic(46, 0x80, 4, 0), Generic(0, 0, 44, 40)})));
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(m->unknown_critical, static_cast<PayloadType>(200));
  EXPECT_EQ(m->encrypted->header_offset, 32u);
}

TEST(ChainTest, Ike007SinglePayloadsMayNotBeDoubled) {
  const std::vector<Payload> all = InitPayloads().list();
  for (const Payload& p : all) {
    Payloads doubled = InitPayloads();
    doubled.Add(p.type, p.body);
    const auto parsed = ParseMessage(*WriteMessage(InitHeader(), doubled));
    EXPECT_EQ(parsed.ok(), p.type == PayloadType::kNotify) << ToString(p.type);
  }
  const TsPayload ts{{TrafficSelector::All4()}};
  const IdPayload id(IdType::kKeyId, Bytes(4, 1));
  for (int which = 0; which < 5; ++which) {
    Payloads p;
    for (int i = 0; i < 2; ++i) {
      if (which == 0) p.AddIdI(id);
      if (which == 1) p.AddIdR(id);
      if (which == 2) p.AddTsI(ts);
      if (which == 3) p.AddTsR(ts);
      if (which == 4) p.Add(AuthPayload{AuthMethod::kDigitalSignature, Bytes(9, 1)});
    }
    EXPECT_EQ(FaultOf(ParsePayloads(p.first_type(), *WritePayloads(p)).status()), Fault::kMalformed) << which;
  }
}

TEST(ChainTest, Ike007AnyOrderIsAccepted) {
  const std::vector<Payload> all = InitPayloads().list();
  Payloads reversed;
  for (auto it = all.rbegin(); it != all.rend(); ++it) reversed.Add(it->type, it->body);
  const auto parsed = ParseMessage(*WriteMessage(InitHeader(), reversed));
  ASSERT_TRUE(parsed.ok());
  EXPECT_NE(parsed->payloads.sa(), nullptr);
  EXPECT_NE(parsed->payloads.ke(), nullptr);
  EXPECT_NE(parsed->payloads.nonce(), nullptr);
}

TEST(MessageTest, RoundTrip) {
  Header h = InitHeader();
  h.spi_r = 5;
  h.response = true;
  h.from_initiator = false;
  h.message_id = 0xfffffffe;
  const Bytes octets = *WriteMessage(h, InitPayloads());
  const auto m = ParseMessage(octets);
  ASSERT_TRUE(m.ok());
  h.first_payload = PayloadType::kSa;
  h.length = static_cast<uint32_t>(octets.size());
  EXPECT_EQ(m->header, h);
  EXPECT_EQ(m->payloads, InitPayloads());
  EXPECT_EQ(*WriteMessage(m->header, m->payloads), octets);
}

TEST(MessageTest, WhatDoesNotFitIsNotWritten) {
  Payloads p;
  p.Add(PayloadType::kVendorId, OpaquePayload{Bytes(65532, 1)});
  EXPECT_FALSE(WritePayloads(p).ok());
  Payloads ts;
  ts.AddTsI(TsPayload{std::vector<TrafficSelector>(256, TrafficSelector::All4())});
  EXPECT_FALSE(WritePayloads(ts).ok());
}

// Every octet of a message set to every value: no crash, and what is read can be written.
TEST(MessageTest, MutatedOctetsNeverBreak) {
  const Bytes good = *WriteMessage(InitHeader(), InitPayloads());
  int parsed = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      Bytes m = good;
      m[at] = static_cast<uint8_t>(value);
      const auto r = ParseMessage(m);
      if (!r.ok()) continue;
      ++parsed;
      ASSERT_TRUE(r->encrypted.has_value() || WriteMessage(r->header, r->payloads).ok());
    }
  }
  EXPECT_GT(parsed, 0);
}

TEST(MessageTest, EveryTruncationIsRefused) {
  const Payloads all = InitPayloads();
  const Bytes chain = *WritePayloads(all);
  for (size_t n = 0; n < chain.size(); ++n) {
    EXPECT_FALSE(ParsePayloads(all.first_type(), ByteSpan(chain).first(n)).ok()) << n;
  }
}

}  // namespace
}  // namespace espalier::ike::wire
