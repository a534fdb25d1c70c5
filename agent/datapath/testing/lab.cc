#include "agent/datapath/testing/lab.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "agent/datapath/udp_socket.h"
#include "agent/esp/aead.h"

namespace espalier::datapath::testing {
namespace {

void Shell(const std::string& command) { CHECK_EQ(std::system(command.c_str()), 0) << command; }

uint8_t PatternAt(size_t i) { return static_cast<uint8_t>((i * 2654435761u) >> 13); }

}  // namespace

IpAddress Ip(absl::string_view text) {
  auto a = IpAddress::Parse(text);
  CHECK(a.ok()) << text;
  return *a;
}

Secret TestKey(ike::EspSuite suite, uint8_t seed) {
  Secret key(esp::KeyMaterialSize(suite));
  for (size_t i = 0; i < key.size(); ++i) key.mutable_span()[i] = static_cast<uint8_t>(seed * 7 + i);
  return key;
}

void InNamespace(const std::string& name, const std::function<void()>& f) {
  std::thread([&] {
    const int fd = open(absl::StrCat("/run/netns/", name).c_str(), O_RDONLY | O_CLOEXEC);
    PCHECK(fd >= 0) << name;
    PCHECK(setns(fd, CLONE_NEWNET) == 0) << name;
    close(fd);
    f();
  }).join();
}

Socket::Socket(const std::string& ns, const Endpoint& local, int type) : fd_(-1) {
  InNamespace(ns, [&] {
    fd_ = socket(local.address.is_v6() ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    PCHECK(fd_ >= 0);
    const int one = 1, buffer = 8 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    const SocketAddress address = SocketAddress::Of(local);
    PCHECK(bind(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0) << local.ToString();
  });
  const timeval timeout{5, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

int Socket::SendTo(const Endpoint& to, ByteSpan data) {
  const SocketAddress address = SocketAddress::Of(to);
  const ssize_t n =
      sendto(fd_, data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  return n < 0 ? -errno : static_cast<int>(n);
}

Bytes Socket::Receive() {
  Bytes out(65536);
  const ssize_t n = recv(fd_, out.data(), out.size(), 0);
  out.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return out;
}

bool Node::Await(const std::function<bool()>& condition) {
  absl::MutexLock lock(&mutex);
  return mutex.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(5));
}

Lab::Lab() {
  const std::string prefix = absl::StrCat("t-esp-", getpid(), "-");
  a.ns = absl::StrCat(prefix, "a");
  b.ns = absl::StrCat(prefix, "b");
  a.id = 1;
  b.id = 2;
  a.outer4 = Ip("192.0.2.1"), a.outer6 = Ip("2001:db8::1"), a.pod4 = Ip("10.244.1.2"), a.pod6 = Ip("fd00:1::2");
  b.outer4 = Ip("192.0.2.2"), b.outer6 = Ip("2001:db8::2"), b.pod4 = Ip("10.244.2.2"), b.pod6 = Ip("fd00:2::2");
  for (Node* n : {&a, &b}) {
    Shell(absl::StrCat("ip netns add ", n->ns));
    Shell(absl::StrCat("ip -n ", n->ns, " link set lo up"));
    // As strict as hosts are found to be.
    Shell(absl::StrCat("ip netns exec ", n->ns, " sysctl -qw net.ipv4.conf.all.rp_filter=1"));
  }
  Shell(absl::StrCat("ip -n ", a.ns, " link add wire type veth peer name wire netns ", b.ns));
  for (Node* n : {&a, &b}) {
    const std::string ip = absl::StrCat("ip -n ", n->ns, " ");
    Shell(absl::StrCat(ip, "addr add ", n->outer4.ToString(), "/24 dev wire"));
    Shell(absl::StrCat(ip, "addr add ", n->outer6.ToString(), "/64 dev wire nodad"));
    Shell(absl::StrCat(ip, "link set wire up"));
    Shell(absl::StrCat(ip, "addr add ", n->pod4.ToString(), "/32 dev lo"));
    Shell(absl::StrCat(ip, "addr add ", n->pod6.ToString(), "/128 dev lo nodad"));
  }
  Start(&a);
  Start(&b);
}

Lab::~Lab() {
  for (Node* n : {&a, &b}) {
    n->datapath.reset();
    Shell(absl::StrCat("ip netns del ", n->ns));
  }
}

void Lab::Start(Node* node, absl::Duration hold_time) {
  Node& other = node == &a ? b : a;
  node->datapath.reset();
  Options options;
  options.local_addresses = {node->outer4, node->outer6};
  options.hold_time = hold_time;
  Events events;
  events.acquire = [node](PeerId p) {
    absl::MutexLock lock(&node->mutex);
    node->acquired.push_back(p);
  };
  events.first_inbound = [node](uint32_t spi) {
    absl::MutexLock lock(&node->mutex);
    node->first_inbound.push_back(spi);
  };
  events.unknown_spi = [node](Endpoint, Endpoint, uint32_t spi) {
    absl::MutexLock lock(&node->mutex);
    node->unknown_spi.push_back(spi);
  };
  events.ike = [node](Endpoint, Endpoint, Bytes message) {
    absl::MutexLock lock(&node->mutex);
    node->ike.push_back(std::move(message));
  };
  InNamespace(node->ns, [&] {
    auto made = CreateUserDatapath(options, events);
    CHECK(made.ok()) << made.status();
    node->datapath = *std::move(made);
  });
  for (const auto& [address, pod, bits] :
       {std::tuple{other.pod4, node->pod4, 24}, std::tuple{other.pod6, node->pod6, 64}}) {
    Shell(absl::StrCat("ip -n ", node->ns, " route replace ", IpPrefix(address, bits).ToString(), " dev esp0 src ",
                       pod.ToString()));
  }
  node->snapshot = std::make_shared<FakeSnapshot>();
  for (const Node* n : {&a, &b}) {
    for (const IpAddress& pod : {n->pod4, n->pod6}) {
      node->snapshot->Add(IpPrefix(pod, 128), {.identity = 256 + n->id, .node_id = n->id, .local = n == node});
      node->snapshot->Add(IpPrefix(pod, pod.is_v6() ? 64 : 24), {.identity = 4, .node_id = n->id, .local = false});
    }
  }
  node->datapath->SetSnapshot(node->snapshot);
}

ike::EspSa Lab::Sa(const Node& from, const Node& to, uint32_t spi, bool inbound, bool outer_v6,
                   ike::EspSuite suite) const {
  ike::EspSa sa;
  sa.peer = inbound ? from.id : to.id;
  sa.spi = spi;
  sa.suite = suite;
  sa.key = TestKey(suite, static_cast<uint8_t>(spi));
  sa.local = inbound ? to.Outer(outer_v6) : from.Outer(outer_v6);
  sa.remote = inbound ? from.Outer(outer_v6) : to.Outer(outer_v6);
  return sa;
}

void Lab::Connect(Node* from, Node* to, uint32_t spi, bool outer_v6, ike::EspSuite suite) {
  absl::Status s = to->datapath->InstallInbound(Sa(*from, *to, spi, true, outer_v6, suite));
  CHECK(s.ok()) << s;
  s = from->datapath->InstallOutbound(Sa(*from, *to, spi, false, outer_v6, suite));
  CHECK(s.ok()) << s;
}

bool Lab::Transfer(const Node& from, const Node& to, bool v6, size_t size) {
  Socket listener(to.ns, {to.Pod(v6), 7000}, SOCK_STREAM);
  PCHECK(listen(listener.fd(), 1) == 0);
  Socket client(from.ns, {from.Pod(v6), 0}, SOCK_STREAM);
  const SocketAddress address = SocketAddress::Of({to.Pod(v6), 7000});
  if (connect(client.fd(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) return false;
  Socket server(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  const timeval timeout{5, 0};
  setsockopt(server.fd(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  std::thread sender([&] {
    Bytes chunk(1 << 16);
    for (size_t at = 0; at < size;) {
      const size_t n = std::min(chunk.size(), size - at);
      for (size_t i = 0; i < n; ++i) chunk[i] = PatternAt(at + i);
      const ssize_t sent = send(client.fd(), chunk.data(), n, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<size_t>(sent);
    }
    shutdown(client.fd(), SHUT_WR);
  });
  size_t got = 0;
  bool same = true;
  Bytes chunk(1 << 18);
  for (;;) {
    const ssize_t n = recv(server.fd(), chunk.data(), chunk.size(), 0);
    if (n <= 0) break;
    for (ssize_t i = 0; i < n; ++i) same = same && chunk[i] == PatternAt(got + i);
    got += static_cast<size_t>(n);
  }
  sender.join();
  if (!same || got != size) LOG(ERROR) << absl::StrCat("transfer: same ", same, ", ", got, " of ", size, " octets");
  return same && got == size;
}

}  // namespace espalier::datapath::testing
