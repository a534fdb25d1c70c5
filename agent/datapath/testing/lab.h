// Two network namespaces joined by a wire, for tests of the whole datapath with the real kernel. Needs root.
#ifndef ESPALIER_AGENT_DATAPATH_TESTING_LAB_H_
#define ESPALIER_AGENT_DATAPATH_TESTING_LAB_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "agent/datapath/datapath.h"
#include "agent/datapath/testing/fake_snapshot.h"

namespace espalier::datapath::testing {

IpAddress Ip(absl::string_view text);
// Key material for a test's SA, different for each seed.
Secret TestKey(ike::EspSuite suite, uint8_t seed);

// Runs `f` on a thread of its own inside the namespace.
void InNamespace(const std::string& name, const std::function<void()>& f);

// A socket of a test, made in a namespace; reads time out after 5 s.
class Socket {
 public:
  Socket(const std::string& ns, const Endpoint& local, int type);
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  // The result of sendto(): octets, or -errno.
  int SendTo(const Endpoint& to, ByteSpan data);
  Bytes Receive();  // empty: timed out
 private:
  int fd_;
};

// One node: its namespace, addresses, datapath and what that has said.
struct Node {
  std::string ns;
  PeerId id = 0;
  IpAddress outer4, outer6, pod4, pod6;
  std::unique_ptr<Datapath> datapath;
  std::shared_ptr<FakeSnapshot> snapshot;

  absl::Mutex mutex;
  std::vector<PeerId> acquired ABSL_GUARDED_BY(mutex);
  std::vector<uint32_t> first_inbound ABSL_GUARDED_BY(mutex);
  std::vector<uint32_t> unknown_spi ABSL_GUARDED_BY(mutex);
  std::vector<Bytes> ike ABSL_GUARDED_BY(mutex);

  uint64_t Dropped(Drop drop) { return datapath->Drops()[drop]; }
  Endpoint Outer(bool v6) const { return {v6 ? outer6 : outer4, 4500}; }
  IpAddress Pod(bool v6) const { return v6 ? pod6 : pod4; }
  // Waits until `condition` holds under the mutex; false after 5 s.
  bool Await(const std::function<bool()>& condition);
};

class Lab {
 public:
  Lab();
  ~Lab();
  // (Re)makes a node's datapath.
  void Start(Node* node, absl::Duration hold_time = absl::Seconds(1));
  // One direction: outbound at `from`, inbound at `to`. The inbound one first.
  void Connect(Node* from, Node* to, uint32_t spi, bool outer_v6 = false,
               ike::EspSuite suite = ike::EspSuite::kAesGcm128);
  ike::EspSa Sa(const Node& from, const Node& to, uint32_t spi, bool inbound, bool outer_v6, ike::EspSuite suite) const;
  // A TCP transfer of `size` octets, checked octet by octet.
  static bool Transfer(const Node& from, const Node& to, bool v6, size_t size);

  Node a, b;
};

}  // namespace espalier::datapath::testing

#endif  // ESPALIER_AGENT_DATAPATH_TESTING_LAB_H_
