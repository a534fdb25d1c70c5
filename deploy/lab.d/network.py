"""The lab's network: the wire, nodes on it, pods behind nodes.

    NAME-wire        bridge br0, a port for each node and the controller; br0's own address is "outside"
    NAME-controller  eth0 on the wire
    NAME-NODE        eth0 on the wire; a veth for each pod, routed as the ptp CNI plugin does (no bridge in the node);
                     routes to the other nodes' pod CIDRs (routed) or a VXLAN device as flannel's (vxlan)
    NAME-pod-POD     eth0 with /32 and /128 addresses and a link-local gateway
"""

import ipaddress

import netns
from model import MTU, Node, Pod, Wire, digest, family_of, of_family
from netns import ip_batch, sysctl

GATEWAY = {4: "169.254.1.1", 6: "fe80::1"}
GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
VXLAN_DEVICE = {4: "flannel.1", 6: "flannel-v6.1"}
VXLAN_PORT = 8472


def prefix_length(wire: Wire, family: int) -> int:
    return ipaddress.ip_network(of_family(wire.subnets, family)).prefixlen


def add_wire(wire: Wire) -> None:
    ip_batch(None, [f"netns add {wire.netns}", f"netns add {wire.controller_netns}"])
    sysctl(wire.netns, {"ipv6/conf/default/accept_dad": 0, "ipv6/conf/all/accept_dad": 0})
    lines = [
        "link set lo up",
        f"link add {wire.bridge} type bridge stp_state 0 mcast_snooping 0",
        f"link set {wire.bridge} up",
    ]
    lines += [f"addr add {a}/{prefix_length(wire, family_of(a))} dev {wire.bridge}" for a in wire.outside]
    ip_batch(wire.netns, lines)
    plug(wire, wire.controller_netns, "controller", wire.controller)


def plug(wire: Wire, namespace: str, port: str, addresses: list[str]) -> None:
    """An eth0 in the namespace, with these addresses, whose other end is a port of the bridge. Its MAC follows from the
    address: a node that takes over another's address is not taken for it by a stale neighbour entry."""
    mac = "02:" + ":".join(digest(addresses[0])[i : i + 2] for i in range(0, 10, 2))
    ip_batch(wire.netns, [f"link add {port} type veth peer name eth0 address {mac} netns {namespace}",
                          f"link set {port} master {wire.bridge}", f"link set {port} up"])
    sysctl(namespace, {"ipv6/conf/eth0/accept_dad": 0, "ipv6/conf/eth0/accept_ra": 0})
    lines = ["link set lo up", "link set eth0 up"]
    lines += [f"addr add {a}/{prefix_length(wire, family_of(a))} dev eth0" for a in addresses]
    lines += [f"route add default via {of_family(wire.outside, family_of(a))} dev eth0" for a in addresses]
    ip_batch(namespace, lines)


def add_node(wire: Wire, node: Node, network: str) -> None:
    ip_batch(None, [f"netns add {node.netns}"])
    sysctl(node.netns, {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1, "ipv6/conf/default/forwarding": 1})
    plug(wire, node.netns, node.port, node.addresses)
    if network == "vxlan":
        for address in node.addresses:
            add_vxlan(node, family_of(address))


def vxlan_mac(node: Node, family: int) -> str:
    d = digest(f"vxlan{family}/{node.name}")
    return "0e:" + ":".join(d[i : i + 2] for i in range(0, 10, 2))


def vxlan_address(node: Node, family: int) -> str | None:
    """As flannel: the first address of the node's pod CIDR."""
    cidr = node.pod_cidr(family)
    return str(ipaddress.ip_network(cidr).network_address) if cidr else None


def add_vxlan(node: Node, family: int) -> None:
    device, inner = VXLAN_DEVICE[family], vxlan_address(node, family)
    if inner is None:
        return
    ip_batch(node.netns, [
        f"link add {device} address {vxlan_mac(node, family)} mtu {MTU['vxlan'][family]} type vxlan id 1 "
        f"dstport {VXLAN_PORT} local {node.address(family)} dev eth0 nolearning",
        f"link set {device} up",
        f"addr add {inner}/{32 if family == 4 else 128} dev {device}" + (" nodad" if family == 6 else ""),
    ])


def connect(wire: Wire, nodes: list[Node], network: str) -> None:
    """Every node's way to every other's pods. Can be repeated when nodes were added."""

    def routes(node: Node) -> None:
        lines = []
        for other in nodes:
            for family in (4, 6):
                cidr = other.pod_cidr(family)
                if other.name == node.name or not cidr or not other.address(family) or not node.address(family):
                    continue
                if network == "routed":
                    lines.append(f"route replace {cidr} via {other.address(family)} dev eth0")
                    continue
                device, via, mac = VXLAN_DEVICE[family], vxlan_address(other, family), vxlan_mac(other, family)
                lines.append(f"neigh replace {via} lladdr {mac} dev {device} nud permanent")
                lines.append(f"route replace {cidr} via {via} dev {device} onlink")
        ip_batch(node.netns, lines)
        if network == "vxlan":
            for family in (4, 6):
                add_fdb(node, family, nodes)

    netns.each(routes, nodes)
    # The outside host knows the way back to pods.
    ip_batch(wire.netns, [f"route replace {cidr} via {n.address(family_of(cidr))} dev {wire.bridge}"
                          for n in nodes for cidr in n.pod_cidrs if n.address(family_of(cidr))])


def add_fdb(node: Node, family: int, nodes: list[Node]) -> None:
    lines = [f"fdb replace {vxlan_mac(o, family)} dev {VXLAN_DEVICE[family]} dst {o.address(family)}"
             for o in nodes if o.name != node.name and o.address(family) and o.pod_cidr(family)]
    if lines and node.address(family) and node.pod_cidr(family):
        netns.run(netns.enter(node.netns) + ["bridge", "-batch", "-"], "\n".join(lines) + "\n")


def disconnect(wire: Wire, gone: Node, nodes: list[Node], network: str) -> None:
    """Takes the ways to a node away, as a CNI does when a Node object goes. The node may be gone already."""

    def routes(node: Node) -> None:
        lines = [f"route del {cidr}" for cidr in gone.pod_cidrs if node.address(family_of(cidr))]
        if network == "vxlan":
            for cidr in gone.pod_cidrs:
                family = family_of(cidr)
                lines.append(f"neigh del {vxlan_address(gone, family)} dev {VXLAN_DEVICE[family]}")
        netns.subprocess.run(netns.enter(node.netns) + ["ip", "-force", "-batch", "-"], input="\n".join(lines) + "\n",
                             text=True, capture_output=True)

    netns.each(routes, [n for n in nodes if n.name != gone.name])
    netns.subprocess.run(netns.enter(wire.netns) + ["ip", "-force", "-batch", "-"], text=True, capture_output=True,
                         input="".join(f"route del {cidr}\n" for cidr in gone.pod_cidrs))


def add_pod(node: Node, pod: Pod, network: str) -> None:
    mtu = min(MTU[network][family_of(a)] for a in pod.addresses)
    ip_batch(None, [f"netns add {pod.netns}"])
    ip_batch(node.netns, [f"link add {pod.veth} address {GATEWAY_MAC} mtu {mtu} type veth "
                          f"peer name eth0 address {pod.mac} mtu {mtu} netns {pod.netns}"])
    sysctl(pod.netns, {"ipv6/conf/eth0/accept_dad": 0, "ipv6/conf/eth0/accept_ra": 0})
    sysctl(node.netns, {f"ipv6/conf/{pod.veth}/accept_dad": 0})
    inner, outer = ["link set lo up", "link set eth0 up"], [f"link set {pod.veth} up"]
    for address in pod.addresses:
        family = family_of(address)
        host = f"{address}/{32 if family == 4 else 128}"
        inner.append(f"addr add {host} dev eth0")
        inner.append(f"neigh add {GATEWAY[family]} lladdr {GATEWAY_MAC} dev eth0 nud permanent")
        if family == 4:
            inner.append(f"route add {GATEWAY[4]} dev eth0 scope link")
        inner.append(f"route add default via {GATEWAY[family]} dev eth0")
        outer.append(f"route add {host} dev {pod.veth}")
        outer.append(f"neigh add {address} lladdr {pod.mac} dev {pod.veth} nud permanent")
    ip_batch(pod.netns, inner)
    ip_batch(node.netns, outer)


def remove_namespaces(namespaces: list[str]) -> None:
    """Those that exist. Their devices go with them."""
    ip_batch(None, [f"netns del {n}" for n in namespaces if netns.exists(n)])


def remove_port(wire: Wire, port: str) -> None:
    if netns.exists(wire.netns):
        netns.subprocess.run(netns.enter(wire.netns) + ["ip", "link", "del", port], capture_output=True)


