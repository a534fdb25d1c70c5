// Which devices the programs belong on: those by which pod traffic leaves the node.
//
// Chosen are, of the links of the namespace:
//   1 the CNI's tunnels (vxlan, geneve, ipip, gre and their kin) that are up
//   2 devices of hardware, whatever their routes: what leaves the machine leaves there
//   3 devices with a default route, with a node address, or with a route that leads to a part of the mesh that is not
//     this node's own (a route to a single address on the link itself is a pod's, and isn't one)
// Never: loopback and the datapath's device. A port of hardware counts like any other device of hardware, so what a
// bridge or bond sends by it is met twice, and counted twice. Not seen: a frame that a bridge forwards between its
// ports if the one that it leaves by is neither hardware nor a tunnel.
#ifndef ESPALIER_AGENT_STEERING_DEVICES_H_
#define ESPALIER_AGENT_STEERING_DEVICES_H_

#include <string>
#include <vector>

#include "agent/policy/snapshot.h"
#include "agent/steering/inventory.h"
#include "common/ip.h"

namespace espalier::steering {

struct Device {
  int index = 0;
  std::string name;
  bool ethernet = false;  // has a link header

  friend bool operator==(const Device&, const Device&) = default;
};

// What of the mesh matters for the choice. Empty before the first snapshot.
struct Surroundings {
  std::vector<IpAddress> node_addresses;  // of this node
  std::vector<IpPrefix> own;              // pod CIDRs of this node, and its pods' addresses outside of them
  std::vector<IpPrefix> mesh;             // everything else that is a pod's or may be

  static Surroundings Of(const std::vector<policy::IpcacheRow>& ipcache, const std::vector<IpPrefix>& own_pod_cidrs);
};

// Sorted by index.
std::vector<Device> ChooseDevices(const Inventory& inventory, const Surroundings& surroundings, int datapath_ifindex);

// The device has routes into the mesh, and all of them lead to this node's own pods.
bool LeadsHome(const Inventory& inventory, const Surroundings& surroundings, int ifindex);

// The devices of these names; those that are missing are left out.
std::vector<Device> DevicesByName(const Inventory& inventory, const std::vector<std::string>& names);

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_DEVICES_H_
