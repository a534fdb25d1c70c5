"""What can be done with a lab: up, down, nodes added and removed, programs restarted, changes of manifests followed."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sys
import time

import manifests
import netns
import network
import processes
import services
import state as states
from model import FAMILIES, LabError, Node, Pod, generated_node, generated_pods, plan_wire
from state import State


def say(message: str) -> None:
    print(f"  {message}", file=sys.stderr, flush=True)


def check_kernel() -> None:
    if not pathlib.Path("/sys/fs/bpf").is_dir():
        raise LabError("this kernel has no /sys/fs/bpf (CONFIG_BPF_SYSCALL)")
    if not os.path.exists("/dev/net/tun"):
        raise LabError("/dev/net/tun is missing: try `modprobe tun` on the host")


def up(name: str, options: dict) -> State:
    """Makes everything; what exists is recorded first, so that `down` finds it whenever this ends."""
    if states.load(name) is not None:
        raise LabError(f"lab {name!r} is up already (or was left half-made): deploy/lab down --name {name}")
    check_kernel()
    if options["manifests"] and not os.path.isdir(options["manifests"]):
        raise LabError(f"--manifests {options['manifests']}: no such folder")
    if not options["unencrypted"]:
        processes.build()
    began = time.monotonic()
    lab = State(name, options)
    lab.dir.mkdir(parents=True, exist_ok=True)
    plan(lab)
    taken = [n for n in namespaces(lab) if netns.exists(n)]
    if taken:
        raise LabError(f"network namespaces exist already: {', '.join(taken)}; choose another --name")
    lab.save()

    network.add_wire(lab.wire)
    controller_starts = False
    if lab.encrypted:
        processes.start_controller(lab)
        lab.save()
        controller_starts = True
    netns.each(lambda n: network.add_node(lab.wire, n, options["network"]), lab.nodes)
    network.connect(lab.wire, lab.nodes, options["network"])
    if controller_starts:
        processes.wait_controller(lab)
        start_agents(lab, lab.nodes)
    by_name = {n.name: n for n in lab.nodes}
    netns.each(lambda p: network.add_pod(by_name[p.node], p, options["network"]), lab.pods)
    apply_services(lab)
    if lab.encrypted:
        netns.each(lambda n: processes.wait_agent(lab, n), lab.nodes, workers=32)
    processes.start_keeper(lab)
    lab.complete = True
    lab.save()
    say(f"lab {name}: {len(lab.nodes)} nodes, {len(lab.pods)} pods, "
        f"{'unencrypted' if options['unencrypted'] else 'encrypted'}, {options['network']}, up in {time.monotonic() - began:.1f} s")
    return lab


def plan(lab: State) -> None:
    """Nodes, pods and addresses: from the person's manifests where they have them, else generated."""
    options = lab.options
    if options["manifests"]:
        lab.manifests = options["manifests"]
        pathlib.Path(lab.manifests, manifests.OWN_FILE).unlink(missing_ok=True)
    else:
        lab.manifests = str(lab.dir / "manifests")
        os.makedirs(lab.manifests, exist_ok=True)
        manifests.replace(pathlib.Path(lab.manifests, manifests.POLICY_FILE), manifests.DEFAULT_POLICY)
    objects = manifests.load(lab.manifests, say)
    lab.nodes = manifests.given_nodes(lab.name, objects)
    if lab.nodes:
        options["families"] = manifests.families_of(lab.nodes)
    else:
        options["families"] = FAMILIES[options["family"]]
        lab.nodes = [generated_node(lab.name, i, options["families"]) for i in range(1, options["nodes"] + 1)]
    lab.next_index = len(lab.nodes) + 1
    lab.pods = manifests.given_pods(lab.name, objects, lab.nodes, say)
    has_pods = bool(manifests.of_kind(objects, "Pod"))
    if not has_pods:
        lab.pods = [p for n in lab.nodes for p in generated_pods(lab.name, n, options["pods"])]
    options["own_namespace"] = not any(o["metadata"]["name"] == "default" for _, o in manifests.of_kind(objects, "Namespace"))
    options["own_services"] = not has_pods and not manifests.of_kind(objects, "Service")
    lab.wire = plan_wire(lab.name, lab.nodes)
    manifests.write_own(lab)


def namespaces(lab: State) -> list[str]:
    own = [lab.wire.netns, lab.wire.controller_netns] if lab.wire else []
    return [p.netns for p in lab.pods] + [n.netns for n in lab.nodes] + own


def start_agents(lab: State, nodes: list[Node]) -> None:
    netns.each(lambda n: processes.join_token(lab, n), nodes)
    for node in nodes:
        processes.start_agent(lab, node)
    lab.save()


def current_services(lab: State) -> list[dict]:
    return [o for _, o in manifests.of_kind(manifests.load(lab.manifests), "Service")]


def apply_services(lab: State) -> None:
    services.apply(lab.nodes, current_services(lab), lab.pods)


def down(name: str) -> None:
    lab = states.load(name)
    if lab is None:
        shutil.rmtree(states.ROOT / name, ignore_errors=True)
        return
    processes.end(lab.processes.get("keeper"), signal.SIGKILL)
    # Pods first: nothing of theirs may be sent while agents and pinned programs go.
    end_inside([p.netns for p in lab.pods])
    network.remove_namespaces([p.netns for p in lab.pods])
    for key in [n.name for n in lab.nodes] + ["controller"]:
        processes.end(lab.processes.get(key), signal.SIGKILL)
    end_inside(namespaces(lab))
    network.remove_namespaces(namespaces(lab))
    for node in lab.nodes:
        processes.remove_pins(lab, node.name)
    if lab.manifests:
        pathlib.Path(lab.manifests, manifests.OWN_FILE).unlink(missing_ok=True)
    shutil.rmtree(lab.dir, ignore_errors=True)


def end_inside(names: list[str]) -> None:
    """Ends every process that runs in these namespaces, whoever started it there."""
    deadline = time.monotonic() + 5
    while (pids := netns.processes_in(names)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def add_node(lab: State, name: str | None) -> Node:
    """As a cluster does it: the Node object, the agent, then pods."""
    families = tuple(lab.options["families"])
    while name is None or any(n.name == name for n in lab.nodes):
        if name is not None and name != f"n{lab.next_index - 1}":
            raise LabError(f"there is a node {name!r} already")
        name = f"n{lab.next_index}"
        lab.next_index += 1
    node = next_free_node(lab, name, families)
    pods = generated_pods(lab.name, node, lab.options["pods"])
    lab.nodes.append(node)
    lab.save()
    network.add_node(lab.wire, node, lab.options["network"])
    manifests.write_own(lab)
    network.connect(lab.wire, lab.nodes, lab.options["network"])
    if lab.encrypted:
        with_retry(lambda: processes.join_token(lab, node))
        processes.start_agent(lab, node)
        lab.save()
        processes.wait_agent(lab, node)
    lab.pods += pods
    lab.save()
    netns.each(lambda p: network.add_pod(node, p, lab.options["network"]), pods)
    manifests.write_own(lab)
    apply_services(lab)
    return node


def next_free_node(lab: State, name: str, families: tuple[int, ...]) -> Node:
    used = {a for n in lab.nodes for a in n.addresses + n.pod_cidrs} | set(lab.wire.controller + lab.wire.outside)
    number = re.search(r"[1-9]\d{0,2}$", name)  # n7 gets 10.244.7.0/24 where that is free
    for index in ([int(number.group())] if number else []) + list(range(1, 250)):
        if not 1 <= index < 250:
            continue
        node = generated_node(lab.name, index, families)
        if not used & set(node.addresses + node.pod_cidrs):
            break
    else:
        raise LabError("all of 10.244.0.0/16 is in use")
    node.name, node.netns = name, f"{lab.name}-{name}"
    node.port = name if len(name) <= 15 else f"port{index}"
    wire = plan_wire(lab.name, lab.nodes + [node])
    if wire.subnets != lab.wire.subnets:
        raise LabError("nodes can't be added: the manifests' Nodes use a subnet of their own; add a Node there before `up`")
    return node


def with_retry(function, seconds: float = 10) -> None:
    """The controller follows its directory within moments: a new Node may not be known at once."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return function()
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def remove_node(lab: State, name: str) -> None:
    """Its pods, its objects, its agent (asked to end), its namespace, its pins: in this order, nothing leaks."""
    node = lab.node(name)
    gone = [p for p in lab.pods if p.node == name]
    end_inside([p.netns for p in gone])
    network.remove_namespaces([p.netns for p in gone])
    lab.nodes = [n for n in lab.nodes if n.name != name]
    lab.pods = [p for p in lab.pods if p.node != name]
    manifests.write_own(lab)
    manifests.drop(lab.manifests, lambda o: (o.get("kind") == "Node" and o["metadata"].get("name") == name)
                   or (o.get("kind") == "Pod" and (o.get("spec") or {}).get("nodeName") == name))
    apply_services(lab)
    processes.end(lab.processes.pop(name, None), signal.SIGTERM)
    end_inside([node.netns])
    network.remove_namespaces([node.netns])
    network.remove_port(lab.wire, node.port)
    network.disconnect(lab.wire, node, lab.nodes, lab.options["network"])
    processes.remove_pins(lab, name)
    shutil.rmtree(lab.node_dir(name), ignore_errors=True)
    lab.save()


def kill(lab: State, key: str, graceful: bool) -> None:
    check_key(lab, key)
    sig = signal.SIGTERM if graceful else signal.SIGKILL
    if not processes.end(lab.processes.get(key), sig):
        say(f"{key} did not end by itself within 10 s and was killed")


def start(lab: State, key: str) -> None:
    check_key(lab, key)
    if processes.alive(lab.processes.get(key)):
        raise LabError(f"{key} runs already (pid {lab.processes[key].pid})")
    if key == "controller":
        processes.start_controller(lab)
        lab.save()
        processes.wait_controller(lab)
    else:
        node = lab.node(key)
        processes.start_agent(lab, node)
        lab.save()
        processes.wait_agent(lab, node)


def check_key(lab: State, key: str) -> None:
    if not lab.encrypted:
        raise LabError("this lab is unencrypted: it has neither agents nor controller")
    if key != "controller":
        lab.node(key)


def keep(name: str) -> None:
    """Runs beside the lab as kubelet and kube-proxy would: Services and Pods that change in the manifests are followed."""
    seen, applied = None, None
    while (lab := states.load(name)) is not None:
        now = signature(lab.manifests)
        if now != seen and lab.complete:
            with states.locked(name):
                lab = states.load(name)
                if lab is None:
                    return
                seen = signature(lab.manifests)
                try:
                    follow_pods(lab)
                    wanted = repr((current_services(lab), lab.nodes, lab.pods))
                    if wanted != applied:
                        apply_services(lab)
                        applied = wanted
                except (LabError, OSError, ValueError, KeyError, TypeError) as error:
                    print(f"{time.strftime('%H:%M:%S')} {error}", flush=True)
        time.sleep(0.2)


def signature(directory: str) -> list:
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in manifests.files(directory):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
    return found


def follow_pods(lab: State) -> None:
    broken = []
    objects = manifests.load(lab.manifests, broken.append)
    wanted = {p.key: p for p in manifests.given_pods(lab.name, objects, lab.nodes) if p.key not in own_keys(lab)}
    have = {p.key: p for p in lab.pods if not p.generated}
    if broken:
        return  # a file is half-written: its pods are not gone
    gone = [p for k, p in have.items() if k not in wanted or pinned(wanted[k]) != pinned(p)]
    new = [p for k, p in wanted.items() if k not in have or pinned(have[k]) != pinned(p)]
    relabelled = [k for k in wanted if k in have and pinned(have[k]) == pinned(wanted[k])]
    end_inside([p.netns for p in gone])
    network.remove_namespaces([p.netns for p in gone])
    by_name = {n.name: n for n in lab.nodes}
    lab.pods = [p for p in lab.pods if p.generated] + [wanted[k] for k in relabelled] + new
    lab.save()
    for pod in new:
        network.add_pod(by_name[pod.node], pod, lab.options["network"])


def own_keys(lab: State) -> set[str]:
    return {p.key for p in lab.pods if p.generated}


def pinned(pod: Pod) -> tuple:
    """What of a pod can't change while it lives."""
    return pod.node, pod.addresses
