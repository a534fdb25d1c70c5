// The whole of it in a network namespace and a bpffs of the test's own, which vanish with it: attachments, order, what
// stays when the agent goes, and real packets. Run as root.
#include "agent/steering/steering.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "agent/policy/identity.h"
#include "agent/steering/attachments.h"
#include "agent/steering/packet_builder.h"
#include "agent/steering/program_harness.h"

namespace espalier::steering {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint32_t kApp = 300, kDb = 301;

IpPrefix Prefix(const char* text) { return *IpPrefix::Parse(text); }

void Shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

// Ids of the programs at a place, first to last.
std::vector<uint32_t> ProgramsAt(const char* device, bpf_attach_type place) {
  __u32 ids[64] = {};
  LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids, .prog_cnt = 64);
  if (bpf_prog_query_opts(static_cast<int>(if_nametoindex(device)), place, &query) != 0) return {};
  return {ids, ids + query.prog_cnt};
}

uint32_t IdOf(int program_fd) {
  bpf_prog_info info = {};
  __u32 size = sizeof(info);
  return bpf_prog_get_info_by_fd(program_fd, &info, &size) == 0 ? info.id : 0;
}

bool Exists(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0;
}

class SteeringTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << strerror(errno) << " (run as root)";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
    char directory[] = "/tmp/espalier-steering-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    bpffs_ = directory;
    ASSERT_EQ(mount("bpf", directory, "bpf", 0, nullptr), 0) << strerror(errno);
    // A node: its wire (the other end of which is the world's), an overlay, its pods' bridge, and a pod's address.
    Shell("ip link set lo up");
    Shell("ip link add wire type veth peer name world");
    Shell("ip link set wire up address 02:00:00:00:00:01 && ip link set world up address 02:00:00:00:00:02");
    Shell("ip addr add 10.0.0.1/24 dev wire");
    Shell("ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev wire");
    Shell("ip link add cni0 type bridge && ip link set cni0 up && ip addr add 10.244.1.1/24 dev cni0");
    Shell("ip addr add 10.244.1.5/32 dev lo && ip addr add 10.244.1.7/32 dev lo");
    Shell("ip route add 10.244.2.0/24 via 10.0.0.2 dev wire");
    OpenTun();
  }

  void TearDown() override {
    if (tun_ >= 0) close(tun_);
    umount2(bpffs_.c_str(), MNT_DETACH);
    rmdir(bpffs_.c_str());
  }

  void OpenTun() {
    tun_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ASSERT_GE(tun_, 0) << strerror(errno);
    ifreq request = {};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strcpy(request.ifr_name, "esp0");
    ASSERT_EQ(ioctl(tun_, TUNSETIFF, &request), 0) << strerror(errno);
    Shell("ip link set esp0 up");
  }

  Options TheOptions() const {
    return {.pin_dir = bpffs_ + "/espalier",
            .datapath_device = "esp0",
            .datapath_ifindex = static_cast<int>(if_nametoindex("esp0"))};
  }

  std::unique_ptr<Steering> Create() {
    auto steering = Steering::Create(TheOptions());
    EXPECT_TRUE(steering.ok()) << steering.status();
    return steering.ok() ? *std::move(steering) : nullptr;
  }

  static RowsSnapshot Mesh() {
    RowsSnapshot s;
    s.ipcache_rows = {{Prefix("0.0.0.0/0"), {policy::kWorld, 0, false}},
                      {Prefix("10.0.0.1"), {policy::kHost, 1, false}},
                      {Prefix("10.0.0.2"), {policy::kRemoteNode, 2, false}},
                      {Prefix("10.244.0.0/16"), {policy::kUnknown, 0, false}},
                      {Prefix("10.244.1.0/24"), {policy::kUnknown, 1, false}},
                      {Prefix("10.244.1.5"), {kApp, 1, true}},
                      {Prefix("10.244.1.7"), {kDb, 1, true}},
                      {Prefix("10.244.2.5"), {kApp, 2, false}},
                      {Prefix("10.244.2.7"), {kDb, 2, false}},
                      {Prefix("::/0"), {policy::kWorld, 0, false}}};
    s.policy_rows = {{.src = kApp, .dst = kApp, .verdict = policy::Verdict::kRequire},
                     {.src = kDb, .dst = kDb, .verdict = policy::Verdict::kPrefer}};
    return s;
  }

  static absl::Status Program(Steering* steering, const RowsSnapshot& snapshot = Mesh()) {
    return steering->Program(snapshot, {Prefix("10.244.1.0/24")});
  }

  // A UDP packet of a local address, by the node's own stack.
  static void Send(const char* source, const char* destination) {
    const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in a = {};
    a.sin_family = AF_INET;
    inet_pton(AF_INET, source, &a.sin_addr);
    EXPECT_EQ(bind(s, reinterpret_cast<sockaddr*>(&a), sizeof(a)), 0) << strerror(errno);
    inet_pton(AF_INET, destination, &a.sin_addr);
    a.sin_port = htons(9999);
    sendto(s, "plaintext", 9, 0, reinterpret_cast<sockaddr*>(&a), sizeof(a));
    close(s);
  }

  // A frame that comes in by the wire.
  static void Inject(Bytes frame) {
    const uint8_t to[] = {2, 0, 0, 0, 0, 1};
    std::copy(std::begin(to), std::end(to), frame.begin());
    const int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sockaddr_ll a = {};
    a.sll_family = AF_PACKET;
    a.sll_protocol = htons(ETH_P_IP);
    a.sll_ifindex = static_cast<int>(if_nametoindex("world"));
    EXPECT_EQ(sendto(s, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&a), sizeof(a)),
              static_cast<ssize_t>(frame.size()))
        << strerror(errno);
    close(s);
  }

  // What the datapath's device hands out next, past the kernel's own IPv6 chatter.
  Bytes ReadTun() {
    for (;;) {
      pollfd p = {.fd = tun_, .events = POLLIN, .revents = 0};
      if (poll(&p, 1, 5000) != 1) return {};
      Bytes packet(65536);
      const ssize_t size = read(tun_, packet.data(), packet.size());
      if (size <= 0) return {};
      packet.resize(static_cast<size_t>(size));
      if (packet[0] >> 4 == 4) return packet;
    }
  }

  std::string bpffs_;
  int tun_ = -1;
};

TEST_F(SteeringTest, FindsDevicesAndGoesFirst) {
  Shell(
      "ip link add flannel.1 type vxlan id 1 dstport 8472 local 10.0.0.1 dev wire nolearning && ip link set flannel.1 "
      "up");
  auto other = Loader::Load("");
  ASSERT_TRUE(other.ok()) << other.status();
  LIBBPF_OPTS(bpf_link_create_opts, none);
  const int others = bpf_link_create((*other)->program(Hook::kLeavingEthernet),
                                     static_cast<int>(if_nametoindex("wire")), BPF_TCX_EGRESS, &none);
  ASSERT_GE(others, 0);

  auto steering = Create();
  ASSERT_NE(steering, nullptr);
  EXPECT_THAT(steering->devices(), ElementsAre("flannel.1")) << "of the mesh nothing is known yet";
  ASSERT_TRUE(Program(steering.get()).ok());
  EXPECT_THAT(steering->devices(), ElementsAre("flannel.1", "wire"));
  EXPECT_THAT(steering->alarms(), IsEmpty());
  for (const char* device : {"wire", "flannel.1"}) {
    EXPECT_EQ(ProgramsAt(device, BPF_TCX_INGRESS).size(), 1u) << device;
  }
  EXPECT_EQ(ProgramsAt("esp0", BPF_TCX_INGRESS).size(), 1u);
  EXPECT_THAT(ProgramsAt("cni0", BPF_TCX_EGRESS), IsEmpty());
  const auto order = ProgramsAt("wire", BPF_TCX_EGRESS);
  ASSERT_EQ(order.size(), 2u);
  EXPECT_EQ(order[1], IdOf((*other)->program(Hook::kLeavingEthernet))) << "ours is before it";
  close(others);
}

TEST_F(SteeringTest, GoesFirstAgain) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  auto other = Loader::Load("");
  ASSERT_TRUE(other.ok());
  LIBBPF_OPTS(bpf_link_create_opts, before, .flags = BPF_F_BEFORE);
  const int link = bpf_link_create((*other)->program(Hook::kLeavingEthernet), static_cast<int>(if_nametoindex("wire")),
                                   BPF_TCX_EGRESS, &before);
  ASSERT_GE(link, 0);
  const uint32_t theirs = IdOf((*other)->program(Hook::kLeavingEthernet));
  ASSERT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS)[0], theirs);
  ASSERT_TRUE(steering->Reconcile().ok());
  const auto order = ProgramsAt("wire", BPF_TCX_EGRESS);
  ASSERT_EQ(order.size(), 2u);
  EXPECT_EQ(order[1], theirs);
  EXPECT_THAT(steering->alarms(), IsEmpty());
  // And what was put first is pinned as well: it stays.
  steering.reset();
  EXPECT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS).size(), 2u);
  close(link);
}

TEST_F(SteeringTest, PacketsGoToTheDatapathWithoutTheirLinkHeader) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  Send("10.244.1.5", "10.244.2.5");
  const Bytes packet = ReadTun();
  ASSERT_EQ(packet.size(), 20u + 8u + 9u);
  EXPECT_EQ(packet[0], 0x45);
  EXPECT_EQ(IpAddress::V4(std::span<const uint8_t, 4>(packet.data() + 12, 4)), Ip("10.244.1.5"));
  EXPECT_EQ(steering->Counters()["encrypted"].packets, 1u);
  EXPECT_EQ(steering->Counters()["encrypted"].bytes, packet.size() + 14);
}

TEST_F(SteeringTest, PreferWantsATunnel) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  EXPECT_THAT(steering->TakeWanted(), IsEmpty());
  Send("10.244.1.7", "10.244.2.7");
  EXPECT_EQ(steering->Counters()["prefer_clear"].packets, 1u);
  EXPECT_THAT(steering->TakeWanted(), ElementsAre(2));
  EXPECT_THAT(steering->TakeWanted(), IsEmpty());
  ASSERT_TRUE(steering->SetTunnelReady(2, true).ok());
  Send("10.244.1.7", "10.244.2.7");
  EXPECT_EQ(steering->Counters()["encrypted"].packets, 1u);
  ASSERT_TRUE(steering->SetTunnelReady(2, false).ok());
  ASSERT_TRUE(steering->SetTunnelReady(2, false).ok()) << "twice is no error";
  Send("10.244.1.7", "10.244.2.7");
  EXPECT_EQ(steering->Counters()["prefer_clear"].packets, 2u);
}

TEST_F(SteeringTest, InjectedPlaintextIsRefusedAndTold) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  Inject(Frame(Packet(Ip("10.244.2.5"), Ip("10.244.1.5"), {.protocol = 17}, Ports(7, 9))));
  std::vector<Event> events;
  pollfd p = {.fd = steering->event_fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&p, 1, 5000), 1) << "the event's descriptor becomes readable";
  steering->Poll([&](const Event& e) { events.push_back(e); });
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].reason, "drop_guard");
  EXPECT_EQ(events[0].device, "wire");
  EXPECT_FALSE(events[0].egress);
  EXPECT_EQ(events[0].flow.source, Ip("10.244.2.5"));
  EXPECT_EQ(events[0].flow.destination_port, 9);
  EXPECT_EQ(events[0].source_identity, kApp);
  EXPECT_EQ(steering->Counters()["drop_guard"].packets, 1u);
}

TEST_F(SteeringTest, ADeadAgentLeaksNothing) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  const auto before = ProgramsAt("wire", BPF_TCX_EGRESS);
  steering.reset();  // nothing is done at the end that kill -9 would leave out
  close(std::exchange(tun_, -1));
  ASSERT_EQ(if_nametoindex("esp0"), 0u);
  EXPECT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS), before);
  const int capture = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP));
  sockaddr_ll a = {};
  a.sll_family = AF_PACKET;
  a.sll_protocol = htons(ETH_P_IP);
  a.sll_ifindex = static_cast<int>(if_nametoindex("world"));
  ASSERT_EQ(bind(capture, reinterpret_cast<sockaddr*>(&a), sizeof(a)), 0);
  Send("10.244.1.5", "10.244.2.5");
  Send("10.244.1.5", "8.8.8.8");  // no route: goes nowhere
  Send("10.244.1.7", "10.244.2.7");
  pollfd p = {.fd = capture, .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&p, 1, 5000), 1);
  uint8_t frame[256];
  ASSERT_GT(recv(capture, frame, sizeof(frame), 0), 34);
  EXPECT_EQ(frame[14 + 15], 7) << "the first that is seen on the wire is the Prefer one's";

  // The next agent takes over: the policy is in force at once, the counts go on.
  OpenTun();
  steering = Create();
  ASSERT_NE(steering, nullptr);
  EXPECT_EQ(steering->Counters()["prefer_clear"].packets, 1u);
  EXPECT_NE(ProgramsAt("wire", BPF_TCX_EGRESS), before) << "its own program";
  EXPECT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS).size(), 1u);
  Send("10.244.1.5", "10.244.2.5");
  EXPECT_EQ(ReadTun().size(), 37u) << "to the new datapath's device";
  ASSERT_TRUE(Program(steering.get()).ok());
  EXPECT_THAT(steering->devices(), ElementsAre("wire"));
  close(capture);
}

TEST_F(SteeringTest, FollowsDevices) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  ASSERT_TRUE(steering->Reconcile().ok());
  pollfd p = {.fd = steering->netlink_fd(), .events = POLLIN, .revents = 0};
  Shell("ip link add wire2 type veth peer name world2 && ip link set wire2 up && ip link set world2 up");
  Shell("ip addr add 10.9.0.1/24 dev wire2 && ip route add 10.244.3.0/24 via 10.9.0.2 dev wire2");
  ASSERT_EQ(poll(&p, 1, 5000), 1);
  ASSERT_TRUE(steering->Reconcile().ok());
  EXPECT_THAT(steering->devices(), ElementsAre("wire", "wire2"));
  EXPECT_EQ(ProgramsAt("wire2", BPF_TCX_EGRESS).size(), 1u);
  // Its route goes, its programs stay; the device goes, and so do its pins.
  const std::string pin = TheOptions().pin_dir + "/links/out_" + std::to_string(if_nametoindex("wire2"));
  Shell("ip route del 10.244.3.0/24");
  ASSERT_TRUE(steering->Reconcile().ok());
  EXPECT_EQ(ProgramsAt("wire2", BPF_TCX_EGRESS).size(), 1u);
  EXPECT_TRUE(Exists(pin));
  Shell("ip link del wire2");
  ASSERT_TRUE(steering->Reconcile().ok());
  EXPECT_THAT(steering->devices(), ElementsAre("wire"));
  EXPECT_FALSE(Exists(pin));
}

TEST_F(SteeringTest, DetachLeavesNothing) {
  auto steering = Create();
  ASSERT_TRUE(Program(steering.get()).ok());
  EXPECT_TRUE(Steering::Detach(TheOptions().pin_dir).ok());
  EXPECT_THAT(ProgramsAt("wire", BPF_TCX_EGRESS), IsEmpty()) << "also while an agent holds them";
  EXPECT_THAT(ProgramsAt("wire", BPF_TCX_INGRESS), IsEmpty());
  EXPECT_THAT(ProgramsAt("esp0", BPF_TCX_INGRESS), IsEmpty());
  EXPECT_FALSE(Exists(TheOptions().pin_dir));
  EXPECT_TRUE(Steering::Detach(TheOptions().pin_dir).ok()) << "nothing to do is no error";
}

// Programs of another layout's agent go on, with their own maps and policy, until the new agent has one.
TEST_F(SteeringTest, AnotherLayoutIsReplacedWhenThereIsAPolicy) {
  const std::string old = TheOptions().pin_dir + "/maps_0", links = TheOptions().pin_dir + "/links";
  Shell("mkdir -p " + old + " " + links);
  auto loader = Loader::Load(old);
  ASSERT_TRUE(loader.ok()) << loader.status();
  const RowsSnapshot mesh = Mesh();
  ASSERT_TRUE(Tables(loader->get()).Program(Flatten(mesh.ipcache(), mesh.rows(), {Prefix("10.244.1.0/24")})).ok());
  {
    Attachments attachments(links);
    const int wire = static_cast<int>(if_nametoindex("wire"));
    ASSERT_TRUE(attachments.Sync({{.index = wire, .name = "wire", .ethernet = true}}, 0, {}, **loader).ok());
  }
  const auto before = ProgramsAt("wire", BPF_TCX_EGRESS);
  auto steering = Create();
  ASSERT_NE(steering, nullptr);
  EXPECT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS), before);
  EXPECT_THAT(steering->alarms(), Contains(HasSubstr("predecessor's policy")));
  ASSERT_TRUE(Program(steering.get()).ok());
  EXPECT_EQ(ProgramsAt("wire", BPF_TCX_EGRESS).size(), 1u);
  EXPECT_NE(ProgramsAt("wire", BPF_TCX_EGRESS), before);
  EXPECT_THAT(steering->alarms(), IsEmpty());
  EXPECT_FALSE(Exists(old));
  Send("10.244.1.5", "10.244.2.5");
  EXPECT_EQ(ReadTun().size(), 37u);
}

TEST_F(SteeringTest, NamedDevicesOnly) {
  Options options = TheOptions();
  options.devices = {"cni0", "eth7"};
  auto steering = Steering::Create(options);
  ASSERT_TRUE(steering.ok()) << steering.status();
  ASSERT_TRUE(Program(steering->get()).ok());
  EXPECT_THAT((*steering)->devices(), ElementsAre("cni0"));
  EXPECT_THAT((*steering)->alarms(), Contains(HasSubstr("eth7")));
  EXPECT_THAT(ProgramsAt("wire", BPF_TCX_EGRESS), IsEmpty());
}

TEST_F(SteeringTest, WhereNothingCanBePinned) {
  Options options = TheOptions();
  options.pin_dir = "/tmp/espalier-steering-no-bpffs";
  auto steering = Steering::Create(options);
  EXPECT_EQ(steering.status().code(), absl::StatusCode::kFailedPrecondition) << steering.status();
  EXPECT_THAT(std::string(steering.status().message()), HasSubstr("not on a bpffs"));
  Shell("rm -r /tmp/espalier-steering-no-bpffs");
}

// Kernels without tcx: clsact filters instead, with the same programs.
TEST_F(SteeringTest, ClassicFilters) {
  const std::string links = bpffs_ + "/links", maps = bpffs_ + "/maps";
  Shell("mkdir " + links + " " + maps);
  auto loader = Loader::Load(maps);
  ASSERT_TRUE(loader.ok()) << loader.status();
  espalier_settings settings = {
      .datapath_ifindex = if_nametoindex("esp0"), .vxlan_ports = {}, .geneve_port = 0, .reserved = 0};
  ASSERT_TRUE((BpfMap<uint32_t, espalier_settings>((*loader)->map("settings"), "settings").Update(0, settings).ok()));
  const RowsSnapshot mesh = Mesh();
  ASSERT_TRUE(Tables(loader->get()).Program(Flatten(mesh.ipcache(), mesh.rows(), {Prefix("10.244.1.0/24")})).ok());
  const std::vector<Device> devices = {
      {.index = static_cast<int>(if_nametoindex("wire")), .name = "wire", .ethernet = true}};
  const int esp = static_cast<int>(if_nametoindex("esp0"));
  const std::string shown = "tc filter show dev wire egress | grep -q leaving_etherne";
  {
    Attachments attachments(links, Attachments::Method::kClassic);
    ASSERT_TRUE(attachments.Sync(devices, esp, {}, **loader).ok());
    EXPECT_THAT(attachments.NotFirst(), IsEmpty());
  }
  EXPECT_THAT(ProgramsAt("wire", BPF_TCX_EGRESS), IsEmpty());
  Shell(shown);
  Send("10.244.1.5", "10.244.2.5");
  EXPECT_EQ(ReadTun().size(), 37u);
  {
    Attachments successor(links, Attachments::Method::kClassic);
    EXPECT_FALSE(successor.empty());
    auto fresh = Loader::Load(maps);
    ASSERT_TRUE(fresh.ok());
    ASSERT_TRUE(successor.Sync(devices, esp, {}, **fresh).ok());
  }
  Send("10.244.1.5", "10.244.2.5");
  EXPECT_EQ(ReadTun().size(), 37u);
  EXPECT_TRUE(Attachments::DetachAll(links).ok());
  Shell("! " + shown);
}

}  // namespace
}  // namespace espalier::steering
