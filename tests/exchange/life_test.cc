// What happens to SAs that are up: deletes, silence, restarts, changes of the view, and attackers at the door.
#include "agent/ike/wire/payloads.h"
#include "gtest/gtest.h"
#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

using wire::ExchangeType;
using wire::NotifyPayload;
using wire::NotifyType;

class Life : public ::testing::Test {
 protected:
  void Connect(Config config = {}) {
    mesh.Add(1, config);
    mesh.Add(2, config);
    mesh.ShareView();
    ASSERT_TRUE(mesh.Connect(1, 2));
  }
  // One second of traffic at a time, counted for the engines.
  void Traffic(int seconds, bool forth = true, bool back = true) {
    for (int i = 0; i < seconds; ++i) {
      if (forth) mesh.SendPacket(1, 2);
      if (back) mesh.SendPacket(2, 1);
      mesh.ReportTraffic();
      mesh.RunFor(absl::Seconds(1));
    }
  }
  uint64_t Count(PeerId id, const char* what) { return mesh.node(id).engine().Counters()[what]; }
  Datagram Forged(PeerId to, const Endpoint& from, const wire::Header& header, const wire::Payloads& payloads) {
    return {from, mesh.node(to).endpoint(), *wire::WriteMessage(header, payloads)};
  }

  Mesh mesh;
};

// INFORMATIONAL { D(IKE) }  -->, once, when an agent shuts down.
TEST_F(Life, CloseAllTellsThePeer) {
  Connect();
  mesh.node(1).engine().CloseAll(mesh.now());
  EXPECT_TRUE(mesh.node(1).inbound.empty());
  mesh.Settle();
  EXPECT_TRUE(mesh.node(2).outbound.empty());
  mesh.RunFor(absl::Minutes(2));
  EXPECT_TRUE(mesh.NothingLeft());
}

TEST_F(Life, IdleChildrenAndThenTheIkeSaGo) {
  Config c;
  c.child_idle = absl::Seconds(30);
  c.ike_lifetime = absl::Minutes(10);
  Connect(c);
  Traffic(20);
  EXPECT_TRUE(mesh.OnePair(1, 2));
  mesh.RunFor(absl::Minutes(1));
  EXPECT_TRUE(mesh.node(1).inbound.empty());
  EXPECT_TRUE(mesh.node(2).inbound.empty());
  EXPECT_EQ(mesh.node(1).engine().Report().front().state, PeerState::kUp);
  // A packet makes a child on the IKE SA that is there: CREATE_CHILD_SA { SA, Ni, KEi, TSi, TSr }  -->
  mesh.record = true;
  ASSERT_TRUE(mesh.Connect(1, 2));
  EXPECT_EQ(mesh.sent.front().header().exchange, ExchangeType::kCreateChildSa);
  EXPECT_EQ(Count(1, "ike_established"), 1u);
  mesh.RunFor(absl::Minutes(20));
  EXPECT_TRUE(mesh.NothingLeft());
}

// IKE-056: we send and hear nothing. INFORMATIONAL { }  -->, and when no answer comes, all goes.
TEST_F(Life, DeadPeerIsFound) {
  Config c;
  c.dpd_interval = absl::Seconds(5);
  c.retransmit_tries = 4;
  Connect(c);
  Traffic(3);
  mesh.filter = [](const Datagram&) { return false; };
  for (int i = 0; i < 40; ++i) {
    mesh.SendPacket(1, 2);
    // Node 2 is cut off: what it got does not count.
    mesh.node(1).engine().OnTraffic(mesh.now(),
                                    mesh.node(1).engine().Report().front().children.empty()
                                        ? ChildId{}
                                        : mesh.node(1).engine().Report().front().children.front().id,
                                    {1, 1, absl::InfinitePast(), mesh.now()});
    mesh.RunFor(absl::Seconds(1));
  }
  EXPECT_TRUE(mesh.node(1).current.empty());
  EXPECT_EQ(Count(1, "ike_timeouts"), 1u);
  EXPECT_GE(Count(1, "ike_liveness_checks"), 1u);
  // The path comes back, and so does the tunnel, with the next packets.
  mesh.filter = nullptr;
  mesh.RunFor(absl::Minutes(1));
  EXPECT_TRUE(mesh.RunUntil(mesh.now() + absl::Minutes(2), [&] {
    mesh.RunFor(absl::Milliseconds(100));
    return mesh.SendPacket(1, 2) == Mesh::Packet::kOpened;
  }));
  mesh.RunFor(absl::Seconds(15));
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

TEST_F(Life, NoChecksWhileTrafficFlows) {
  Config c;
  c.dpd_interval = absl::Seconds(5);
  Connect(c);
  Traffic(120);
  EXPECT_EQ(Count(1, "ike_liveness_checks") + Count(2, "ike_liveness_checks"), 0u);
  // One way only: the end that sends checks; a check is answered, so nothing is lost.
  Traffic(60, /*forth=*/true, /*back=*/false);
  EXPECT_GE(Count(1, "ike_liveness_checks"), 8u);
  EXPECT_EQ(Count(2, "ike_liveness_checks"), 0u);
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// A killed agent comes back, and its own traffic starts: INITIAL_CONTACT removes what the peer still has.
TEST_F(Life, RestartedPeerStartsAnew) {
  Connect();
  mesh.node(2).Restart();
  mesh.ShareViewWith(mesh.node(2));
  ASSERT_TRUE(mesh.Connect(2, 1));
  // The view tells of the restart only now: the IKE SA with the new process stays.
  mesh.ShareView();
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// The view tells first: node 1 drops its SAs at once and dials again, as there was traffic.
TEST_F(Life, RestartedPeerByTheView) {
  Connect();
  mesh.node(2).Restart();
  mesh.ShareView();
  mesh.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
  mesh.SendPacket(2, 1);
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// Nobody tells: packets with an unknown SPI, and no IKE SA at the restarted end. Liveness finds it.
TEST_F(Life, RestartedPeerFoundByLiveness) {
  Config c;
  c.dpd_interval = absl::Seconds(5);
  c.retransmit_tries = 4;
  Connect(c);
  mesh.node(2).Restart();
  mesh.ShareViewWith(mesh.node(2));
  bool opened = false;
  for (int i = 0; i < 120 && !opened; ++i) {
    opened = mesh.SendPacket(1, 2) == Mesh::Packet::kOpened;
    mesh.ReportTraffic();
    mesh.RunFor(absl::Milliseconds(500));
  }
  EXPECT_TRUE(opened);
}

// The datapath of node 2 lost the SA (and its IKE SA lives): INFORMATIONAL { N(INVALID_SPI) }  -->, and node 1 makes
// the child anew.
TEST_F(Life, InvalidSpiInsideTheIkeSa) {
  Connect();
  mesh.RunFor(absl::Seconds(5));
  uint32_t lost = mesh.node(1).current.at(2).first;
  auto kept = mesh.node(2).inbound.extract(lost);
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kUnknownSpi);
  mesh.node(2).inbound.insert(std::move(kept));  // so that its removal finds it
  mesh.RunFor(absl::Milliseconds(100));
  EXPECT_NE(mesh.node(1).current.at(2).first, lost);
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
  EXPECT_EQ(Count(2, "ike_invalid_spi_sent"), 1u);
  EXPECT_EQ(Count(1, "ike_established"), 1u);
}

TEST_F(Life, NodeLeavesTheView) {
  Connect();
  mesh.ShareViewWith(mesh.node(1), {2});
  EXPECT_TRUE(mesh.node(1).outbound.empty());
  mesh.Settle();
  EXPECT_TRUE(mesh.node(2).outbound.empty());
  EXPECT_TRUE(mesh.node(1).engine().Report().empty());
  // It may not come back either.
  mesh.SendPacket(2, 1);
  mesh.RunFor(absl::Minutes(3));
  EXPECT_TRUE(mesh.NothingLeft());
  // Until it is in the view again.
  mesh.ShareView();
  EXPECT_TRUE(mesh.Connect(1, 2));
}

TEST_F(Life, RevokedCertificateEndsTheSa) {
  Connect();
  std::vector<Peer> peers;
  Peer p;
  p.id = 2;
  p.name = "node-2";
  std::string spiffe = SpiffeIdOf(2);
  p.key_id.assign(spiffe.begin(), spiffe.end());
  p.local = mesh.node(1).endpoint();
  p.remote = mesh.node(2).endpoint();
  p.boot_id = mesh.node(2).boot_id();
  p.mlkem = true;
  mesh.node(1).engine().SetPeers(mesh.now(), {p}, {"77"});
  EXPECT_TRUE(mesh.OnePair(1, 2));
  mesh.node(1).engine().SetPeers(mesh.now(), {p}, {"77", "2"});
  EXPECT_TRUE(mesh.node(1).outbound.empty());
  mesh.Settle();
  EXPECT_TRUE(mesh.node(2).outbound.empty());
}

// The certificate ends in two minutes: new IKE SAs in time, and no packet lost (IKE-045).
TEST_F(Life, ReauthenticationBeforeTheCertificateEnds) {
  mesh.Add(1);
  mesh.Add(2);
  mesh.node(1).peers_life = mesh.node(2).peers_life = absl::Minutes(2);
  mesh.ShareView();
  ASSERT_TRUE(mesh.Connect(1, 2));
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened) << i;
    ASSERT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened) << i;
    mesh.ReportTraffic();
    mesh.RunFor(absl::Seconds(1));
  }
  EXPECT_GE(Count(1, "ike_established"), 5u);
  mesh.RunFor(absl::Seconds(10));
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// ---- attackers

// IKE-054: 10,000 forged errors change nothing; at most a few liveness checks.
TEST_F(Life, ForgedErrorsChangeNothing) {
  Connect();
  PeerReport report = mesh.node(1).engine().Report().front();
  for (int i = 0; i < 10000; ++i) {
    wire::Header h;
    h.spi_i = report.spi_local;
    h.spi_r = report.spi_remote;
    h.exchange = i % 2 == 0 ? ExchangeType::kInformational : ExchangeType::kCreateChildSa;
    h.response = i % 3 != 0;
    h.message_id = static_cast<uint32_t>(i % 8);
    wire::Payloads p;
    p.Add(NotifyPayload(i % 5 == 0 ? NotifyType::kInvalidSyntax : NotifyType::kInvalidIkeSpi));
    mesh.Inject(Forged(1, mesh.node(2).endpoint(), h, p));
  }
  mesh.Settle();
  EXPECT_TRUE(mesh.OnePair(1, 2));
  EXPECT_LE(Count(1, "ike_liveness_checks"), 1u);
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
}

// IKE-024: forged answers to IKE_SA_INIT before the true one: a refusal, and one with another SPI and key.
TEST_F(Life, ForgedInitAnswersDoNotStopTheSetup) {
  for (bool refusal : {true, false}) {
    Mesh m;
    m.Add(1);
    m.Add(2);
    m.Add(3);  // who forges, with a key of its own
    m.ShareView();
    bool done = false;
    m.filter = [&](const Datagram& d) {
      wire::Header h = d.header();
      if (done || h.exchange != ExchangeType::kIkeSaInit || h.response) return true;
      done = true;
      if (refusal) {
        h.response = true;
        h.from_initiator = false;
        h.spi_r = 77;
        wire::Payloads p;
        p.Add(NotifyPayload(NotifyType::kNoProposalChosen));
        m.Inject({d.to, d.from, *wire::WriteMessage(h, p)});
      } else {
        // Node 3 answers the request as if it had been sent to it; the answer seems to come from node 2.
        size_t before = m.sent.size();
        m.record = true;
        m.node(3).engine().OnDatagram(m.now(), m.node(3).endpoint(), d.from, d.octets);
        m.record = false;
        Datagram forged = m.sent.at(before);
        forged.from = d.to;
        m.Inject(forged);
      }
      return true;
    };
    m.SendPacket(1, 2);
    EXPECT_TRUE(m.RunUntil(m.now() + absl::Seconds(25), [&] { return m.SendPacket(1, 2) == Mesh::Packet::kOpened; }))
        << "refusal " << refusal;
    m.RunFor(absl::Seconds(40));
    m.SendPacket(2, 1);
    EXPECT_TRUE(m.OnePair(1, 2)) << "refusal " << refusal;
  }
}

// IKE-022, IKE-092: 100,000 IKE_SA_INIT from forged addresses. Memory stays flat (nothing is kept but the half-open
// ones below the threshold), what goes out is no more than what came in, and an honest peer gets in meanwhile.
TEST_F(Life, FloodOfForgedInitRequests) {
  mesh.Add(1);
  mesh.Add(2);
  mesh.ShareView();
  mesh.record = true;
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  Datagram init = mesh.sent.at(0);
  mesh.record = false;
  mesh.RunFor(absl::Seconds(1));
  mesh.node(1).engine().CloseAll(mesh.now());
  mesh.RunFor(absl::Seconds(30));
  mesh.node(2).sent_octets = mesh.node(2).received_octets = 0;
  for (int i = 0; i < 100000; ++i) {
    Bytes octets = init.octets;
    for (int j = 0; j < 4; ++j) octets[static_cast<size_t>(j)] = static_cast<uint8_t>(i >> (8 * j));
    Endpoint from{*IpAddress::Parse("10." + std::to_string(i >> 16) + "." + std::to_string((i >> 8) & 255) + "." +
                                    std::to_string(i & 255)),
                  4500};
    mesh.node(2).received_octets += octets.size();
    mesh.node(2).engine().OnDatagram(mesh.now(), mesh.node(2).endpoint(), from, octets);
    if (i % 1000 == 0) mesh.RunFor(absl::Milliseconds(10));
    if (i == 50000) {
      EXPECT_TRUE(mesh.Connect(1, 2));
    }
  }
  EXPECT_LE(mesh.node(2).sent_octets, 2 * mesh.node(2).received_octets);
  EXPECT_GE(Count(2, "ike_cookies_sent"), 99000u);
  EXPECT_TRUE(mesh.OnePair(1, 2));
  mesh.RunFor(absl::Seconds(40));
  EXPECT_EQ(Count(2, "ike_half_open_expired"), 64u);
}

// Every datagram of a life is sent again, many times and later: nothing changes.
TEST_F(Life, ReplaysChangeNothing) {
  mesh.record = true;
  Connect();
  mesh.node(1).engine().RekeyChild(mesh.now(), 2);
  mesh.RunFor(absl::Seconds(6));
  mesh.SendPacket(1, 2);
  std::vector<Datagram> all = mesh.sent;
  mesh.record = false;
  for (int round = 0; round < 3; ++round) {
    for (const Datagram& d : all) mesh.Inject(d);
    mesh.Settle();
    EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
    EXPECT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
  }
  mesh.RunFor(absl::Minutes(1));
  EXPECT_TRUE(mesh.OnePair(1, 2));
  EXPECT_EQ(Count(1, "ike_established"), 1u);
  EXPECT_EQ(Count(2, "ike_established"), 1u);
}

// IKE-013: every octet of every protected message flipped: dropped in silence, the SA goes on.
TEST_F(Life, FlippedOctetsAreDropped) {
  mesh.record = true;
  Connect();
  mesh.sent.clear();
  mesh.node(1).engine().RekeyChild(mesh.now(), 2);
  mesh.RunFor(absl::Milliseconds(20));
  std::vector<Datagram> all = mesh.sent;
  mesh.record = false;
  for (const Datagram& d : all) {
    for (size_t i = 0; i < d.octets.size(); ++i) {
      Datagram bad = d;
      bad.octets[i] ^= 0x41;
      mesh.Inject(bad);
    }
    mesh.Settle();
  }
  mesh.RunFor(absl::Seconds(10));
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
  EXPECT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
  EXPECT_TRUE(mesh.OnePair(1, 2));
}

// IKE-031: before AUTH holds, exchanges other than IKE_INTERMEDIATE and IKE_AUTH are dropped unread.
TEST_F(Life, HalfOpenSaServesNothingElse) {
  mesh.Add(1);
  mesh.Add(2);
  mesh.ShareView();
  mesh.record = true;
  mesh.filter = [](const Datagram& d) {
    return d.header().exchange == ExchangeType::kIkeSaInit;  // nothing beyond it arrives
  };
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  mesh.RunFor(absl::Milliseconds(100));
  Datagram sealed;
  for (const Datagram& d : mesh.sent) {
    if (d.header().exchange == ExchangeType::kIkeIntermediate) sealed = d;
  }
  ASSERT_FALSE(sealed.octets.empty());
  uint64_t before = Count(2, "ike_packets_wrong_state");
  for (uint8_t exchange = 0; exchange < 255; ++exchange) {
    if (exchange == 34 || exchange == 35 || exchange == 43) continue;
    Datagram d = sealed;
    d.octets[18] = exchange;
    mesh.Inject(d);
  }
  mesh.Settle();
  EXPECT_EQ(Count(2, "ike_packets_wrong_state") - before, 252u);
  mesh.filter = nullptr;
  EXPECT_TRUE(mesh.Connect(1, 2));
}

TEST_F(Life, GarbageIsDropped) {
  Connect();
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes octets(random() % 200);
    for (uint8_t& b : octets) b = static_cast<uint8_t>(random());
    mesh.node(1).engine().OnDatagram(mesh.now(), mesh.node(1).endpoint(), mesh.node(2).endpoint(), octets);
  }
  EXPECT_TRUE(mesh.OnePair(1, 2));
  EXPECT_EQ(Count(1, "ike_packets_malformed"), 20000u);
}

}  // namespace
}  // namespace espalier::ike
