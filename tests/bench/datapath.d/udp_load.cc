// UDP packets at a steady rate, and how many arrive.
//
//   udp_load receive ADDRESS PORT              counts until a packet of 1 octet comes, then prints "received N"
//   udp_load send SOURCE DESTINATION PORT SIZE RATE SECONDS   prints "sent N" (packets) and what it could not send
//
// A packet is one send() of its own for the kernel's stack: sendmmsg, but no segmentation offload.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int kBatch = 64;
constexpr int64_t kSecond = 1'000'000'000;

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * kSecond + t.tv_nsec;
}

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  Address(const char* text, int port) {
    in6_addr six;
    in_addr four;
    if (inet_pton(AF_INET6, text, &six) == 1) {
      auto* a = reinterpret_cast<sockaddr_in6*>(&storage);
      a->sin6_family = AF_INET6, a->sin6_addr = six, a->sin6_port = htons(static_cast<uint16_t>(port));
      size = sizeof(*a);
    } else if (inet_pton(AF_INET, text, &four) == 1) {
      auto* a = reinterpret_cast<sockaddr_in*>(&storage);
      a->sin_family = AF_INET, a->sin_addr = four, a->sin_port = htons(static_cast<uint16_t>(port));
      size = sizeof(*a);
    } else {
      std::fprintf(stderr, "udp_load: no address: %s\n", text);
      std::exit(2);
    }
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

int Open(const Address& local) {
  const int fd = socket(local.storage.ss_family, SOCK_DGRAM, 0);
  if (fd < 0) Die("socket");
  const int buffer = 16 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
  if (bind(fd, local.get(), local.size) != 0) Die("bind");
  return fd;
}

struct Batch {
  std::vector<char> memory;
  iovec vectors[kBatch];
  mmsghdr messages[kBatch]{};
  explicit Batch(size_t size) : memory(size * kBatch) {
    for (int i = 0; i < kBatch; ++i) {
      vectors[i] = {memory.data() + size * static_cast<size_t>(i), size};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
  }
};

int Receive(const char* address, int port) {
  const int fd = Open(Address(address, port));
  Batch batch(2048);
  uint64_t received = 0;
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    const int n = recvmmsg(fd, batch.messages, kBatch, MSG_WAITFORONE, nullptr);
    if (n < 0) Die("recvmmsg");
    for (int i = 0; i < n; ++i) {
      if (batch.messages[i].msg_len == 1) {
        std::printf("received %lu\n", received);
        return 0;
      }
      ++received;
    }
  }
}

int Send(const char* source, const char* destination, int port, size_t size, int64_t rate, int64_t seconds) {
  const int fd = Open(Address(source, 0));
  const Address to(destination, port);
  if (connect(fd, to.get(), to.size) != 0) Die("connect");
  prctl(PR_SET_TIMERSLACK, 1000);
  Batch batch(size);
  const int64_t start = Now(), end = start + seconds * kSecond;
  int64_t sent = 0;
  for (int64_t now = start; now < end; now = Now()) {
    const int64_t due = (now - start) * rate / kSecond - sent;
    if (due <= 0) {
      const timespec nap{0, 30'000};
      nanosleep(&nap, nullptr);
      continue;
    }
    const int n = sendmmsg(fd, batch.messages, static_cast<unsigned>(std::min<int64_t>(due, kBatch)), 0);
    if (n > 0) sent += n;
    if (n < 0 && errno != ENOBUFS && errno != EAGAIN) Die("sendmmsg");
  }
  std::printf("sent %ld wanted %ld\n", sent, rate * seconds);
  for (int i = 0; i < 5; ++i) {
    const timespec pause{0, 100'000'000};
    nanosleep(&pause, nullptr);
    if (send(fd, "x", 1, 0) < 0 && errno != ECONNREFUSED) Die("send");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "receive") == 0) return Receive(argv[2], std::atoi(argv[3]));
  if (argc == 8 && std::strcmp(argv[1], "send") == 0) {
    return Send(argv[2], argv[3], std::atoi(argv[4]), static_cast<size_t>(std::atol(argv[5])), std::atol(argv[6]),
                std::atol(argv[7]));
  }
  std::fprintf(stderr, "usage: udp_load receive ADDRESS PORT | send SOURCE DESTINATION PORT SIZE RATE SECONDS\n");
  return 2;
}
