"""The directory of Kubernetes objects that the controller reads: what the lab writes there, and what it takes from it.

The lab's own objects are in OWN_FILE, beside whatever a person keeps in the directory. Objects of other files define
the cluster where they are present: Nodes and Pods (with spec.nodeName and status.podIPs) get their namespaces.
"""

import ipaddress
import os
import pathlib
import re

import yaml

from model import LabError, Node, Pod, family_of, pod_netns
from state import State

OWN_FILE = "espalier-lab-objects.yaml"
POLICY_FILE = "policy.yaml"
SERVICE_IPS = {4: "10.96.0.10", 6: "fd00:10:96::a"}

DEFAULT_POLICY = """\
# Everything between pods of different nodes is encrypted, or dropped.
apiVersion: espalier.io/v1alpha1
kind: ClusterEncryptionPolicy
metadata:
  name: encrypt-pods
spec:
  action: Require
"""

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def files(directory: str) -> list[pathlib.Path]:
    return sorted(p for p in pathlib.Path(directory).iterdir()
                  if p.suffix in (".yaml", ".yml", ".json") and not p.name.startswith(".") and p.is_file())


def load(directory: str, complain=lambda message: None) -> list[tuple[pathlib.Path, dict]]:
    """Every object of the directory with its file. A file that can't be read is told and skipped: the controller has
    its own word on it."""
    found = []
    for path in files(directory):
        try:
            for document in yaml.load_all(path.read_text(), Loader=Loader):
                items = document.get("items") or [] if isinstance(document, dict) and document.get("kind") == "List" else [document]
                found += [(path, item) for item in items if isinstance(item, dict) and item.get("kind")]
        except (yaml.YAMLError, UnicodeDecodeError, FileNotFoundError) as error:
            complain(f"{path}: skipped: {str(error).splitlines()[0]}")
    return found


def of_kind(objects: list[tuple[pathlib.Path, dict]], kind: str) -> list[tuple[pathlib.Path, dict]]:
    return [(path, o) for path, o in objects if o["kind"] == kind and isinstance(o.get("metadata"), dict) and o["metadata"].get("name")]


def ip(text: object, where: str) -> str:
    try:
        return str(ipaddress.ip_address(str(text)))
    except ValueError:
        raise LabError(f"{where}: {text!r} is not an IP address") from None


def given_nodes(lab: str, objects: list[tuple[pathlib.Path, dict]]) -> list[Node]:
    nodes = []
    for path, o in of_kind(objects, "Node"):
        name, where = o["metadata"]["name"], f"{path}: Node {o['metadata']['name']}"
        spec, status = o.get("spec") or {}, o.get("status") or {}
        addresses = [ip(a.get("address"), f"{where}: status.addresses") for a in status.get("addresses") or []
                     if a.get("type") == "InternalIP"]
        if not addresses:
            raise LabError(f"{where}: no address of type InternalIP in status.addresses: the lab can't place it on the wire")
        cidrs = [str(c) for c in spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])]
        for cidr in cidrs:
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                raise LabError(f"{where}: spec.podCIDRs: {error}") from None
        port = name if re.fullmatch(r"[a-zA-Z0-9._-]{1,15}", name) and name not in ("br0", "controller", "lo") else f"port{len(nodes)}"
        nodes.append(Node(name, addresses, cidrs, f"{lab}-{name}", port, generated=False))
    return nodes


def given_pods(lab: str, objects: list[tuple[pathlib.Path, dict]], nodes: list[Node], complain=lambda message: None) -> list[Pod]:
    pods, known = [], {n.name for n in nodes}
    for path, o in of_kind(objects, "Pod"):
        meta, spec, status = o["metadata"], o.get("spec") or {}, o.get("status") or {}
        namespace, name = meta.get("namespace") or "default", meta["name"]
        where = f"{path}: Pod {namespace}/{name}"
        ips = [i.get("ip") for i in status.get("podIPs") or []] or ([status["podIP"]] if status.get("podIP") else [])
        if spec.get("hostNetwork"):
            continue
        if spec.get("nodeName") not in known or not ips:
            complain(f"{where}: no namespace made: it needs spec.nodeName (of {', '.join(sorted(known))}) and status.podIPs")
            continue
        pods.append(Pod(namespace, name, spec["nodeName"], [ip(i, f"{where}: status.podIPs") for i in ips],
                        pod_netns(lab, namespace, name), {k: str(v) for k, v in (meta.get("labels") or {}).items()},
                        spec.get("serviceAccountName") or "default",
                        {p["name"]: p["containerPort"] for c in spec.get("containers") or [] for p in c.get("ports") or []
                         if p.get("name") and p.get("containerPort")}, generated=False))
    return pods


def node_object(node: Node) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "uid": node.uid, "labels": {"kubernetes.io/hostname": node.name}},
        "spec": {"podCIDR": node.pod_cidrs[0], "podCIDRs": node.pod_cidrs},
        "status": {"addresses": [{"type": "InternalIP", "address": a} for a in node.addresses]
                   + [{"type": "Hostname", "address": node.name}]},
    }


def pod_object(pod: Pod, node: Node) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "labels": pod.labels},
        "spec": {"nodeName": pod.node, "serviceAccountName": pod.service_account,
                 "containers": [{"name": "main", "image": "lab"}]},
        "status": {"phase": "Running", "hostIP": node.addresses[0], "podIP": pod.addresses[0],
                   "podIPs": [{"ip": a} for a in pod.addresses]},
    }


def service_objects(families: tuple[int, ...]) -> list[dict]:
    ips = [SERVICE_IPS[f] for f in families]
    return [{
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": "server"},
            "clusterIP": ips[0],
            "clusterIPs": ips,
            "ipFamilies": [f"IPv{f}" for f in families],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080},
                      {"name": "echo", "protocol": "UDP", "port": 80, "targetPort": 8080}],
        },
    }]


def write_own(state: State, nodes: list[Node] | None = None, pods: list[Pod] | None = None) -> None:
    """Writes OWN_FILE for the generated ones of these nodes and pods (default: the lab's); whole or not at all."""
    nodes = [n for n in (state.nodes if nodes is None else nodes) if n.generated]
    by_name = {n.name: n for n in state.nodes + nodes}
    pods = [p for p in (state.pods if pods is None else pods) if p.generated]
    objects: list[dict] = [node_object(n) for n in nodes]
    if state.options.get("own_namespace"):
        objects.append({"apiVersion": "v1", "kind": "Namespace",
                        "metadata": {"name": "default", "labels": {"kubernetes.io/metadata.name": "default"}}})
        objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
    if state.options.get("own_services"):
        objects += service_objects(tuple(state.options["families"]))
    objects += [pod_object(p, by_name[p.node]) for p in pods]
    path = pathlib.Path(state.manifests, OWN_FILE)
    if not objects:
        path.unlink(missing_ok=True)
        return
    text = "# Written by deploy/lab for this cluster; gone at `deploy/lab down`.\n"
    replace(path, text + yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, explicit_start=True))


def replace(path: pathlib.Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    os.replace(temporary, path)


def drop(directory: str, unwanted) -> None:
    """Takes the documents whose object is `unwanted` out of the person's files; all other text stays as it is."""
    for path in files(directory):
        if path.suffix == ".json" or path.name == OWN_FILE:
            continue
        parts = re.split(r"(?m)^---[ \t]*(?:#.*)?\n", path.read_text())
        kept = []
        for part in parts:
            try:
                o = yaml.load(part, Loader=Loader)
            except yaml.YAMLError:
                o = None
            if not (isinstance(o, dict) and isinstance(o.get("metadata"), dict) and unwanted(o)):
                kept.append(part)
        if len(kept) < len(parts):
            replace(path, "---\n".join(kept))


def families_of(nodes: list[Node]) -> tuple[int, ...]:
    return tuple(sorted({family_of(a) for n in nodes for a in n.addresses}))
