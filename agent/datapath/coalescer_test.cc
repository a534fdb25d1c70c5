#include "agent/datapath/coalescer.h"

#include <cstring>
#include <random>

#include "agent/datapath/segmenter.h"
#include "agent/esp/checksum.h"
#include "agent/esp/octets.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::datapath {
namespace {

using esp::testing::FixUpper;
using esp::testing::IpFields;
using esp::testing::Packet;
using esp::testing::Tcp;
using esp::testing::TcpFields;
using esp::testing::Udp;

const int kOwner = 1, kOther = 2;

struct Frame {
  VirtioHeader header;
  Bytes packet;
  size_t packets;
};

class CoalescerTest : public ::testing::Test {
 protected:
  // One packet, as Inbound does it. `size` larger than the packet: with TFC padding.
  void Put(const Bytes& packet, const void* owner = &kOwner) {
    uint8_t* at = coalescer.Place(packet.size() + 40);
    std::memcpy(at, packet.data(), packet.size());
    for (size_t i = 0; i < 40; ++i) at[packet.size() + i] = 0xdd;  // trailer and slack
    if (coalescer.TryAppend(packet.size(), owner)) return;
    const auto alone = coalescer.Isolate(packet.size());
    ASSERT_EQ(Bytes(alone.begin(), alone.end()), packet);
    esp::InnerPacket inner;
    ASSERT_TRUE(esp::ParseInner(alone, &inner));
    coalescer.Begin(inner, owner);
  }
  void PutForged() {
    uint8_t* at = coalescer.Place(1500);
    std::memset(at, 0x66, 1400);
    coalescer.Abandon();
  }
  // Everything delivered so far, cut up again by the segmenter.
  std::vector<Bytes> Resegmented() {
    coalescer.Flush();
    std::vector<Bytes> out;
    for (Frame& f : frames) {
      esp::InnerPacket inner;
      EXPECT_TRUE(esp::ParseInner(f.packet, &inner));
      EXPECT_EQ(inner.total_size, f.packet.size());
      if (!IsSuperPacket(f.header)) {
        EXPECT_EQ(f.packets, 1u);
        out.push_back(f.packet);
        continue;
      }
      Bytes copy = f.packet;
      EXPECT_TRUE(CompleteChecksum(f.header, copy));
      EXPECT_TRUE(esp::testing::UpperChecksumHolds(copy, inner.network_size, inner.protocol));
      copy = f.packet;
      copy.resize(copy.size() + Segmenter::kTrailer);
      Segmenter s;
      EXPECT_TRUE(s.Start(f.header, std::span(copy).first(f.packet.size()), inner, 65535));
      EXPECT_EQ(s.count(), f.packets);
      std::span<uint8_t> segment;
      while (s.Next(&segment)) out.emplace_back(segment.begin(), segment.end());
    }
    return out;
  }

  std::vector<Frame> frames;
  Coalescer coalescer{[this](std::span<const uint8_t> frame, size_t packets) {
    Frame& f = frames.emplace_back();
    std::memcpy(&f.header, frame.data(), kVirtioHeaderSize);
    f.packet.assign(frame.begin() + kVirtioHeaderSize, frame.end());
    f.packets = packets;
  }};
};

Bytes TcpPacket(uint32_t sequence, size_t payload, uint8_t flags = 0x10, IpFields ip = {.protocol = 6},
                TcpFields tcp = {}) {
  tcp.sequence = sequence;
  tcp.flags = flags;
  Bytes p = Packet(ip, Tcp(tcp, Bytes(payload, static_cast<uint8_t>(sequence))));
  FixUpper(&p, ip.source.find(':') != std::string::npos ? 40 : 20, 6);
  return p;
}
Bytes UdpPacket(size_t payload, uint8_t fill, IpFields ip = {}) {
  Bytes p = Packet(ip, Udp(1, 2, payload, fill));
  FixUpper(&p, ip.source.find(':') != std::string::npos ? 40 : 20, 17);
  return p;
}

TEST_F(CoalescerTest, JoinsWhatFollows) {
  for (const bool v6 : {false, true}) {
    frames.clear();
    const std::string source = v6 ? "fd00::1" : "10.1.0.1", destination = v6 ? "fd00::2" : "10.2.0.2";
    std::vector<Bytes> in;
    for (uint16_t i = 0; i < 40; ++i) {
      in.push_back(TcpPacket(
          1000u * i, i == 39 ? 10 : 1000, i == 39 ? 0x18 : 0x10,
          {.source = source, .destination = destination, .protocol = 6, .id = static_cast<uint16_t>(100 + i)}));
    }
    for (uint16_t i = 0; i < 40; ++i) {
      in.push_back(UdpPacket(i == 39 ? 11 : 64, static_cast<uint8_t>(i),
                             {.source = source, .destination = destination, .id = static_cast<uint16_t>(200 + i)}));
    }
    for (const Bytes& p : in) Put(p);
    EXPECT_EQ(Resegmented(), in);
    EXPECT_EQ(frames.size(), 2u);
  }
}

// A payload shorter than its header: the packet at the place covers the pending header itself.
TEST_F(CoalescerTest, TinyPayloads) {
  std::vector<Bytes> in;
  for (uint16_t i = 0; i < 300; ++i) in.push_back(UdpPacket(1, static_cast<uint8_t>(i), {.id = i}));
  for (const Bytes& p : in) Put(p);
  EXPECT_EQ(Resegmented(), in);
  EXPECT_LE(frames.size(), 4u);
}

TEST_F(CoalescerTest, ForgedPacketsInBetweenLeaveNoTrace) {
  std::vector<Bytes> in;
  for (uint16_t i = 0; i < 30; ++i) in.push_back(TcpPacket(1000u * i, 1000, 0x10, {.protocol = 6, .id = i}));
  for (const Bytes& p : in) {
    PutForged();
    Put(p);
    PutForged();
  }
  EXPECT_EQ(Resegmented(), in);
  EXPECT_EQ(frames.size(), 1u);
}

TEST_F(CoalescerTest, NotWhatDiffers) {
  const IpFields ip{.protocol = 6, .id = 1};
  IpFields other_class = ip, other_ttl = ip, other_source = ip, fragment = ip, no_df = ip, no_df_next = ip;
  other_class.traffic_class = 4;
  other_ttl.ttl = 63;
  other_source.source = "10.1.0.3";
  fragment.fragment = 0x2000;
  no_df.fragment = 0;
  no_df_next.fragment = 0;
  no_df_next.id = 3;  // 2 would follow
  const struct {
    const char* what;
    Bytes first, second;
    const void* owner = &kOwner;
  } cases[] = {
      {"a gap", TcpPacket(0, 100), TcpPacket(101, 100)},
      {"an overlap", TcpPacket(0, 100), TcpPacket(99, 100)},
      {"larger than the first", TcpPacket(0, 100), TcpPacket(100, 101)},
      {"another acknowledgement", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, ip, {.acknowledgement = 2})},
      {"another port", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, ip, {.source = 1001})},
      {"FIN", TcpPacket(0, 100), TcpPacket(100, 100, 0x11)},
      {"SYN", TcpPacket(0, 100), TcpPacket(100, 100, 0x12)},
      {"RST", TcpPacket(0, 100), TcpPacket(100, 100, 0x14)},
      {"URG", TcpPacket(0, 100), TcpPacket(100, 100, 0x30)},
      {"CWR", TcpPacket(0, 100), TcpPacket(100, 100, 0x90)},
      {"ECE", TcpPacket(0, 100), TcpPacket(100, 100, 0x50)},
      {"PSH on the first", TcpPacket(0, 100, 0x18), TcpPacket(100, 100)},
      {"no payload", TcpPacket(0, 100), TcpPacket(100, 0)},
      {"other options", TcpPacket(0, 100, 0x10, ip, {.options = esp::testing::Hex("0101080a0000000100000002")}),
       TcpPacket(100, 100, 0x10, ip, {.options = esp::testing::Hex("0101080a0000000100000003")})},
      {"no options", TcpPacket(0, 100, 0x10, ip, {.options = esp::testing::Hex("01010101")}), TcpPacket(100, 100)},
      {"another class", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, other_class)},
      {"another TTL", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, other_ttl)},
      {"another source", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, other_source)},
      {"a fragment", TcpPacket(0, 100), TcpPacket(100, 100, 0x10, fragment)},
      {"no DF, and an id that doesn't follow", TcpPacket(0, 100, 0x10, no_df), TcpPacket(100, 100, 0x10, no_df_next)},
      {"another SA", TcpPacket(0, 100), TcpPacket(100, 100), &kOther},
      {"a larger datagram", UdpPacket(100, 1), UdpPacket(101, 1)},
      {"no UDP checksum", Packet({}, Udp(1, 2, 100)), Packet({}, Udp(1, 2, 100))},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    frames.clear();
    Put(c.first);
    Put(c.second, c.owner);
    coalescer.Flush();
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].packet, c.first);
    EXPECT_EQ(frames[1].packet, c.second);
    EXPECT_FALSE(IsSuperPacket(frames[0].header));
  }
}

TEST_F(CoalescerTest, AnIpv4HeaderThatDoesNotAddUpIsNotMended) {
  Bytes second = TcpPacket(100, 100);
  second[10] ^= 1;
  Put(TcpPacket(0, 100));
  Put(second);
  coalescer.Flush();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].packet, second);
}

TEST_F(CoalescerTest, TheNewestWindowIsAnnounced) {
  Put(TcpPacket(0, 100, 0x10, {.protocol = 6}, {.window = 5}));
  Put(TcpPacket(100, 100, 0x10, {.protocol = 6}, {.window = 9}));
  coalescer.Flush();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(esp::Load16(&frames[0].packet[34]), 9);
}

// Random flows, sizes and order: what comes out, cut up again, is what went in.
TEST_F(CoalescerTest, Random) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    frames.clear();
    std::vector<Bytes> in;
    uint32_t sequence[3] = {0, 0, 0};
    uint16_t id = 0;
    size_t size = 1 + random() % 1400;
    for (int i = 0; i < 100; ++i) {
      if (random() % 10 == 0) size = 1 + random() % 1400;
      const size_t payload = random() % 8 == 0 ? 1 + random() % 1400 : size;
      const uint16_t flow = static_cast<uint16_t>(random() % 12 == 0 ? random() % 3 : 0);
      ++id;
      if (random() % 3 == 0) {
        in.push_back(UdpPacket(payload, static_cast<uint8_t>(i), {.id = id}));
      } else {
        in.push_back(TcpPacket(sequence[flow], payload, random() % 20 == 0 ? 0x18 : 0x10, {.protocol = 6, .id = id},
                               {.source = flow}));
        sequence[flow] += static_cast<uint32_t>(payload);
      }
      Put(in.back());
      if (random() % 30 == 0) coalescer.Flush();
      if (random() % 30 == 0) PutForged();
    }
    ASSERT_EQ(Resegmented(), in) << "round " << round;
  }
}

}  // namespace
}  // namespace espalier::datapath
