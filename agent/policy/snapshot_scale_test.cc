// A view of 1,000 nodes and 10,000 pods: what it takes in memory, and how long a build and a lookup last.
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <iostream>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "agent/policy/snapshot.h"
#include "agent/policy/test_view.h"

namespace espalier::policy {
namespace {

View LargeView(uint32_t nodes, uint32_t pods, uint32_t identities) {
  View view;
  view.version = 1;
  view.mesh.set_self_node_id(1);
  view.mesh.add_mesh_cidrs("10.0.0.0/8");
  std::vector<uint32_t> everybody;
  for (uint32_t i = 0; i < identities; ++i) everybody.push_back(1000 + i);
  for (uint32_t id = 1; id <= nodes; ++id) {
    v1::Node& n = view.nodes[id];
    n.set_id(id);
    n.set_name(absl::StrCat("worker-", id));
    n.set_uid(absl::StrCat("6f1b0c6e-0000-4000-8000-", 100000000000 + id));
    n.add_addresses(absl::StrCat("172.16.", id / 256, ".", id % 256));
    n.add_pod_cidrs(absl::StrCat("10.", id / 256, ".", id % 256, ".0/24"));
  }
  for (uint32_t i = 0; i < pods; ++i) {
    const uint32_t node = 1 + i % nodes;
    AddPod(&view, absl::StrCat("10.", node / 256, ".", node % 256, ".", 2 + i / nodes), everybody[i % identities], node,
           absl::StrCat("namespace-", i % 50, "/deployment-", i, "-5d8c7b9f4-x2x4z"));
    v1::Identity& identity = view.identities[everybody[i % identities]];
    identity.set_id(everybody[i % identities]);
    identity.set_namespace_(absl::StrCat("namespace-", i % 50));
    (*identity.mutable_labels())["app"] = absl::StrCat("app-", i % identities);
    (*identity.mutable_namespace_labels())["kubernetes.io/metadata.name"] = absl::StrCat("namespace-", i % 50);
  }
  AddPolicy(&view, "ClusterEncryptionPolicy/all", everybody, {{.any_pod = true}}, -10);
  for (int p = 0; p < 20; ++p) {
    std::vector<uint32_t> subjects, peers;
    for (uint32_t i = 0; i < identities; ++i) {
      if (i % 50 == static_cast<uint32_t>(p)) subjects.push_back(everybody[i]);
      if (i % 50 == static_cast<uint32_t>(p) + 1) peers.push_back(everybody[i]);
    }
    AddPolicy(&view, absl::StrCat("EncryptionPolicy/namespace-", p, "/p"), subjects,
              {{.action = v1::ACTION_DENY, .peers = peers, .ports = {{6, 9000, 9100}}}, {.peers = peers}});
  }
  return view;
}

size_t Allocated() {
  const struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

double Seconds(std::chrono::steady_clock::duration d) { return std::chrono::duration<double>(d).count(); }

TEST(SnapshotScaleTest, AThousandNodesTenThousandPods) {
  for (const uint32_t identities : {500u, 10000u}) {
    const size_t empty = Allocated();
    std::optional<View> view = LargeView(1000, 10000, identities);
    const size_t with_view = Allocated();
    const auto start = std::chrono::steady_clock::now();
    const auto built = Snapshot::Build(*view);
    const double seconds = Seconds(std::chrono::steady_clock::now() - start);
    ASSERT_TRUE(built.ok()) << built.status();
    const size_t snapshot_bytes = Allocated() - with_view;

    std::mt19937_64 random(7);
    std::vector<Flow> flows;
    for (int i = 0; i < 4096; ++i) {
      const auto node = 1 + random() % 1000;
      flows.push_back({*IpAddress::Parse(absl::StrCat("10.0.1.", 2 + random() % 10)),
                       *IpAddress::Parse(absl::StrCat("10.", node / 256, ".", node % 256, ".", 2 + random() % 10)), 6,
                       40000, static_cast<uint16_t>(9000 + random() % 200)});
    }
    int required = 0;
    constexpr int kLookups = 1000000;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kLookups; ++i) required += (*built)->Decide(flows[i % flows.size()]).verdict != Verdict::kPass;
    const double lookup = Seconds(std::chrono::steady_clock::now() - begin) / kLookups;
    std::cout << identities << " identities: view " << (with_view - empty) / 1024 << " KiB, snapshot "
              << snapshot_bytes / 1024 << " KiB with " << (*built)->rows().size() << " policy rows, built in "
              << seconds * 1e3 << " ms, " << 1e-6 / lookup << " M decisions/s\n";
    EXPECT_GT(required, kLookups / 2);
    EXPECT_LT(snapshot_bytes, 15u << 20);
    EXPECT_LT(with_view - empty, 15u << 20);
  }
}

}  // namespace
}  // namespace espalier::policy
