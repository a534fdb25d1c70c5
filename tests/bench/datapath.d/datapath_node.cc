// One end of a tunnel: the userspace datapath with static keys and a policy that encrypts everything between the pods.
//
//   datapath_node ID LOCAL REMOTE LOCAL_PODS REMOTE_PODS
//
// ID is 1 or 2, the peer is the other. LOCAL and REMOTE are outer addresses; *_PODS are comma-separated prefixes.
// Prints "ready" when packets can flow, ends at the end of its input with the counters of both SAs and every drop.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/initialize.h"
#include "absl/strings/str_split.h"
#include "agent/datapath/datapath.h"
#include "agent/datapath/testing/fake_snapshot.h"

using namespace espalier;

namespace {

constexpr uint32_t kSpi[3] = {0, 0x10000001, 0x10000002};  // of the packets that node 1, 2 sends

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "datapath_node: %s\n", value.status().ToString().c_str());
  std::exit(1);
}
void OrDie(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "datapath_node: %s\n", status.ToString().c_str());
  std::exit(1);
}

ike::EspSa Sa(uint32_t sender, uint32_t peer, const IpAddress& local, const IpAddress& remote) {
  ike::EspSa sa;
  sa.peer = peer;
  sa.spi = kSpi[sender];
  sa.suite = ike::EspSuite::kAesGcm128;
  sa.key = Secret(20);
  for (size_t i = 0; i < 20; ++i) sa.key.mutable_span()[i] = static_cast<uint8_t>(i * 3 + sender);
  sa.local = {local, 4500};
  sa.remote = {remote, 4500};
  return sa;
}

}  // namespace

int main(int argc, char** argv) {
  absl::InitializeLog();
  if (argc != 6) {
    std::fprintf(stderr, "usage: datapath_node ID LOCAL REMOTE LOCAL_PODS REMOTE_PODS\n");
    return 2;
  }
  const uint32_t id = static_cast<uint32_t>(std::atoi(argv[1])), peer = 3 - id;
  if (id != 1 && id != 2) return 2;
  const IpAddress local = OrDie(IpAddress::Parse(argv[2])), remote = OrDie(IpAddress::Parse(argv[3]));
  auto snapshot = std::make_shared<datapath::testing::FakeSnapshot>();
  for (const bool ours : {true, false}) {
    const std::vector<std::string> prefixes = absl::StrSplit(argv[ours ? 4 : 5], ',');
    for (const std::string& text : prefixes) {
      const uint32_t node = ours ? id : peer;
      snapshot->Add(OrDie(IpPrefix::Parse(text)), {.identity = 256 + node, .node_id = node, .local = ours});
    }
  }
  datapath::Options options;
  options.local_addresses = {local};
  auto path = OrDie(datapath::CreateUserDatapath(options, {}));
  path->SetSnapshot(snapshot);
  OrDie(path->InstallInbound(Sa(peer, peer, local, remote)));
  OrDie(path->InstallOutbound(Sa(id, peer, local, remote)));
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  for (const datapath::SaCounters& c : path->Counters()) {
    std::printf("%s packets %lu bytes %lu\n", c.inbound ? "in" : "out", c.packets, c.bytes);
  }
#define X(name, number, text, help) \
  if (const uint64_t n = path->Drops()[datapath::Drop::k##name]; n != 0) std::printf("drop %s %lu\n", text, n);
  ESPALIER_DATAPATH_DROPS(X)
#undef X
  return 0;
}
