// Each payload's own rules: IKE-008, IKE-011, IKE-012, IKE-015, IKE-016.
#include <gtest/gtest.h>

#include "agent/ike/wire/error.h"
#include "agent/ike/wire/payloads.h"
#include "agent/ike/wire/test_octets.h"

namespace espalier::ike::wire {
namespace {

template <typename T>
Bytes Written(const T& payload) {
  Bytes out;
  Writer w(&out);
  payload.Write(&w);
  return out;
}

template <typename T>
void ExpectRoundTrip(const T& payload) {
  const auto parsed = T::Parse(Written(payload));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, payload);
}

IpAddress Ip(absl::string_view text) { return *IpAddress::Parse(text); }

TEST(PayloadTest, RoundTrips) {
  ExpectRoundTrip(KePayload{ke::kP256, Bytes(64, 3)});
  ExpectRoundTrip(IdPayload(IdType::kFqdn, Hex("6162")));
  ExpectRoundTrip(CertPayload{CertEncoding::kX509Signature, Bytes(500, 4)});
  ExpectRoundTrip(CertReqPayload{CertEncoding::kX509Signature, Bytes(40, 5)});
  ExpectRoundTrip(AuthPayload{AuthMethod::kSharedKey, Bytes(32, 6)});
  ExpectRoundTrip(NoncePayload{Bytes(32, 7)});
  ExpectRoundTrip(NotifyPayload(NotifyType::kCookie, Bytes(33, 8)));
  ExpectRoundTrip(NotifyPayload::AboutChild(NotifyType::kRekeySa, ProtocolId::kEsp, 0xc0ffee01));
  ExpectRoundTrip(DeletePayload{ProtocolId::kEsp, {1, 2, 0xffffffff}});
  ExpectRoundTrip(DeletePayload{});
  TrafficSelector udp = TrafficSelector::Of(*IpPrefix::Parse("2001:db8::/64"));
  udp.protocol = 17;
  udp.start_port = udp.end_port = 53;
  ExpectRoundTrip(TsPayload{{TrafficSelector::All4(), TrafficSelector::All6(), udp}});
}

TEST(PayloadTest, Ike008IdKeepsItsReservedOctets) {
  const Bytes body = Hex("0b aabbcc 737069666665");
  const auto id = IdPayload::Parse(body);
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(id->type(), IdType::kKeyId);
  EXPECT_EQ(Bytes(id->data().begin(), id->data().end()), Hex("737069666665"));
  EXPECT_EQ(id->body, body);
  EXPECT_EQ(Written(*id), body);
  EXPECT_FALSE(IdPayload::Parse(Hex("0b000000")).ok());
  EXPECT_FALSE(IdPayload::Parse(Hex("0b0000")).ok());
  EXPECT_TRUE(IdPayload().data().empty());
}

TEST(PayloadTest, Ike011NonceLength) {
  for (const auto& [size, good] :
       {std::pair{0, false}, {15, false}, {16, true}, {32, true}, {256, true}, {257, false}}) {
    EXPECT_EQ(NoncePayload::Parse(Bytes(size)).ok(), good) << size;
  }
}

TEST(PayloadTest, KeHasAHeaderAndData) {
  EXPECT_FALSE(KePayload::Parse(Hex("001f00")).ok());
  EXPECT_FALSE(KePayload::Parse(Hex("001f0000")).ok());
  const auto k = KePayload::Parse(Hex("001fffff01"));  // RESERVED ignored
  ASSERT_TRUE(k.ok());
  EXPECT_EQ(k->method, ke::kX25519);
  EXPECT_EQ(k->data, Hex("01"));
}

TEST(PayloadTest, Ike016CertificatesOfUnknownEncodingAreKept) {
  const auto cert = CertPayload::Parse(Hex("c8 0102"));
  ASSERT_TRUE(cert.ok());
  EXPECT_NE(cert->encoding, CertEncoding::kX509Signature);
  EXPECT_FALSE(CertPayload::Parse(Hex("04")).ok());
  EXPECT_FALSE(CertPayload::Parse({}).ok());
}

TEST(PayloadTest, Ike035CertReqIsAHint) {
  const Bytes one(20, 1), two(20, 2);
  CertReqPayload list{CertEncoding::kX509Signature, Join({one, two})};
  EXPECT_TRUE(list.Accepts(one));
  EXPECT_TRUE(list.Accepts(two));
  EXPECT_FALSE(list.Accepts(Bytes(20, 3)));
  EXPECT_TRUE(CertReqPayload{}.Accepts(one));
  list.authorities.pop_back();
  EXPECT_TRUE(list.Accepts(Bytes(20, 3))) << "an odd length makes no sense, so it asks for nothing";
}

TEST(NotifyTest, Ike012DataLengths) {
  struct Case {
    NotifyType type;
    std::vector<size_t> good, bad;
  };
  const Case cases[] = {
      {NotifyType::kUnsupportedCriticalPayload, {1}, {0, 2}},
      {NotifyType::kInvalidKePayload, {2}, {0, 1, 3}},
      {NotifyType::kSetWindowSize, {4}, {0, 3, 5}},
      {NotifyType::kInvalidMessageId, {4}, {0, 8}},
      {NotifyType::kNatDetectionSourceIp, {20}, {0, 19, 21}},
      {NotifyType::kNatDetectionDestinationIp, {20}, {0, 19, 21}},
      {NotifyType::kCookie, {1, 33, 64}, {0, 65}},
      {NotifyType::kSignatureHashAlgorithms, {0, 2, 8}, {1, 3}},
      {NotifyType::kInitialContact, {0, 5}, {}},
      {static_cast<NotifyType>(40000), {0, 1, 1000}, {}},
      {static_cast<NotifyType>(8000), {0, 1, 1000}, {}},
  };
  for (const Case& c : cases) {
    for (size_t n : c.good) EXPECT_TRUE(NotifyPayload::Parse(Written(NotifyPayload(c.type, Bytes(n)))).ok()) << n;
    for (size_t n : c.bad) {
      EXPECT_FALSE(NotifyPayload::Parse(Written(NotifyPayload(c.type, Bytes(n)))).ok()) << ToString(c.type) << n;
    }
  }
}

TEST(NotifyTest, Ike012SpiOfAChild) {
  const auto n = NotifyPayload::Parse(Hex("03 04 4009 c0ffee01"));
  ASSERT_TRUE(n.ok());
  EXPECT_EQ(n->type, NotifyType::kRekeySa);
  EXPECT_EQ(n->child_spi(), 0xc0ffee01u);
  EXPECT_EQ(NotifyPayload::Parse(Hex("02 04 4009 c0ffee01"))->child_spi(), 0xc0ffee01u);
  // Another protocol, or a size that no child has: no crash, no SPI.
  for (const char* odd : {"01 04 4009 c0ffee01", "00 04 4009 c0ffee01", "ff 04 4009 c0ffee01", "03 00 4009",
                          "03 08 4009 0102030405060708", "01 08 4009 0102030405060708"}) {
    const auto parsed = NotifyPayload::Parse(Hex(odd));
    ASSERT_TRUE(parsed.ok()) << odd;
    EXPECT_FALSE(parsed->child_spi().has_value()) << odd;
  }
  EXPECT_FALSE(NotifyPayload::Parse(Hex("03 04 4009 c0ffee")).ok());
  EXPECT_FALSE(NotifyPayload::Parse(Hex("03 ff 4009 c0ffee01")).ok());
  EXPECT_FALSE(NotifyPayload::Parse(Hex("00 00 40")).ok());
}

TEST(NotifyTest, Ike012ProtocolIsSentZeroWithoutSpi) {
  NotifyPayload n(NotifyType::kInitialContact);
  n.protocol = ProtocolId::kIke;
  EXPECT_EQ(Written(n), Hex("00 00 4000"));
  EXPECT_TRUE(NotifyPayload::Parse(Hex("01 00 4000")).ok());
}

TEST(NotifyTest, ErrorsAreBelow16384) {
  EXPECT_TRUE(NotifyPayload(static_cast<NotifyType>(16383)).is_error());
  EXPECT_FALSE(NotifyPayload(NotifyType::kInitialContact).is_error());
}

TEST(NotifyTest, Values) {
  EXPECT_EQ(NotifyPayload::WithU16(NotifyType::kInvalidKePayload, 31).u16(), 31);
  EXPECT_FALSE(NotifyPayload(NotifyType::kCookie, Bytes(3)).u16().has_value());
  EXPECT_EQ(NotifyPayload(NotifyType::kSetWindowSize, Hex("0000000a")).u32(), 10u);
  const std::vector<HashAlgorithm> hashes = {HashAlgorithm::kSha256, HashAlgorithm::kIdentity};
  EXPECT_EQ(NotifyPayload::HashAlgorithms(hashes).data, Hex("00020005"));
  EXPECT_EQ(NotifyPayload::HashAlgorithms(hashes).hash_algorithms(), hashes);
}

TEST(DeleteTest, Ike015SizesAgree) {
  struct Case {
    const char* body;
    bool good;
  };
  const Case cases[] = {
      {"01 00 0000", true},
      {"01 00 0001", false},
      {"01 08 0001 0102030405060708", false},
      {"03 04 0000", true},
      {"03 04 0001 01020304", true},
      {"02 04 0002 0102030405060708", true},
      {"03 04 0002 01020304", false},
      {"03 04 0001 0102030405", false},
      {"03 08 0001 0102030405060708", false},
      {"03 00 ffff", false},
      {"03 00 0000", false},
      {"09 02 0002 01020304", true},
      {"03 04 ffff 01020304", false},
      {"03 04", false},
  };
  for (const Case& c : cases) EXPECT_EQ(DeletePayload::Parse(Hex(c.body)).ok(), c.good) << c.body;
  EXPECT_EQ(DeletePayload::Parse(Hex("03 04 0002 0000000100000002"))->spis, (std::vector<uint32_t>{1, 2}));
  EXPECT_TRUE(DeletePayload::Parse(Hex("09 02 0002 01020304"))->spis.empty());
}

TEST(TsTest, Ike015Selectors) {
  struct Case {
    const char* what;
    const char* body;
    int selectors;  // -1: malformed
  };
  const Case cases[] = {
      {"any", "01000000 07000010 0000ffff 00000000 ffffffff", 1},
      {"TCP 80", "01000000 07060010 00500050 0a000001 0a000001", 1},
      {"OPAQUE", "01000000 07060010 ffff0000 0a000001 0a000001", 1},
      {"OPAQUE without protocol", "01000000 07000010 ffff0000 0a000001 0a000001", -1},
      {"ports without protocol", "01000000 07000010 00500050 0a000001 0a000001", -1},
      {"ports turned round", "01000000 07060010 00510050 0a000001 0a000001", -1},
      {"addresses turned round", "01000000 07000010 0000ffff 0a000002 0a000001", -1},
      {"ICMP echo", "01000000 07010010 08000800 0a000001 0a000001", 1},
      {"RESERVED set", "01ffffff 07000010 0000ffff 00000000 ffffffff", 1},
      {"IPv4 with the length of IPv6", "01000000 07000028 0000ffff 00000000 ffffffff", -1},
      {"IPv4 of 15", "01000000 0700000f 0000ffff 00000000 ffffff", -1},
      {"IPv6 of 16", "01000000 08000010 0000ffff 00000000 ffffffff", -1},
      {"length 3", "01000000 09000003", -1},
      {"length 0", "01000000 07000000 0000ffff 00000000 ffffffff", -1},
      {"one too few", "02000000 07000010 0000ffff 00000000 ffffffff", -1},
      {"one too many", "01000000 07000010 0000ffff 00000000 ffffffff 07000010 0000ffff 00000000 ffffffff", -1},
      {"unknown type skipped", "02000000 0900000c 0102030405060708 07000010 0000ffff 00000000 ffffffff", 1},
      {"unknown type alone", "01000000 09000004", 0},
      {"unknown type past the end", "01000000 09000005", -1},
      {"none", "00000000", 0},
      {"short", "010000", -1},
  };
  for (const Case& c : cases) {
    const auto ts = TsPayload::Parse(Hex(c.body));
    ASSERT_EQ(ts.ok(), c.selectors >= 0) << c.what;
    if (ts.ok()) {
      EXPECT_EQ(ts->selectors.size(), static_cast<size_t>(c.selectors)) << c.what;
    }
  }
}

TEST(TsTest, Values) {
  const TrafficSelector all6 = TrafficSelector::All6();
  EXPECT_TRUE(all6.Contains(Ip("2001:db8::1")));
  EXPECT_FALSE(all6.Contains(Ip("10.0.0.1")));
  const TrafficSelector net = TrafficSelector::Of(*IpPrefix::Parse("10.1.0.0/16"));
  EXPECT_TRUE(net.Contains(Ip("10.1.255.255")));
  EXPECT_FALSE(net.Contains(Ip("10.2.0.0")));
  EXPECT_TRUE(net.any_port());
  EXPECT_EQ(net.ToString(), "10.1.0.0-10.1.255.255");
  TrafficSelector dns = net;
  dns.protocol = 17;
  dns.start_port = dns.end_port = 53;
  EXPECT_EQ(dns.ToString(), "10.1.0.0-10.1.255.255 proto 17 port 53");
}

TEST(TsTest, Ike005TwoHundredFiftyFiveSelectors) {
  const TsPayload many{std::vector<TrafficSelector>(255, TrafficSelector::All4())};
  ExpectRoundTrip(many);
}

// IKE-016: 64 KiB of control octets in what we step over is only octets.
TEST(PayloadTest, Ike016LargeOpaquePayloads) {
  Payloads p;
  p.Add(PayloadType::kVendorId, OpaquePayload{Bytes(65531, 0x1b)});
  p.Add(PayloadType::kEap, OpaquePayload{Bytes(1, 0)});
  p.Add(PayloadType::kCp, OpaquePayload{Bytes(3, 0x0a)});
  const auto parsed = ParsePayloads(p.first_type(), *WritePayloads(p));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, p);
  EXPECT_TRUE(parsed->has(PayloadType::kEap));
}

TEST(ErrorTest, NoOctetOfThePeerIsInAMessage) {
  const auto id = ParsePayloads(PayloadType::kNotify, Hex("00000009 00 09 4000 41"));
  ASSERT_FALSE(id.ok());
  EXPECT_EQ(id.status().message(), "notify too short");
}

}  // namespace
}  // namespace espalier::ike::wire
