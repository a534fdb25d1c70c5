// Set-up: IKE_SA_INIT, IKE_INTERMEDIATE, IKE_AUTH, and both ends at once.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

using wire::ExchangeType;

Config Classic() {
  Config c;
  c.post_quantum = false;
  return c;
}

std::vector<std::string> Exchanges(const Mesh& mesh) {
  std::vector<std::string> out;
  for (const Datagram& d : mesh.sent) {
    wire::Header h = d.header();
    out.push_back(wire::ToString(h.exchange) + (h.response ? " <--" : " -->"));
  }
  out.erase(std::unique(out.begin(), out.end()), out.end());  // fragments of one message
  return out;
}

// IKE_SA_INIT  { SA, KEi, Ni, N.. }               -->
//                               <--  { SA, KEr, Nr, N.., CERTREQ }
// IKE_INTERMEDIATE { SK { KEi(1) } }              -->
//                               <--  { SK { KEr(1) } }
// IKE_AUTH { SK { IDi, CERT, .., AUTH, SA, TSi, TSr } }  -->
//                               <--  { SK { IDr, CERT, AUTH, SA, TSi, TSr } }
TEST(Setup, SixMessagesMakeAPair) {
  Mesh mesh;
  mesh.Add(1);
  mesh.Add(2);
  mesh.ShareView();
  mesh.record = true;
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kNoSa);
  mesh.RunFor(absl::Milliseconds(20));
  EXPECT_EQ(Exchanges(mesh), (std::vector<std::string>{"IKE_SA_INIT -->", "IKE_SA_INIT <--", "IKE_INTERMEDIATE -->",
                                                       "IKE_INTERMEDIATE <--", "IKE_AUTH -->", "IKE_AUTH <--"}));
  for (const Datagram& d : mesh.sent) EXPECT_LE(d.octets.size() + 32, 1280u);
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
  EXPECT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
  EXPECT_TRUE(mesh.OnePair(1, 2));
  PeerReport report = mesh.node(1).engine().Report().front();
  EXPECT_EQ(report.suite, "AES-256-GCM/PRF-HMAC-SHA2-512/X25519+ML-KEM-768");
  EXPECT_TRUE(report.initiator);
}

TEST(Setup, EverySuite) {
  for (EspSuite ike : {EspSuite::kAesGcm256, EspSuite::kAesGcm128, EspSuite::kChaCha20Poly1305}) {
    for (bool pq : {false, true}) {
      Mesh mesh;
      Config c;
      c.ike = c.esp = {ike};
      c.post_quantum = pq;
      mesh.Add(1, c);
      mesh.Add(2);
      mesh.node(2).config().post_quantum = pq;
      mesh.node(2).engine().SetConfig(mesh.node(2).config());
      mesh.ShareView();
      EXPECT_TRUE(mesh.Connect(1, 2));
      EXPECT_EQ(mesh.node(2).engine().Report().front().children.front().suite, ike);
    }
  }
}

// IKE-073 and the like: fragments of 576 octets, every message that is not IKE_SA_INIT.
TEST(Setup, SmallFragments) {
  Mesh mesh;
  Config c;
  c.fragment_size = 300;
  mesh.Add(1, c);
  mesh.Add(2, c);
  mesh.ShareView();
  mesh.record = true;
  ASSERT_TRUE(mesh.Connect(1, 2));
  for (const Datagram& d : mesh.sent) {
    if (d.header().exchange == ExchangeType::kIkeSaInit) continue;
    EXPECT_LE(d.octets.size() + 32, 300u);
  }
  EXPECT_GT(mesh.sent.size(), 12u);
}

// IKE_SA_INIT { SA, KEi(19), Ni }  -->
//                               <--  { N(INVALID_KE_PAYLOAD, 31) }
// IKE_SA_INIT { SA, KEi(31), Ni }  -->   the offer is whole (IKE-020)
TEST(Setup, InvalidKePayload) {
  Mesh mesh;
  Config c;
  c.key_exchanges = {19, 20, 31};
  mesh.Add(1, c);
  Config only;
  only.key_exchanges = {31};
  mesh.Add(2, only);
  mesh.ShareView();
  mesh.record = true;
  ASSERT_TRUE(mesh.Connect(1, 2));
  EXPECT_EQ(mesh.sent[0].header().exchange, ExchangeType::kIkeSaInit);
  EXPECT_EQ(mesh.sent[2].header().exchange, ExchangeType::kIkeSaInit);
  EXPECT_EQ(mesh.sent[4].header().exchange, ExchangeType::kIkeIntermediate);
  // The rekeys meet it too.
  mesh.node(1).engine().RekeyChild(mesh.now(), 2);
  mesh.Settle();
  mesh.node(1).engine().RekeyIke(mesh.now(), 2);
  mesh.RunFor(absl::Seconds(6));
  EXPECT_TRUE(mesh.OnePair(1, 2));
  EXPECT_EQ(mesh.node(1).engine().Counters()["ike_rekeyed"], 1u);
  EXPECT_EQ(mesh.node(1).engine().Counters()["child_rekeyed"], 1u);
}

// IKE_SA_INIT { SA, KEi(19), Ni }  -->
//                               <--  { N(COOKIE) }
// IKE_SA_INIT { N(COOKIE), SA, KEi(19), Ni }  -->
//                               <--  { N(INVALID_KE_PAYLOAD, 31) }
// IKE_SA_INIT { N(COOKIE), SA, KEi(31), Ni }  -->
TEST(Setup, CookieThenInvalidKe) {
  Mesh mesh;
  Config c;
  c.key_exchanges = {19, 31};
  mesh.Add(1, c);
  Config r;
  r.key_exchanges = {31};
  r.cookie_threshold = 0;
  mesh.Add(2, r);
  mesh.ShareView();
  mesh.record = true;
  ASSERT_TRUE(mesh.Connect(1, 2));
  int init = 0;
  for (const Datagram& d : mesh.sent) init += d.header().exchange == ExchangeType::kIkeSaInit;
  EXPECT_EQ(init, 6);
  EXPECT_EQ(mesh.node(2).engine().Counters()["ike_cookies_sent"], 1u);
}

TEST(Setup, NothingInCommonEndsQuietly) {
  Mesh mesh;
  Config a = Classic(), b = Classic();
  a.key_exchanges = {31};
  b.key_exchanges = {19};
  mesh.Add(1, a);
  mesh.Add(2, b);
  mesh.ShareView();
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  mesh.RunFor(absl::Minutes(5));
  EXPECT_TRUE(mesh.NothingLeft());
  EXPECT_EQ(mesh.node(1).engine().Report().front().state, PeerState::kFailed);
  EXPECT_EQ(mesh.node(1).engine().Report().front().last_error, "the peer answered NO_PROPOSAL_CHOSEN");
}

// Every datagram of a set-up lost once, and lost twice.
TEST(Setup, LossOfEachMessage) {
  for (size_t lost = 0; lost < 14; ++lost) {
    for (size_t times : {1, 2}) {
      Mesh mesh(lost + 1);
      mesh.Add(1);
      mesh.Add(2);
      mesh.ShareView();
      size_t at = 0;
      mesh.filter = [&](const Datagram&) {
        size_t i = at++;
        return i < lost || i >= lost + times;
      };
      EXPECT_TRUE(mesh.Connect(1, 2)) << "datagram " << lost << ", " << times << " times";
    }
  }
}

// Both send IKE_SA_INIT before either has the other's; each of the messages is late by every amount (IKE-029).
TEST(Setup, BothAtOnce) {
  for (int lag = 0; lag <= 30; ++lag) {
    for (int skew = 0; skew <= 24; skew += 3) {
      Mesh mesh(static_cast<uint64_t>(lag * 100 + skew + 1));
      mesh.Add(1);
      mesh.Add(2);
      mesh.ShareView();
      mesh.delay = absl::Milliseconds(4);
      int n = 0;
      mesh.filter = [&](const Datagram& d) {
        // The lag'th datagram takes 10 ms longer.
        if (n++ != lag) return true;
        mesh.Inject(d, absl::Milliseconds(14));
        return false;
      };
      mesh.SendPacket(1, 2);
      mesh.RunFor(absl::Milliseconds(skew));
      mesh.SendPacket(2, 1);
      for (int i = 0; i < 200; ++i) {
        mesh.RunFor(absl::Milliseconds(1));
        for (auto [from, to] : {std::pair(1, 2), std::pair(2, 1)}) {
          Mesh::Packet p = mesh.SendPacket(static_cast<PeerId>(from), static_cast<PeerId>(to));
          ASSERT_TRUE(p == Mesh::Packet::kOpened || p == Mesh::Packet::kNoSa)
              << "lag " << lag << " skew " << skew << " at " << i << ": " << static_cast<int>(p);
        }
      }
      for (int i = 0; i < 200; ++i) {
        mesh.RunFor(absl::Milliseconds(100));
        ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened) << "lag " << lag << " skew " << skew;
        ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened) << "lag " << lag << " skew " << skew;
      }
      ASSERT_TRUE(mesh.OnePair(1, 2)) << "lag " << lag << " skew " << skew;
    }
  }
}

// Both at once, without a lag: the IKE SA that node 1 began stays, whoever was first.
TEST(Setup, LowerNodeWins) {
  for (auto [first, second] : {std::pair(1, 2), std::pair(2, 1)}) {
    Mesh mesh;
    mesh.Add(1);
    mesh.Add(2);
    mesh.ShareView();
    mesh.SendPacket(static_cast<PeerId>(first), static_cast<PeerId>(second));
    mesh.SendPacket(static_cast<PeerId>(second), static_cast<PeerId>(first));
    mesh.RunFor(absl::Seconds(20));
    ASSERT_TRUE(mesh.OnePair(1, 2));
    EXPECT_TRUE(mesh.node(1).engine().Report().front().initiator);
  }
}

// ---- what must fail

struct Refusal {
  const char* name;
  std::function<void(Mesh&)> arrange;
};

// IKE-041: whatever the cause, the answer is AUTHENTICATION_FAILED alone; nothing is left.
TEST(Setup, EveryAuthenticationFailureLooksTheSame) {
  std::vector<Refusal> causes = {
      {"foreign authority", [](Mesh& m) { m.node(1).identity = NodeIdentity::Make(1, /*foreign=*/true); }},
      {"claims another node's identity", [](Mesh& m) { m.node(1).identity.spiffe_id = SpiffeIdOf(3); }},
      {"another node's certificate, own key",
       [](Mesh& m) {
         m.node(1).identity.certificate = NodeIdentity::Make(3).certificate;
         m.node(1).identity.spiffe_id = SpiffeIdOf(3);
       }},
      {"revoked", [](Mesh& m) { m.node(2).distrusted = {1}; }},
      {"not in the view", [](Mesh& m) { m.ShareViewWith(m.node(2), {1}); }},
      {"no certificate", [](Mesh& m) { m.node(1).identity.certificate = {0x30, 0x00}; }},
  };
  std::set<size_t> sizes;
  for (const Refusal& cause : causes) {
    SCOPED_TRACE(cause.name);
    Mesh mesh;
    for (PeerId id : {1, 2, 3}) mesh.Add(id);
    mesh.ShareView();
    cause.arrange(mesh);
    mesh.record = true;
    mesh.node(1).engine().Acquire(mesh.now(), 2);
    mesh.RunFor(absl::Seconds(1));
    size_t answers = 0;
    for (const Datagram& d : mesh.sent) {
      if (d.header().exchange != ExchangeType::kIkeAuth || !d.header().response) continue;
      sizes.insert(d.octets.size());
      ++answers;
    }
    EXPECT_GE(answers, 1u);
    EXPECT_TRUE(mesh.node(2).inbound.empty());
    mesh.RunFor(absl::Minutes(5));
    EXPECT_TRUE(mesh.NothingLeft());
    EXPECT_GE(mesh.node(2).engine().Counters()["ike_auth_failed"], 1u);
    EXPECT_EQ(mesh.node(1).engine().Report().front().last_error, "the peer answered AUTHENTICATION_FAILED");
  }
  EXPECT_EQ(sizes.size(), 1u);
}

// IKE-039: another valid node answers. The initiator says so in an exchange of its own, and both ends forget.
TEST(Setup, AnotherValidNodeAnswers) {
  Mesh mesh;
  for (PeerId id : {1, 2, 3}) mesh.Add(id);
  mesh.ShareView();
  mesh.node(2).identity = NodeIdentity::Make(3);
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  mesh.RunFor(absl::Seconds(1));
  EXPECT_TRUE(mesh.node(1).inbound.empty());
  EXPECT_EQ(mesh.node(1).engine().Report()[0].last_error, "another node than dialled");
  mesh.RunFor(absl::Minutes(5));
  EXPECT_TRUE(mesh.NothingLeft());
}

// IKE-084: both nodes can do ML-KEM; somebody takes it out of the offer.
TEST(Setup, NoDowngrade) {
  Mesh mesh;
  mesh.Add(1, Classic());
  mesh.Add(2);
  mesh.ShareView();
  // Node 2's view says that node 1 can.
  Peer p;
  p.id = 1;
  p.name = "node-1";
  std::string spiffe = SpiffeIdOf(1);
  p.key_id.assign(spiffe.begin(), spiffe.end());
  p.local = mesh.node(2).endpoint();
  p.remote = mesh.node(1).endpoint();
  p.boot_id = mesh.node(1).boot_id();
  p.mlkem = true;
  mesh.node(2).engine().SetPeers(mesh.now(), {p}, {});
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  mesh.RunFor(absl::Minutes(2));
  EXPECT_TRUE(mesh.NothingLeft());
  EXPECT_GE(mesh.node(2).engine().Counters()["ike_auth_failed"], 1u);
  // As the initiator it does not even offer to go without.
  mesh.node(2).engine().Acquire(mesh.now(), 1);
  mesh.RunFor(absl::Minutes(2));
  EXPECT_TRUE(mesh.NothingLeft());
}

// A node that does no ML-KEM, and is known not to.
TEST(Setup, WithoutMlKemWhereThePeerCannot) {
  for (PeerId from : {1, 2}) {
    Mesh mesh;
    mesh.Add(1, Classic());
    mesh.Add(2);
    mesh.ShareView();
    ASSERT_TRUE(mesh.Connect(from, 3 - from));
    EXPECT_EQ(mesh.node(1).engine().Report().front().suite, "AES-256-GCM/PRF-HMAC-SHA2-512/X25519");
    mesh.node(2).engine().RekeyChild(mesh.now(), 1);
    mesh.Settle();
    mesh.node(2).engine().RekeyIke(mesh.now(), 1);
    mesh.RunFor(absl::Seconds(6));
    EXPECT_TRUE(mesh.OnePair(1, 2));
  }
}

// ERR-07: the datapath refuses either half at either end: neither direction is left, and the next attempt works.
TEST(Setup, DatapathRefuses) {
  for (PeerId who : {1, 2}) {
    for (bool in : {true, false}) {
      Mesh mesh;
      mesh.Add(1);
      mesh.Add(2);
      mesh.ShareView();
      (in ? mesh.node(who).refuse_inbound : mesh.node(who).refuse_outbound) = true;
      mesh.SendPacket(1, 2);
      mesh.RunFor(absl::Seconds(8));
      mesh.node(who).refuse_inbound = mesh.node(who).refuse_outbound = false;
      for (int i = 0; i < 10; ++i) {
        mesh.SendPacket(1, 2);
        mesh.SendPacket(2, 1);
        mesh.RunFor(absl::Seconds(2));
      }
      // Either end may have made a child by then (COL-16): one of them idles out later.
      SCOPED_TRACE(::testing::Message() << "node " << who << (in ? " inbound" : " outbound"));
      EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
      EXPECT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
      EXPECT_TRUE(mesh.AllOpenable());
      for (PeerId id : {1, 2}) EXPECT_LE(mesh.node(id).inbound.size(), 2u);
    }
  }
}

TEST(Setup, AcquireToNobodyIsHarmless) {
  Mesh mesh;
  mesh.Add(1);
  mesh.ShareView();
  mesh.node(1).engine().Acquire(mesh.now(), 9);
  mesh.node(1).engine().Acquire(mesh.now(), 1);
  mesh.node(1).engine().RekeyChild(mesh.now(), 9);
  mesh.node(1).engine().OnFirstInbound(mesh.now(), 1234);
  EXPECT_TRUE(mesh.NothingLeft());
}

// IKE-094: a pod that scans the mesh.
TEST(Setup, InitiationsAreLimited) {
  Mesh mesh;
  Config c = Classic();
  c.initiations_per_second = 5;
  mesh.Add(1, c);
  for (PeerId id = 2; id < 60; ++id) mesh.Add(id, Classic());
  mesh.ShareView();
  mesh.record = true;
  for (int i = 0; i < 10; ++i) {
    for (PeerId id = 2; id < 60; ++id) mesh.node(1).engine().Acquire(mesh.now(), id);
  }
  auto started = [&] {
    std::set<Endpoint> out;
    for (const Datagram& d : mesh.sent) {
      if (d.from == mesh.node(1).endpoint()) out.insert(d.to);
    }
    return out.size();
  };
  EXPECT_EQ(started(), 5u);
  mesh.RunFor(absl::Seconds(2));
  EXPECT_LE(started(), 16u);
  mesh.RunFor(absl::Seconds(12));
  EXPECT_EQ(started(), 58u);
}

}  // namespace
}  // namespace espalier::ike
