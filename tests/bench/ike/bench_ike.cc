// IKEv2 set-ups and rekeys a second: two engines in one process on one core, no sockets. Both ends' work is counted, so
// one node alone does about twice as many.
#include <chrono>
#include <cstdio>

#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

constexpr double kSeconds = 2;

template <typename Step>
double PerSecond(Step step) {
  auto start = std::chrono::steady_clock::now();
  int n = 0;
  double elapsed = 0;
  while (elapsed < kSeconds) {
    if (!step()) return 0;
    ++n;
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return n / elapsed;
}

void Print(const char* what, bool post_quantum, double rate) {
  std::printf("%-28s %-22s %8.0f /s %10.0f us\n", what, post_quantum ? "X25519 + ML-KEM-768" : "X25519", rate,
              rate > 0 ? 1e6 / rate : 0);
}

void Bench(bool post_quantum) {
  Config config;
  config.post_quantum = post_quantum;
  Mesh mesh;
  mesh.Add(1, config);
  mesh.Add(2, config);
  mesh.ShareView();
  Print("set-up (IKE SA and child)", post_quantum, PerSecond([&] {
          mesh.node(1).engine().Acquire(mesh.now(), 2);
          mesh.RunFor(absl::Milliseconds(20));
          bool up = mesh.SendPacket(1, 2) == Mesh::Packet::kOpened;
          mesh.node(1).engine().CloseAll(mesh.now());
          mesh.RunFor(absl::Seconds(11));
          return up;
        }));
  mesh.node(1).engine().Acquire(mesh.now(), 2);
  mesh.RunFor(absl::Milliseconds(20));
  auto rekey = [&](bool child) {
    return PerSecond([&] {
      if (child) {
        mesh.node(1).engine().RekeyChild(mesh.now(), 2);
      } else {
        mesh.node(1).engine().RekeyIke(mesh.now(), 2);
      }
      mesh.RunFor(absl::Seconds(6));
      bool up = mesh.SendPacket(1, 2) == Mesh::Packet::kOpened;
      mesh.ReportTraffic();
      return up;
    });
  };
  Print("rekey of a Child SA", post_quantum, rekey(true));
  Print("rekey of an IKE SA", post_quantum, rekey(false));
}

}  // namespace
}  // namespace espalier::ike

int main() {
  std::printf("%-28s %-22s %11s %13s\n", "both ends on one core", "key exchange", "rate", "time");
  espalier::ike::Bench(false);
  espalier::ike::Bench(true);
}
