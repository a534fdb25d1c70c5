"""What a lab has made, on disk, so that every command and `down` knows it: /run/espalier-lab/NAME/state.json."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
from dataclasses import dataclass, field

from model import LabError, Node, Pod, Wire, to_dict

ROOT = pathlib.Path("/run/espalier-lab")
BPFFS = pathlib.Path("/sys/fs/bpf/espalier")


@dataclass
class Process:
    pid: int
    started: int  # clock ticks after boot: with the pid, unique
    log: str


@dataclass
class State:
    name: str
    options: dict
    wire: Wire | None = None
    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    processes: dict[str, Process] = field(default_factory=dict)  # by node name, "controller" or "keeper"
    manifests: str = ""
    next_index: int = 1
    complete: bool = False

    @property
    def dir(self) -> pathlib.Path:
        return ROOT / self.name

    @property
    def encrypted(self) -> bool:
        return not self.options["unencrypted"]

    def node_dir(self, node: str) -> pathlib.Path:
        return self.dir / "nodes" / node

    def socket(self, node: str) -> pathlib.Path:
        return self.node_dir(node) / "agent.sock"

    def pin_dir(self, node: str) -> pathlib.Path:
        return BPFFS / f"{self.name}-{node}"

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise LabError(f"no node {name!r}; there are: {', '.join(n.name for n in self.nodes) or 'none'}")

    def pod(self, name: str) -> Pod:
        """By "namespace/name", or by name where only one has it."""
        found = [p for p in self.pods if name in (p.key, p.name)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise LabError(f"no pod {name!r}; there are: {', '.join(p.key for p in self.pods) or 'none'}")
        raise LabError(f"{name!r} is ambiguous: {', '.join(p.key for p in found)}")

    def save(self) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        data = {
            "name": self.name,
            "options": self.options,
            "wire": to_dict(self.wire) if self.wire else None,
            "nodes": [to_dict(n) for n in self.nodes],
            "pods": [to_dict(p) for p in self.pods],
            "processes": {k: to_dict(p) for k, p in self.processes.items()},
            "manifests": self.manifests,
            "next_index": self.next_index,
            "complete": self.complete,
        }
        temporary = self.dir / ".state.json"
        temporary.write_text(json.dumps(data, indent=1))
        os.replace(temporary, self.dir / "state.json")


def check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", name):
        raise LabError(f"--name {name!r}: 1 to 20 of a-z, 0-9 and -, with a letter or digit at the ends")
    return name


def load(name: str) -> State | None:
    try:
        data = json.loads((ROOT / check_name(name) / "state.json").read_text())
    except FileNotFoundError:
        return None
    return State(
        data["name"],
        data["options"],
        Wire(**data["wire"]) if data["wire"] else None,
        [Node(**n) for n in data["nodes"]],
        [Pod(**p) for p in data["pods"]],
        {k: Process(**p) for k, p in data["processes"].items()},
        data["manifests"],
        data["next_index"],
        data["complete"],
    )


def must_load(name: str) -> State:
    state = load(name)
    if state is None:
        others = ", ".join(names()) or "none"
        raise LabError(f"no lab {name!r} is up (up: {others}); start it with: deploy/lab up --name {name}")
    return state


def names() -> list[str]:
    return sorted(p.parent.name for p in ROOT.glob("*/state.json"))


@contextlib.contextmanager
def locked(name: str):
    """One change of a lab at a time. Gives the lock's file, which `down` removes."""
    ROOT.mkdir(parents=True, exist_ok=True)
    path = ROOT / f".{check_name(name)}.lock"
    while True:
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if same_file(path, lock.fileno()):  # else the one before us removed it
                yield path
                return


def same_file(path: pathlib.Path, fd: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False
