"""The lab's command line; deploy/lab runs it in the base."""

import argparse
import contextlib
import json
import os
import sys

import capture
import lab as labs
import netns
import processes
import state as states
from model import FAMILIES, LabError


def parser() -> argparse.ArgumentParser:
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument("--name", default=argparse.SUPPRESS, help="which lab (default: lab)")
    top = argparse.ArgumentParser(prog="deploy/lab", parents=[name], description="A cluster on one machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(text: str, **options) -> argparse.ArgumentParser:
        return commands.add_parser(text, parents=[name], **options)

    up = command("up", help="make a cluster")
    up.add_argument("--nodes", type=count, default=3, metavar="N")
    up.add_argument("--pods", type=count, default=2, metavar="PER_NODE", help="the first is client-NODE, others are servers")
    up.add_argument("--manifests", metavar="DIR", help="the controller reads (and follows) this folder")
    up.add_argument("--datapath", choices=("auto", "user", "xfrm"), default="auto")
    up.add_argument("--network", choices=("routed", "vxlan"), default="routed")
    up.add_argument("--family", choices=tuple(FAMILIES), default="dual")
    up.add_argument("--unencrypted", action="store_true", help="the same cluster without Espalier")
    up.add_argument("--cert-lifetime", default="24h", metavar="DURATION", help="of node certificates (default: 24h)")

    info = command("info", help="what there is")
    info.add_argument("-o", dest="output", choices=("json", "table"), default="table")
    command("list", help="the labs that are up")
    run = command("exec", help="run a command in a pod (or NODE, controller, outside): exec POD -- COMMAND")
    run.add_argument("where")
    ctl = command("ctl", help="espalierctl on a node: ctl NODE -- ARGS")
    ctl.add_argument("node")
    logs = command("logs", help="the log of an agent or the controller")
    logs.add_argument("which", metavar="NODE|controller|keeper")
    logs.add_argument("-f", dest="follow", action="store_true")
    for word, text in (("restart", "end it and start it again"), ("kill", "end it"), ("start", "start it again")):
        p = command(word, help=text + (" (with SIGKILL)" if word != "start" else ""))
        p.add_argument("which", metavar="NODE|controller")
        if word != "start":
            p.add_argument("--graceful", action="store_true", help="ask it with SIGTERM")
    p = command("add-node", help="one more node, with pods")
    p.add_argument("node", nargs="?")
    p = command("remove-node", help="a node, with its pods")
    p.add_argument("node")
    p = command("capture", help="count what is on the wire for a while")
    capture.add_arguments(p)
    command("down", help="remove all of it")
    command("keep")
    return top


def count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 200:
        raise argparse.ArgumentTypeError("1 to 200")
    return value


def main(arguments: list[str]) -> int:
    rest: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, rest = arguments[:cut], arguments[cut + 1 :]
    args = parser().parse_args(arguments)
    name = states.check_name(getattr(args, "name", "lab"))
    if rest and args.command not in ("exec", "ctl"):
        raise LabError(f"{args.command} takes nothing after --")
    if args.command == "list":
        for other in states.names():
            found = states.load(other)
            print(other if found.complete else f"{other} (half-made)")
    elif args.command == "keep":
        labs.keep(name)
    elif args.command == "up":
        options = {k: getattr(args, k) for k in ("nodes", "pods", "manifests", "datapath", "network", "family", "unencrypted", "cert_lifetime")}
        if args.manifests:
            options["manifests"] = os.path.join(os.environ.get("ESPALIER_CALLER_DIR", os.getcwd()), args.manifests)
        with states.locked(name):
            labs.up(name, options)
    elif args.command == "down":
        with states.locked(name) as lock:
            labs.down(name)
            lock.unlink()
    else:
        return running(name, args, rest)
    return 0


def running(name: str, args: argparse.Namespace, rest: list[str]) -> int:
    """Commands for a lab that is up."""
    lab = states.must_load(name)
    if args.command == "info":
        print(json.dumps(info(lab), indent=2) if args.output == "json" else table(info(lab)))
    elif args.command in ("exec", "ctl"):
        return enter(lab, args, rest)
    elif args.command == "logs":
        return logs(lab, args)
    elif args.command == "capture":
        return capture.command(lab, args)
    else:
        with states.locked(name):
            change(states.must_load(name), args)
    return 0


def change(lab: states.State, args: argparse.Namespace) -> None:
    if args.command in ("restart", "kill"):
        labs.kill(lab, args.which, args.graceful)
    if args.command in ("restart", "start"):
        labs.start(lab, args.which)
    elif args.command == "add-node":
        print(labs.add_node(lab, args.node).name)
    elif args.command == "remove-node":
        labs.remove_node(lab, args.node)


def place(lab: states.State, where: str) -> str:
    """The network namespace that a person means."""
    if where == "controller":
        return lab.wire.controller_netns
    if where == "outside":
        return lab.wire.netns
    if any(n.name == where for n in lab.nodes):
        return lab.node(where).netns
    return lab.pod(where).netns


def enter(lab: states.State, args: argparse.Namespace, rest: list[str]) -> int:
    if args.command == "exec":
        if not rest:
            raise LabError("what is to be run? deploy/lab exec POD -- COMMAND")
        command = netns.enter(place(lab, args.where)) + rest
    else:
        node = lab.node(args.node)
        command = processes.ctl(lab, node) + rest
    sys.stdout.flush()
    os.execvp(command[0], command)


def logs(lab: states.State, args: argparse.Namespace) -> int:
    if args.which == "controller":
        path = processes.controller_log(lab)
    elif args.which == "keeper":
        path = lab.dir / "keeper.log"
    else:
        path = processes.agent_log(lab, lab.node(args.which))
    if not path.exists():
        raise LabError(f"{path} is not there")
    command = ["tail", "-n", "+1"] + (["-f"] if args.follow else []) + [str(path)]
    os.execvp(command[0], command)


def info(lab: states.State) -> dict:
    def pid(key: str) -> int | None:
        found = lab.processes.get(key)
        return found.pid if processes.alive(found) else None

    return {
        "name": lab.name,
        "options": {k: v for k, v in lab.options.items() if not k.startswith("own_")},
        "nodes": [{"name": n.name, "netns": n.netns, "addresses": n.addresses, "podCIDRs": n.pod_cidrs, "wire": "eth0",
                   "wirePort": n.port, "agentPid": pid(n.name),
                   "metrics": f"http://{processes.agent_metrics(n)}/metrics" if lab.encrypted else None,
                   "socket": str(lab.socket(n.name)), "log": str(processes.agent_log(lab, n)),
                   "pins": str(lab.pin_dir(n.name))} for n in lab.nodes],
        "pods": [{"name": p.name, "namespace": p.namespace, "node": p.node, "netns": p.netns, "addresses": p.addresses,
                  "labels": p.labels} for p in lab.pods],
        "controller": {"pid": pid("controller"), "netns": lab.wire.controller_netns, "addresses": lab.wire.controller,
                       "metrics": f"http://{processes.controller_metrics(lab)}/metrics" if lab.encrypted else None,
                       "log": str(processes.controller_log(lab))},
        "wire": {"netns": lab.wire.netns, "bridge": lab.wire.bridge, "addresses": lab.wire.outside},
        "services": [{"name": s["metadata"]["name"], "namespace": s["metadata"].get("namespace") or "default",
                      "clusterIPs": (s.get("spec") or {}).get("clusterIPs") or [(s.get("spec") or {}).get("clusterIP")]}
                     for s in labs.current_services(lab)],
        "manifests": lab.manifests,
    }


def table(data: dict) -> str:
    rows = [("NODE", "NAMESPACE", "ADDRESSES", "AGENT")]
    rows += [(n["name"], n["netns"], ", ".join(n["addresses"]), f"pid {n['agentPid']}" if n["agentPid"] else "-") for n in data["nodes"]]
    rows += [("", "", "", ""), ("POD", "NAMESPACE", "ADDRESSES", "NODE")]
    rows += [(p["name"] if p["namespace"] == "default" else f"{p['namespace']}/{p['name']}", p["netns"], ", ".join(p["addresses"]), p["node"])
             for p in data["pods"]]
    rows += [("", "", "", ""), ("SERVICE", "", "CLUSTER IPS", "")]
    rows += [(s["name"] if s["namespace"] == "default" else f"{s['namespace']}/{s['name']}", "", ", ".join(map(str, s["clusterIPs"])), "")
             for s in data["services"]]
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip() for r in rows]
    pid = data["controller"]["pid"]
    lines += ["", f"controller: {f'pid {pid}' if pid else '-'} in {data['controller']['netns']}, "
                  f"wire: {data['wire']['bridge']} in {data['wire']['netns']}, manifests: {data['manifests']}"]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        with contextlib.suppress(BrokenPipeError):
            sys.exit(main(sys.argv[1:]))
    except LabError as error:
        print(f"deploy/lab: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
