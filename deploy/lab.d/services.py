"""Services, as kube-proxy makes them: DNAT by nftables in every node's namespace, for pods and for the node itself."""

import ipaddress

import netns
from model import Node, Pod, family_of

# What a Service's client gets that has no endpoint, and hairpin traffic (a pod that reaches itself by a Service), are
# as kube-proxy has them: a reject, and masquerading.
TABLE = """\
table {l3} espalier-lab-services
delete table {l3} espalier-lab-services
table {l3} espalier-lab-services {{
  chain services {{
{dnat}  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
{hairpin}  }}
  chain no-endpoints {{
{reject}  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    jump no-endpoints
  }}
  chain local-out {{
    type filter hook output priority filter; policy accept;
    jump no-endpoints
  }}
}}
"""


def endpoints(service: dict, pods: list[Pod], family: int) -> list[Pod]:
    selector = (service.get("spec") or {}).get("selector") or {}
    namespace = service["metadata"].get("namespace") or "default"
    if not selector:
        return []
    return [p for p in pods if p.namespace == namespace and any(family_of(a) == family for a in p.addresses)
            and all(p.labels.get(k) == str(v) for k, v in selector.items())]


def cluster_ips(service: dict, family: int) -> list[str]:
    spec = service.get("spec") or {}
    ips = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [ip for ip in ips if valid(ip) and family_of(ip) == family]


def targets(chosen: list[Pod], target: int | str, family: int) -> list[tuple[str, int]]:
    """Address and port of each endpoint; one that lacks a named port isn't any."""
    found = [(a, target if isinstance(target, int) else p.ports.get(target))
             for p in chosen for a in p.addresses if family_of(a) == family]
    return sorted(((a, p) for a, p in found if p), key=lambda t: ipaddress.ip_address(t[0]))


def valid(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
        return True
    except ValueError:
        return False


def table(services: list[dict], pods: list[Pod], local: list[Pod], family: int) -> str:
    l3 = "ip" if family == 4 else "ip6"
    dnat, reject, backends = [], [], set()
    for service in sorted(services, key=lambda s: (s["metadata"].get("namespace") or "default", s["metadata"]["name"])):
        chosen = endpoints(service, pods, family)
        backends |= {a for p in chosen if p in local for a in p.addresses if family_of(a) == family}
        for ip in cluster_ips(service, family):
            for port in (service.get("spec") or {}).get("ports") or []:
                protocol = str(port.get("protocol") or "TCP").lower()
                target = port.get("targetPort") or port["port"]
                addresses = targets(chosen, target, family)
                match = f"    {l3} daddr {ip} {protocol} dport {int(port['port'])}"
                if not addresses:
                    reject.append(f"{match} reject\n")
                    continue
                choices = ", ".join(f"{i} : {a} . {p}" for i, (a, p) in enumerate(addresses))
                dnat.append(f"{match} dnat {l3} to numgen random mod {len(addresses)} map {{ {choices} }}\n")
    pairs = ", ".join(f"{a} . {a}" for a in sorted(backends))
    hairpin = f"    ct status dnat {l3} saddr . {l3} daddr {{ {pairs} }} masquerade\n" if pairs else ""
    return TABLE.format(l3=l3, dnat="".join(dnat), reject="".join(reject), hairpin=hairpin)


def rules(node: Node, services: list[dict], pods: list[Pod]) -> str:
    local = [p for p in pods if p.node == node.name]
    return "".join(table(services, pods, local, family) for family in (4, 6) if node.address(family))


def apply(nodes: list[Node], services: list[dict], pods: list[Pod]) -> None:
    """Each node's table, replaced in one transaction."""
    netns.each(lambda n: netns.run(netns.enter(n.netns) + ["nft", "-f", "-"], rules(n, services, pods)), nodes)
