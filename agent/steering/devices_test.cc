#include "agent/steering/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/policy/identity.h"
#include "agent/steering/packet_builder.h"

namespace espalier::steering {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

IpPrefix Prefix(const char* text) { return *IpPrefix::Parse(text); }

// Node 1 of a mesh 10.244.0.0/16; one of its pods has an address outside of its CIDR.
Surroundings Mesh() {
  return Surroundings::Of(
      {
          {Prefix("0.0.0.0/0"), {policy::kWorld, 0, false}},
          {Prefix("10.0.0.1"), {policy::kHost, 1, false}},
          {Prefix("10.0.0.2"), {policy::kRemoteNode, 2, false}},
          {Prefix("10.244.0.0/16"), {policy::kUnknown, 0, false}},
          {Prefix("10.244.1.0/24"), {policy::kUnknown, 1, false}},
          {Prefix("10.244.1.5"), {300, 1, true}},
          {Prefix("10.244.2.0/24"), {policy::kUnknown, 2, false}},
          {Prefix("10.244.2.5"), {300, 2, false}},
          {Prefix("10.244.7.7"), {300, 1, true}},
          {Prefix("fd01::/16"), {policy::kUnknown, 0, false}},
          {Prefix("fd01:2::/64"), {policy::kUnknown, 2, false}},
      },
      {Prefix("10.244.1.0/24"), Prefix("fd01:1::/64")});
}

constexpr int kLo = 1, kWire = 2, kBridge = 3, kPod = 4, kVxlan = 5, kDatapath = 6, kHardware = 7, kTunl = 8;

Inventory Node() {
  Inventory inventory;
  inventory.links = {
      {.index = kLo, .name = "lo", .ethernet = false, .up = true, .loopback = true},
      {.index = kWire, .name = "wire", .kind = "veth", .ethernet = true, .up = true},
      {.index = kBridge, .name = "cni0", .kind = "bridge", .ethernet = true, .up = true},
      {.index = kPod, .name = "veth1", .kind = "veth", .ethernet = true, .up = true},
      {.index = kDatapath, .name = "esp0", .kind = "tun", .ethernet = false, .up = true},
  };
  inventory.routes = {{.destination = Prefix("10.244.1.0/24"), .link = kBridge, .gateway = false},
                      {.destination = Prefix("10.0.0.0/24"), .link = kWire, .gateway = false}};
  return inventory;
}

std::vector<int> Chosen(const Inventory& inventory, const Surroundings& surroundings = Mesh()) {
  std::vector<int> indices;
  for (const Device& d : ChooseDevices(inventory, surroundings, kDatapath)) indices.push_back(d.index);
  return indices;
}

TEST(Devices, NothingLeadsOut) { EXPECT_THAT(Chosen(Node()), IsEmpty()); }

TEST(Devices, DefaultRoute) {
  Inventory node = Node();
  node.routes.push_back({.destination = Prefix("0.0.0.0/0"), .link = kWire, .gateway = true});
  EXPECT_THAT(Chosen(node), ElementsAre(kWire));
  EXPECT_THAT(Chosen(node, {}), ElementsAre(kWire)) << "before the first snapshot too";
}

TEST(Devices, DefaultRouteOfIpv6) {
  Inventory node = Node();
  node.routes.push_back({.destination = Prefix("::/0"), .link = kWire, .gateway = true});
  EXPECT_THAT(Chosen(node), ElementsAre(kWire));
}

TEST(Devices, NodeAddress) {
  Inventory node = Node();
  node.addresses = {{.link = kLo, .address = Ip("10.0.0.1")}, {.link = kWire, .address = Ip("10.0.0.1")}};
  EXPECT_THAT(Chosen(node), ElementsAre(kWire)) << "and never loopback";
}

TEST(Devices, RoutesToOtherNodesPods) {
  for (const char* to : {"10.244.2.0/24", "10.244.0.0/16", "10.0.0.0/8", "fd01:2::/64", "10.244.200.0/24"}) {
    Inventory node = Node();
    node.routes.push_back({.destination = Prefix(to), .link = kWire, .gateway = true});
    EXPECT_THAT(Chosen(node), ElementsAre(kWire)) << to;
  }
}

TEST(Devices, RoutesToOwnPods) {
  Inventory node = Node();
  for (const char* to : {"10.244.1.5/32", "10.244.1.0/25", "10.244.7.7/32", "10.244.9.9/32", "172.17.0.0/16"}) {
    node.routes.push_back({.destination = Prefix(to), .link = kPod, .gateway = false});
  }
  EXPECT_THAT(Chosen(node), IsEmpty());
  EXPECT_TRUE(LeadsHome(node, Mesh(), kPod));
  EXPECT_FALSE(LeadsHome(node, Mesh(), kWire)) << "no route into the mesh at all";
  node.routes.push_back({.destination = Prefix("10.244.9.9/32"), .link = kWire, .gateway = true});
  EXPECT_THAT(Chosen(node), ElementsAre(kWire)) << "a gateway to one address";
}

TEST(Devices, Tunnels) {
  for (const char* kind : {"vxlan", "geneve", "ipip", "sit", "ip6tnl", "gre", "gretap", "ip6gre", "wireguard"}) {
    Inventory node = Node();
    node.links.push_back({.index = kVxlan, .name = "overlay", .kind = kind, .ethernet = true, .up = true});
    node.links.push_back({.index = kTunl, .name = "tunl0", .kind = kind, .ethernet = false, .up = false});
    EXPECT_THAT(Chosen(node), ElementsAre(kVxlan)) << kind << ", and not the fallback device that is down";
  }
}

TEST(Devices, HardwareWhateverItsRoutes) {
  Inventory node = Node();
  node.links.push_back({.index = kHardware, .name = "eth0", .ethernet = true});
  EXPECT_THAT(Chosen(node, {}), ElementsAre(kHardware));
}

TEST(Devices, NeverTheDatapathItself) {
  Inventory node = Node();
  node.routes.push_back({.destination = Prefix("10.244.2.0/24"), .link = kDatapath, .gateway = false});
  node.routes.push_back({.destination = Prefix("0.0.0.0/0"), .link = kLo, .gateway = false});
  EXPECT_THAT(Chosen(node), IsEmpty());
}

TEST(Devices, ByName) {
  const std::vector<Device> devices = DevicesByName(Node(), {"wire", "absent"});
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices[0], (Device{.index = kWire, .name = "wire", .ethernet = true}));
}

}  // namespace
}  // namespace espalier::steering
