// Make before break: new keys every few milliseconds under load, and not one packet lost, doubled or out of order.
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "agent/datapath/testing/lab.h"
#include "agent/esp/octets.h"
#include "gtest/gtest.h"

namespace espalier::datapath {
namespace {

using testing::Lab;
using testing::Socket;

TEST(DatapathRekeyTest, NoPacketIsLost) {
  constexpr uint32_t kPackets = 100'000;
  constexpr uint32_t kAhead = 500;  // never more under way than every queue takes
  Lab lab;
  uint32_t spi = 0x1000;
  lab.Connect(&lab.a, &lab.b, spi);
  Socket at_a(lab.a.ns, {lab.a.pod4, 0}, SOCK_DGRAM), at_b(lab.b.ns, {lab.b.pod4, 6000}, SOCK_DGRAM);
  std::atomic<uint32_t> received{0};
  std::atomic<bool> done{false};
  std::thread sender([&] {
    Bytes data(64);
    for (uint32_t i = 0; i < kPackets && !done; ++i) {
      while (i - received > kAhead && !done) std::this_thread::yield();
      esp::Store32(data.data(), i);
      ASSERT_EQ(at_a.SendTo({lab.b.pod4, 6000}, data), 64);
    }
  });
  uint32_t rekeys = 0;
  std::thread rekeyer([&] {
    for (uint32_t last = 0; !done;) {
      if (received - last < 2 * kAhead) {
        std::this_thread::yield();
        continue;
      }
      // Under the SA before the last, nothing is on its way any more: the last was in use from some packet before
      // `last` + kAhead on, and all up to `last` + 2 * kAhead have come.
      lab.Connect(&lab.a, &lab.b, ++spi);
      lab.a.datapath->RemoveOutbound(lab.b.id, spi - 1);
      if (spi >= 0x1002) lab.b.datapath->RemoveInbound(spi - 2);
      last = received;
      ++rekeys;
    }
  });
  uint32_t next = 0;
  for (; next < kPackets; ++next) {
    const Bytes data = at_b.Receive();
    if (data.size() != 64 || esp::Load32(data.data()) != next) {
      ADD_FAILURE() << "packet " << next << ": " << (data.empty() ? "lost" : "another came");
      break;
    }
    received = next + 1;
  }
  done = true;
  sender.join();
  rekeyer.join();
  EXPECT_EQ(next, kPackets);
  EXPECT_GT(rekeys, 20u);
  for (testing::Node* n : {&lab.a, &lab.b}) {
    for (const auto& [drop, count] : n->datapath->Drops()) EXPECT_EQ(count, 0u) << static_cast<int>(drop);
  }
}

}  // namespace
}  // namespace espalier::datapath
