"""The lab's cluster as values: nodes, pods, services, and the addresses that generated ones get."""

import hashlib
import ipaddress
import uuid
from dataclasses import asdict, dataclass, field

WIRE4 = ipaddress.ip_network("172.30.0.0/16")
WIRE6 = ipaddress.ip_network("fd00:30::/64")
FAMILIES = {"ipv4": (4,), "ipv6": (6,), "dual": (4, 6)}
MTU = {"routed": {4: 1500, 6: 1500}, "vxlan": {4: 1450, 6: 1430}}

CONTROL_PORT = 7443
CONTROLLER_METRICS_PORT = 9465
AGENT_METRICS_PORT = 9464


class LabError(Exception):
    """Something a person can read and act on."""


@dataclass
class Node:
    name: str
    addresses: list[str]
    pod_cidrs: list[str]
    netns: str
    port: str  # its end of the wire, a port of the bridge
    generated: bool = True  # its objects are in the lab's own file
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def address(self, family: int) -> str | None:
        return of_family(self.addresses, family)

    def pod_cidr(self, family: int) -> str | None:
        return of_family(self.pod_cidrs, family)


@dataclass
class Pod:
    namespace: str
    name: str
    node: str
    addresses: list[str]
    netns: str
    labels: dict[str, str] = field(default_factory=dict)
    service_account: str = "default"
    ports: dict[str, int] = field(default_factory=dict)  # named container ports
    generated: bool = True
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def veth(self) -> str:
        return "veth" + digest(self.key)[:8]

    @property
    def mac(self) -> str:
        d = digest(self.key + "@" + self.node)
        return "0a:58:" + ":".join(d[i : i + 2] for i in range(0, 8, 2))


@dataclass
class Wire:
    """Where nodes, controller and the outside meet: a bridge in a namespace of its own."""

    netns: str
    controller_netns: str
    bridge: str
    subnets: list[str]
    outside: list[str]  # the bridge's own addresses: a host outside of the mesh
    controller: list[str]


def family_of(address: str) -> int:
    return ipaddress.ip_interface(address).version


def of_family(addresses: list[str], family: int) -> str | None:
    return next((a for a in addresses if family_of(a) == family), None)


def digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def url_host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def generated_node(lab: str, index: int, families: tuple[int, ...]) -> Node:
    addresses, cidrs = [], []
    if 4 in families:
        addresses.append(str(WIRE4.network_address + 256 + index))
        cidrs.append(f"10.244.{index}.0/24")
    if 6 in families:
        addresses.append(str(WIRE6.network_address + 256 + index))
        cidrs.append(f"fd00:244:{index:x}::/64")
    name = f"n{index}"
    return Node(name, addresses, cidrs, f"{lab}-{name}", name)


def generated_pods(lab: str, node: Node, count: int) -> list[Pod]:
    """`client-NODE` (label app=client) and `server-NODE` (app=server); more are servers too."""
    pods = []
    for i in range(1, count + 1):
        if i == 1 and count > 1:
            name, app = f"client-{node.name}", "client"
        else:
            extra = i - 1 if count > 1 else 1
            name, app = f"server-{node.name}" + (f"-{extra}" if extra > 1 else ""), "server"
        addresses = [str(ipaddress.ip_network(cidr).network_address + 9 + i) for cidr in node.pod_cidrs]
        pods.append(Pod("default", name, node.name, addresses, pod_netns(lab, "default", name), {"app": app}))
    return pods


def pod_netns(lab: str, namespace: str, name: str) -> str:
    return f"{lab}-pod-{name}" if namespace == "default" else f"{lab}-pod-{namespace}.{name}"


def plan_wire(lab: str, nodes: list[Node]) -> Wire:
    """The subnet that all node addresses share, with the controller and an outside host at its upper end."""
    subnets, outside, controller = [], [], []
    for family in (4, 6):
        used = [ipaddress.ip_address(a) for n in nodes if (a := n.address(family))]
        if not used:
            continue
        default = WIRE4 if family == 4 else WIRE6
        subnet = default
        if not all(a in default for a in used):
            subnet = ipaddress.ip_network((used[0], 24 if family == 4 else 64), strict=False)
            while not all(a in subnet for a in used):
                if subnet.prefixlen <= 8:
                    raise LabError(f"the nodes' IPv{family} addresses share no subnet: {', '.join(map(str, used))}")
                subnet = subnet.supernet()
        free = []
        candidate = subnet.broadcast_address - 1
        while len(free) < 2:
            if candidate not in used:
                free.append(candidate)
            candidate -= 1
        if subnet == default:  # short ones, when they are ours to choose
            free = [default.network_address + 1, default.network_address + 2]
        subnets.append(str(subnet))
        outside.append(str(free[0]))
        controller.append(str(free[1]))
    return Wire(f"{lab}-wire", f"{lab}-controller", "br0", subnets, outside, controller)


def to_dict(value) -> dict:
    return asdict(value)
