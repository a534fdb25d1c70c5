// Two datapaths in two network namespaces, with static keys: what passes, what is dropped and as what it is counted.
#include "agent/datapath/datapath.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/datapath/testing/lab.h"
#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "agent/esp/outbound_sa.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace espalier::datapath {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Ip;
using testing::Lab;
using testing::Node;
using testing::Socket;

constexpr ike::EspSuite kSuite = ike::EspSuite::kAesGcm128;

Bytes Text(absl::string_view text) { return Bytes(text.begin(), text.end()); }

// An inner UDP datagram over IPv4; its UDP checksum is left out, as IPv4 allows.
Bytes InnerUdp(const IpAddress& source, const IpAddress& destination, uint16_t port, absl::string_view text) {
  Bytes out;
  Writer w(&out);
  const size_t total = 28 + text.size();
  w.U8(0x45), w.U8(0), w.U16(static_cast<uint16_t>(total)), w.U32(0x00004000), w.U8(64), w.U8(17), w.U16(0);
  w.Raw(source.octets()), w.Raw(destination.octets());
  uint32_t sum = 0;
  for (size_t i = 0; i < 20; i += 2) sum += esp::Load16(&out[i]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  w.PatchU16(10, static_cast<uint16_t>(~sum));
  w.U16(9999), w.U16(port), w.U16(static_cast<uint16_t>(8 + text.size())), w.U16(0);
  for (const char c : text) w.U8(static_cast<uint8_t>(c));
  return out;
}

// Polls a counter that another thread moves; false after 5 s.
bool Reaches(const std::function<uint64_t()>& value, uint64_t want) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (absl::Now() < deadline) {
    if (value() >= want) return value() == want;
  }
  return false;
}

class DatapathTest : public ::testing::Test {
 protected:
  Lab lab;
  Node& a = lab.a;
  Node& b = lab.b;

  void ConnectBoth(bool outer_v6 = false, ike::EspSuite suite = kSuite) {
    lab.Connect(&a, &b, 0x1001, outer_v6, suite);
    lab.Connect(&b, &a, 0x1002, outer_v6, suite);
  }
  bool Exchange(bool v6) {
    Socket at_a(a.ns, {a.Pod(v6), 0}, SOCK_DGRAM), at_b(b.ns, {b.Pod(v6), 6000}, SOCK_DGRAM);
    at_a.SendTo({b.Pod(v6), 6000}, Text("hello"));
    return at_b.Receive() == Text("hello");
  }
};

TEST_F(DatapathTest, CarriesEveryFamilyInEveryFamily) {
  for (const bool outer_v6 : {false, true}) {
    const uint32_t spi = outer_v6 ? 0x2000 : 0x1000;
    lab.Connect(&a, &b, spi + 1, outer_v6);
    lab.Connect(&b, &a, spi + 2, outer_v6);
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE(absl::StrCat("inner v", v6 ? 6 : 4, ", outer v", outer_v6 ? 6 : 4));
      EXPECT_TRUE(Exchange(v6));
      EXPECT_TRUE(Lab::Transfer(a, b, v6, 30'000'000));
      EXPECT_TRUE(Lab::Transfer(b, a, v6, 3'000'000));
      EXPECT_EQ(std::system(absl::StrCat("ip netns exec ", a.ns, " ping -q -c 3 -i 0.01 -W 2 ", b.Pod(v6).ToString(),
                                         " >/dev/null")
                                .c_str()),
                0);
    }
  }
  for (Node* n : {&a, &b}) {
    for (const auto& [drop, count] : n->datapath->Drops()) {
      EXPECT_EQ(count, 0u) << n->ns << " drop " << static_cast<int>(drop);
    }
  }
  EXPECT_TRUE(a.Await([&] { return a.first_inbound == std::vector<uint32_t>{0x1002, 0x2002}; }));
}

TEST_F(DatapathTest, EverySuite) {
  uint32_t spi = 0x1000;
  for (const ike::EspSuite suite :
       {ike::EspSuite::kAesGcm128, ike::EspSuite::kAesGcm256, ike::EspSuite::kChaCha20Poly1305}) {
    lab.Connect(&a, &b, ++spi, false, suite);
    lab.Connect(&b, &a, ++spi, false, suite);
    EXPECT_TRUE(Lab::Transfer(a, b, false, 2'000'000)) << static_cast<int>(suite);
  }
}

TEST_F(DatapathTest, OversizeGetsFragmentedOrTold) {
  ConnectBoth();
  EXPECT_EQ(a.datapath->inner_mtu(), 1418);  // over IPv6; this tunnel's is over IPv4: 1438
  Socket at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  {
    Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM);
    const int off = IP_PMTUDISC_DONT;
    setsockopt(at_a.fd(), IPPROTO_IP, IP_MTU_DISCOVER, &off, sizeof(off));
    for (const size_t size : {1410, 1411, 1472, 5000, 20000}) {
      const Bytes data(size, static_cast<uint8_t>(size));
      ASSERT_EQ(at_a.SendTo({b.pod4, 6000}, data), static_cast<int>(size));
      EXPECT_EQ(at_b.Receive(), data) << size;
    }
    EXPECT_EQ(a.Dropped(Drop::kTooBig), 0u);
  }
  for (const bool v6 : {false, true}) {
    Socket receiver(b.ns, {b.Pod(v6), 6001}, SOCK_DGRAM);
    Socket at_a(a.ns, {a.Pod(v6), 0}, SOCK_DGRAM);
    const int on = v6 ? IPV6_PMTUDISC_DO : IP_PMTUDISC_DO;
    setsockopt(at_a.fd(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &on, sizeof(on));
    const size_t header = v6 ? 48 : 28;
    const Bytes fits(1438 - header, 1), large(1439 - header, 2);
    EXPECT_GT(at_a.SendTo({b.Pod(v6), 6001}, fits), 0);
    EXPECT_EQ(receiver.Receive(), fits) << "1438 octets are exactly what fits";
    EXPECT_GT(at_a.SendTo({b.Pod(v6), 6001}, large), 0);  // the kernel doesn't know yet
    EXPECT_TRUE(Reaches([&]() -> uint64_t { return at_a.SendTo({b.Pod(v6), 6001}, large) == -EMSGSIZE; }, 1))
        << "the ICMP error reached the sender";
    EXPECT_GT(a.Dropped(Drop::kTooBig), 0u);
    EXPECT_GT(at_a.SendTo({b.Pod(v6), 6001}, fits), 0);
    EXPECT_EQ(receiver.Receive(), fits);
  }
}

TEST_F(DatapathTest, BelievesRoutersAboutLiveTunnelsOnly) {
  ConnectBoth();
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  const int df = IP_PMTUDISC_PROBE;
  setsockopt(at_a.fd(), IPPROTO_IP, IP_MTU_DISCOVER, &df, sizeof(df));
  int raw = -1;
  testing::InNamespace(b.ns, [&] { raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP); });
  Socket router(raw);
  const auto say = [&](uint32_t spi, uint16_t mtu) {
    Bytes message;
    Writer w(&message);
    w.U16(0x0304), w.U16(0), w.U16(0), w.U16(mtu);
    w.U16(0x4500), w.U16(1500), w.U32(0x4000), w.U16(0x4011), w.U16(0);
    w.Raw(a.outer4.octets()), w.Raw(b.outer4.octets());
    w.U16(4500), w.U16(4500), w.U32(0), w.U32(spi);
    esp::StoreChecksum(&message[2], esp::SumOf(message.data(), message.size()));
    ASSERT_GT(router.SendTo({a.outer4, 0}, message), 0);
  };
  const Bytes data(1300, 3);
  const auto passes = [&] {
    at_a.SendTo({b.pod4, 6000}, data);
    return at_b.Receive() == data;
  };
  say(0x9999, 600);
  EXPECT_TRUE(passes()) << "not an SPI of ours";
  say(0x1001, 1300);
  EXPECT_TRUE(Reaches(
      [&]() -> uint64_t {
        at_a.SendTo({b.pod4, 6000}, data);
        return a.Dropped(Drop::kTooBig) > 0;
      },
      1));
}

TEST_F(DatapathTest, RefusesWhatIsNotAuthenticOrNotThePeersOwn) {
  ConnectBoth();
  lab.a.datapath->RemoveOutbound(b.id, 0x1001);  // this test alone sends on it
  auto sender = *esp::OutboundSa::Create(lab.Sa(a, b, 0x1001, false, false, kSuite));
  Socket wire(a.ns, {a.outer4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  const auto seal = [&](Bytes inner, uint8_t next = 4) {
    const size_t size = inner.size();
    inner.resize(size + esp::kTrailerMax);
    Bytes out(esp::SealedSize(size));
    sender->Seal(inner.data(), size, next, out.data());
    return out;
  };
  const auto send = [&](const Bytes& packet) { wire.SendTo({b.outer4, 4500}, packet); };
  const auto dropped = [&](Drop drop) { return [this, drop] { return b.Dropped(drop); }; };

  const Bytes good = seal(InnerUdp(a.pod4, b.pod4, 6000, "good"));
  Bytes forged = seal(InnerUdp(a.pod4, b.pod4, 6000, "forged"));
  forged.back() ^= 1;
  send(forged);
  EXPECT_TRUE(Reaches(dropped(Drop::kIcv), 1));
  send(good);
  EXPECT_EQ(at_b.Receive(), Text("good"));
  send(good);
  EXPECT_TRUE(Reaches(dropped(Drop::kReplay), 1));

  send(seal(InnerUdp(b.pod4, b.pod4, 6000, "own address")));
  EXPECT_TRUE(Reaches(dropped(Drop::kSource), 1));
  send(seal(InnerUdp(Ip("10.244.9.9"), b.pod4, 6000, "nobody's address")));
  EXPECT_TRUE(Reaches(dropped(Drop::kSource), 2));
  send(seal(InnerUdp(a.pod4, Ip("10.244.9.9"), 6000, "not to us")));
  EXPECT_TRUE(Reaches(dropped(Drop::kPolicy), 1));
  b.snapshot->SetVerdict(b.pod4, policy::Verdict::kDeny);
  b.datapath->SetSnapshot(b.snapshot);
  send(seal(InnerUdp(a.pod4, b.pod4, 6000, "denied")));
  EXPECT_TRUE(Reaches(dropped(Drop::kPolicy), 2));
  b.snapshot->SetVerdict(b.pod4, policy::Verdict::kRequire);
  b.datapath->SetSnapshot(b.snapshot);

  send(seal(Text("no IP packet at all, but authentic")));
  send(seal(InnerUdp(a.pod4, b.pod4, 6000, "says IPv6"), 41));
  send(seal(InnerUdp(a.pod4, b.pod4, 6000, "says TCP"), 6));
  send(Bytes(35, 7));
  EXPECT_TRUE(Reaches(dropped(Drop::kMalformed), 3));
  EXPECT_TRUE(Reaches(dropped(Drop::kNoSa), 1)) << "the 35 octets";
  send(Bytes(good.begin(), good.begin() + 33));
  EXPECT_TRUE(Reaches(dropped(Drop::kMalformed), 4));
  send({0xff});
  send({1, 2, 3});
  EXPECT_TRUE(Reaches(dropped(Drop::kMalformed), 5));
  send(seal(InnerUdp(a.pod4, b.pod4, 6000, "dummy"), 59));

  Bytes unknown = good;
  unknown[0] = 0x77;
  for (int i = 0; i < 100; ++i) send(unknown);
  EXPECT_TRUE(Reaches(dropped(Drop::kNoSa), 101));
  EXPECT_TRUE(b.Await([&] { return !b.unknown_spi.empty(); }));
  {
    absl::MutexLock lock(&b.mutex);
    EXPECT_LE(b.unknown_spi.size(), 20u) << "rate-limited";
    EXPECT_THAT(b.unknown_spi, Contains(0x77001001u));
  }
  send(seal(InnerUdp(a.pod4, b.pod4, 6000, "still alive")));
  EXPECT_EQ(at_b.Receive(), Text("still alive"));
}

// As in a cluster: the CNI routes the peer's pods by another device than ours, and hosts check reverse paths.
TEST_F(DatapathTest, DeliversWhereTheRouteBackIsNotOurs) {
  ASSERT_EQ(
      std::system(
          absl::StrCat("ip -n ", b.ns, " route replace ", a.pod4.ToString(), " via ", a.outer4.ToString()).c_str()),
      0);
  ConnectBoth();
  EXPECT_TRUE(Exchange(false));
}

TEST_F(DatapathTest, EcnIsCombined) {
  ConnectBoth();
  a.datapath->RemoveOutbound(b.id, 0x1001);
  auto sender = *esp::OutboundSa::Create(lab.Sa(a, b, 0x1001, false, false, kSuite));
  Socket wire(a.ns, {a.outer4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  const int congested = 3;
  setsockopt(wire.fd(), IPPROTO_IP, IP_TOS, &congested, sizeof(congested));
  Bytes inner = InnerUdp(a.pod4, b.pod4, 6000, "not ECT");
  const size_t size = inner.size();
  inner.resize(size + esp::kTrailerMax);
  Bytes out(esp::SealedSize(size));
  sender->Seal(inner.data(), size, 4, out.data());
  wire.SendTo({b.outer4, 4500}, out);
  EXPECT_TRUE(Reaches([&] { return b.Dropped(Drop::kEcn); }, 1));
}

TEST_F(DatapathTest, HoldsUntilTheTunnelIsUp) {
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  for (const char* text : {"one", "two", "three"}) at_a.SendTo({b.pod4, 6000}, Text(text));
  ASSERT_TRUE(a.Await([&] { return !a.acquired.empty(); }));
  EXPECT_TRUE(Reaches([&] { return a.datapath->Held()[b.id]; }, 3));
  {
    absl::MutexLock lock(&a.mutex);
    EXPECT_THAT(a.acquired, ElementsAre(b.id)) << "merged";
  }
  ConnectBoth();
  for (const char* text : {"one", "two", "three"}) EXPECT_EQ(at_b.Receive(), Text(text));
  EXPECT_TRUE(a.datapath->Held().empty());
}

TEST_F(DatapathTest, HoldIsBoundedInSpaceAndTime) {
  lab.Start(&a, absl::Milliseconds(300));
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM);
  for (int i = 0; i < 80; ++i) at_a.SendTo({b.pod4, 6000}, Text("x"));
  EXPECT_TRUE(Reaches([&] { return a.Dropped(Drop::kHoldFull); }, 16));
  EXPECT_TRUE(Reaches([&] { return a.Dropped(Drop::kHoldExpired); }, 64));
  EXPECT_TRUE(a.datapath->Held().empty());
}

TEST_F(DatapathTest, HoldsUnknownDestinationsUntilTheViewKnows) {
  ConnectBoth();
  auto unaware = std::make_shared<testing::FakeSnapshot>();
  unaware->Add(IpPrefix(a.pod4, 32), {.identity = 257, .node_id = a.id, .local = true});
  unaware->Add(IpPrefix(Ip("10.244.0.0"), 16), {.identity = 4, .node_id = 0, .local = false});
  a.datapath->SetSnapshot(unaware);
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  at_a.SendTo({b.pod4, 6000}, Text("early"));
  EXPECT_TRUE(Reaches([&] { return a.datapath->Held()[0]; }, 1));
  a.datapath->SetSnapshot(a.snapshot);
  EXPECT_EQ(at_b.Receive(), Text("early"));
}

TEST_F(DatapathTest, WhatPolicyDeniesNeverLeaves) {
  ConnectBoth();
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM);
  a.snapshot->SetVerdict(b.pod4, policy::Verdict::kDeny);
  a.datapath->SetSnapshot(a.snapshot);
  at_a.SendTo({b.pod4, 6000}, Text("x"));
  EXPECT_TRUE(Reaches([&] { return a.Dropped(Drop::kPolicy); }, 1));
  for (const SaCounters& c : a.datapath->Counters()) EXPECT_EQ(c.packets, 0u);
}

TEST_F(DatapathTest, WhatSteeringStillSendsAfterAPolicyIsGoneIsCarriedInEsp) {
  ConnectBoth();
  Socket at_a(a.ns, {a.pod4, 0}, SOCK_DGRAM), at_b(b.ns, {b.pod4, 6000}, SOCK_DGRAM);
  a.snapshot->SetVerdict(b.pod4, policy::Verdict::kPass);
  a.datapath->SetSnapshot(a.snapshot);
  at_a.SendTo({b.pod4, 6000}, Text("late"));
  EXPECT_EQ(at_b.Receive(), Text("late"));
}

TEST_F(DatapathTest, CarriesIkeBesideEsp) {
  for (const bool v6 : {false, true}) {
    a.datapath->SendIke(a.Outer(v6), b.Outer(v6), Text("a short message"));
    a.datapath->SendIke(a.Outer(v6), b.Outer(v6), Bytes(4000, 5));
  }
  EXPECT_TRUE(b.Await([&] {
    return b.ike ==
           std::vector<Bytes>{Text("a short message"), Bytes(4000, 5), Text("a short message"), Bytes(4000, 5)};
  }));
}

TEST_F(DatapathTest, TheDeviceOutlivesTheProcess) {
  const int index = a.datapath->device_index();
  lab.Start(&a);
  EXPECT_EQ(a.datapath->device_index(), index);
  ConnectBoth();
  EXPECT_TRUE(Exchange(false));
}

TEST_F(DatapathTest, RefusesWhatCannotBeInstalled) {
  ConnectBoth();
  EXPECT_EQ(a.datapath->InstallOutbound(lab.Sa(a, b, 0x1001, false, false, kSuite)).code(),
            absl::StatusCode::kAlreadyExists)
      << "numbers, and so nonces, would begin again";
  EXPECT_EQ(a.datapath->InstallInbound(lab.Sa(b, a, 0x1002, true, false, kSuite)).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(a.datapath->InstallInbound(lab.Sa(b, a, 200, true, false, kSuite)).code(),
            absl::StatusCode::kInvalidArgument);
  ike::EspSa sa = lab.Sa(a, b, 0x1003, false, false, kSuite);
  sa.key = Secret(3);
  EXPECT_EQ(a.datapath->InstallOutbound(std::move(sa)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Exchange(false)) << "and nothing has changed";
}

}  // namespace
}  // namespace espalier::datapath
