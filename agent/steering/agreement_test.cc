// The programs do what policy::Snapshot::Decide says: random views, compiled, flattened and programmed, and random
// packets that leave or come in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "agent/policy/test_view.h"
#include "agent/steering/packet_builder.h"
#include "agent/steering/program_harness.h"

namespace espalier::steering {
namespace {

using policy::Verdict;

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kSctp = 132;
constexpr uint16_t kPorts[] = {1, 53, 80, 443, 1000, 1023, 1024, 8080, 30000, 40000, 65535};

class Agreement : public ::testing::TestWithParam<unsigned> {
 protected:
  int Pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  template <typename T>
  const T& Of(const std::vector<T>& v) {
    return v[static_cast<size_t>(Pick(static_cast<int>(v.size())))];
  }
  uint32_t Identity() { return 300u + static_cast<uint32_t>(Pick(5)); }

  policy::View RandomView() {
    policy::View view = policy::TestView(3);
    here_ = {Ip("192.0.2.1"), Ip("10.244.1.200"), Ip("fd00:1::200"), Ip("198.51.100.7"), Ip("203.0.113.9")};
    there_ = {Ip("192.0.2.2"),    Ip("192.0.2.3"),    Ip("10.244.2.200"), Ip("10.244.9.9"),
              Ip("198.51.100.8"), Ip("203.0.113.10"), Ip("fd00:2::200"),  Ip("2001:db8::1")};
    for (uint32_t node = 1; node <= 3; ++node) {
      for (int i = 1; i <= 5; ++i) {
        const std::string n = std::to_string(node), last = std::to_string(i);
        for (const std::string& ip : {"10.244." + n + "." + last, "fd00:" + n + "::" + last}) {
          policy::AddPod(&view, ip, Identity(), node);
          (node == 1 ? here_ : there_).push_back(Ip(ip));
        }
      }
    }
    const std::vector<std::string> cidrs = {"198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "10.244.2.0/30",
                                            "0.0.0.0/0",       "fd00:2::/64",    "2001:db8::/32"};
    const v1::Action actions[] = {v1::ACTION_BYPASS, v1::ACTION_PREFER, v1::ACTION_REQUIRE, v1::ACTION_DENY};
    const uint32_t protocols[] = {kTcp, kUdp, kSctp, kIcmp};
    for (int p = Pick(5); p >= 0; --p) {
      std::vector<policy::TestRule> rules;
      for (int r = Pick(3); r >= 0; --r) {
        policy::TestRule rule{.action = actions[Pick(4)], .any_pod = Pick(4) == 0};
        if (Pick(2) == 0) rule.peers = {Identity()};
        if (Pick(3) == 0) rule.cidrs = {Of(cidrs)};
        for (int k = Pick(3); k > 0; --k) {
          const uint32_t protocol = protocols[Pick(4)];
          uint32_t first = kPorts[Pick(11)], last = kPorts[Pick(11)];
          if (first > last) std::swap(first, last);
          if (protocol == kIcmp || Pick(4) == 0) first = 0, last = 65535;
          rule.ports.push_back({protocol, first, last});
        }
        rules.push_back(rule);
      }
      policy::AddPolicy(&view, "policy-" + std::to_string(p), {Identity()}, rules, Pick(3),
                        Pick(3) == 0 ? v1::STAGE_SEND : v1::STAGE_ENFORCE);
    }
    if (Pick(2) == 0) policy::AddExemption(&view, "dns", kUdp, 53, {});
    if (Pick(2) == 0) policy::AddExemption(&view, "api", kTcp, 443, {"203.0.113.0/24"});
    return view;
  }

  std::mt19937 random_{GetParam()};
  std::vector<IpAddress> here_, there_;
};

// TCX_*, of a packet of no pod elsewhere that leaves, or of none of ours that comes in; without a tunnel for Prefer.
int Expected(Verdict verdict, bool out) {
  if (!out) return verdict >= Verdict::kRequire ? TCX_DROP : TCX_NEXT;
  if (verdict == Verdict::kDeny) return TCX_DROP;
  return verdict >= Verdict::kSend ? TCX_REDIRECT : TCX_NEXT;
}

TEST_P(Agreement, ProgramsAndSnapshot) {
  std::printf("seed %u\n", GetParam());
  auto harness = ProgramHarness::Create();
  ASSERT_TRUE(harness.ok()) << harness.status();
  const std::vector<IpPrefix> own = {*IpPrefix::Parse("10.244.1.0/24"), *IpPrefix::Parse("fd00:1::/64")};
  int encrypted = 0, dropped = 0, passed = 0;
  for (int round = 0; round < 25; ++round) {
    auto snapshot = policy::Snapshot::Build(RandomView());
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    const absl::Status status = (*harness)->tables().Program(Flatten((*snapshot)->ipcache(), (*snapshot)->rows(), own));
    ASSERT_TRUE(status.ok()) << status;
    for (int i = 0; i < 150; ++i) {
      const uint8_t protocols[] = {kTcp, kUdp, kSctp, kIcmp};
      policy::Flow f = {.source = Of(here_), .destination = Of(there_), .protocol = protocols[Pick(4)]};
      if (f.source.is_v6() != f.destination.is_v6()) continue;
      const bool out = Pick(2) == 0, fragment = !f.source.is_v6() && Pick(5) == 0;
      if (!out) {
        std::swap(f.source, f.destination);
        // What has a source of this node's pods doesn't come in; its own addresses are the kernel's to refuse.
      }
      if (f.protocol != kIcmp) f.source_port = kPorts[Pick(11)], f.destination_port = kPorts[Pick(11)];
      const policy::Decision d =
          fragment ? (*snapshot)->DecideFragment(f.source, f.destination) : (*snapshot)->Decide(f);
      const Bytes packet = Frame(Packet(f.source, f.destination,
                                        {.protocol = f.protocol, .fragment = static_cast<uint16_t>(fragment ? 9 : 0)},
                                        f.protocol == kIcmp ? Bytes(16) : Ports(f.source_port, f.destination_port)));
      const int expected = Expected(d.verdict, out);
      (expected == TCX_REDIRECT ? encrypted : expected == TCX_DROP ? dropped : passed)++;
      ASSERT_EQ((*harness)->Verdict(out ? Hook::kLeavingEthernet : Hook::kIncomingEthernet, packet), expected)
          << "round " << round << ", " << (out ? "out " : "in ") << f.source.ToString() << " " << f.source_port
          << " to " << f.destination.ToString() << " " << f.destination_port << " protocol " << int{f.protocol}
          << " verdict " << static_cast<int>(d.verdict) << (fragment ? " fragment" : "");
    }
  }
  EXPECT_GT(encrypted, 50);
  EXPECT_GT(dropped, 50);
  EXPECT_GT(passed, 50);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Agreement, ::testing::Values(1u, 2u, 3u, 20260101u));

}  // namespace
}  // namespace espalier::steering
