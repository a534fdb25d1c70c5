"""Espalier's programs in the lab: their command lines, start, readiness, end."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import netns
from model import AGENT_METRICS_PORT, CONTROL_PORT, CONTROLLER_METRICS_PORT, LabError, Node, url_host
from state import Process, State

READY_SECONDS = 30
TRUST_DOMAIN = "lab.espalier.io"


TREE = pathlib.Path(__file__).resolve().parents[2]


def build() -> None:
    """The programs, unless they are somewhere else (ESPALIER_BIN)."""
    if not os.environ.get("ESPALIER_BIN") and subprocess.run([str(TREE / "deploy/build")], stdout=sys.stderr).returncode != 0:
        raise LabError("the build failed")


def program(name: str) -> str:
    folder = pathlib.Path(os.environ.get("ESPALIER_CALLER_DIR", "."), os.environ.get("ESPALIER_BIN") or TREE / "build/release/bin")
    path = (folder / name).resolve()
    if not path.is_file():
        raise LabError(f"{path} is not there: build it with deploy/build, or set ESPALIER_BIN")
    return str(path)


def clock_started(pid: int) -> int | None:
    """When the process started, in clock ticks after boot; None: it doesn't run (any more)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(process: Process | None) -> bool:
    return process is not None and clock_started(process.pid) == process.started


def start(state: State, key: str, command: list[str], log: pathlib.Path) -> Process:
    """Detached: it outlives the lab's command. The log is appended to."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/")
    process = Process(child.pid, clock_started(child.pid) or 0, str(log))
    state.processes[key] = process
    child.returncode = 0  # not ours to wait for
    return process


def end(process: Process | None, sig: signal.Signals, seconds: float = 10) -> bool:
    """Signals it and waits; then kills. False: it had to be killed though asked."""
    if process is None or not alive(process):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, sig)
    deadline = time.monotonic() + seconds
    while alive(process):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.1)
            return False
        time.sleep(0.005)
    return True


def controller_address(state: State) -> str:
    return state.wire.controller[0]


def controller_metrics(state: State) -> str:
    return f"{url_host(controller_address(state))}:{CONTROLLER_METRICS_PORT}"


def agent_metrics(node: Node) -> str:
    return f"{url_host(node.addresses[0])}:{AGENT_METRICS_PORT}"


def controller_log(state: State) -> pathlib.Path:
    return state.dir / "controller" / "controller.log"


def start_controller(state: State) -> Process:
    address = controller_address(state)
    command = netns.enter(state.wire.controller_netns) + [
        program("espalier-controller"),
        "--source", f"directory={state.manifests}",
        "--state-dir", str(state.dir / "controller" / "state"),
        "--listen", f"{url_host(address)}:{CONTROL_PORT}",
        "--metrics", controller_metrics(state),
        "--trust-domain", TRUST_DOMAIN,
        "--cert-lifetime", state.options["cert_lifetime"],
    ]
    for a in state.wire.controller:
        command += ["--controller-address", f"{url_host(a)}:{CONTROL_PORT}"]
    return start(state, "controller", command, controller_log(state))


def join_token(state: State, node: Node) -> None:
    """A fresh one-time token in the node's folder. The controller must know the Node."""
    path = state.node_dir(node.name) / "join-token"
    path.parent.mkdir(parents=True, exist_ok=True)
    token = netns.run(netns.enter(state.wire.controller_netns) + [
        program("espalier-controller"), "token", "--state-dir", str(state.dir / "controller" / "state"), "--node", node.name])
    path.touch(mode=0o600)
    path.write_text(token.strip() + "\n")


def agent_log(state: State, node: Node) -> pathlib.Path:
    return state.node_dir(node.name) / "agent.log"


def start_agent(state: State, node: Node) -> Process:
    folder = state.node_dir(node.name)
    command = netns.enter(node.netns) + [
        program("espalier-agent"),
        "--node", node.name,
        "--controller", f"{url_host(controller_address(state))}:{CONTROL_PORT}",
        "--bootstrap-ca", str(state.dir / "controller" / "state" / "trust-bundle.pem"),
        "--join-token-file", str(folder / "join-token"),
        "--state-dir", str(folder / "state"),
        "--socket", str(state.socket(node.name)),
        "--metrics", agent_metrics(node),
        "--trust-domain", TRUST_DOMAIN,
        "--datapath", state.options["datapath"],
        "--bpf-pin-dir", str(state.pin_dir(node.name)),
        "--device", "esp0",
    ]
    for a in node.addresses:
        command += ["--local-address", a]
    return start(state, node.name, command, agent_log(state, node))


def ctl(lab: State, node: Node) -> list[str]:
    """The beginning of an espalierctl command on this node; it asks the controller too where that says more."""
    return netns.enter(node.netns) + ["env", f"ESPALIER_CONTROLLER=http://{controller_metrics(lab)}",
                                      program("espalierctl"), "--socket", str(lab.socket(node.name))]


def wait_ready(state: State, key: str, namespace: str, address: str) -> None:
    """Until /readyz answers 200; else an error that tells what it said last and how the log ends."""
    process, said = state.processes[key], "nothing"
    what = "the controller" if key == "controller" else f"the agent of {key}"
    deadline = time.monotonic() + READY_SECONDS
    pause = 0.02
    while time.monotonic() < deadline:
        if not alive(process):
            raise LabError(f"{what} has ended before it was ready\n{tail(process.log)}")
        status, body = netns.http_get(namespace, f"http://{address}/readyz")
        if status == 200:
            return
        said = f"{status} {body.strip()}" if status else body
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)
    raise LabError(f"{what} was not ready within {READY_SECONDS} s; /readyz said: {said}\n{tail(process.log)}")


def wait_controller(state: State) -> None:
    wait_ready(state, "controller", state.wire.controller_netns, controller_metrics(state))


def wait_agent(state: State, node: Node) -> None:
    wait_ready(state, node.name, node.netns, agent_metrics(node))


def start_keeper(state: State) -> Process:
    return start(state, "keeper", [sys.executable, str(pathlib.Path(__file__).parent), "keep", "--name", state.name],
                 state.dir / "keeper.log")


def tail(log: str, lines: int = 15) -> str:
    try:
        text = pathlib.Path(log).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return f"{log}: not there"
    return "\n".join([f"--- the end of {log}:"] + text[-lines:])


def remove_pins(state: State, node: str) -> None:
    """The node's pinned BPF programs, links and maps. Programs whose only reference is the pin end with it."""
    shutil.rmtree(state.pin_dir(node), ignore_errors=True)
    with contextlib.suppress(OSError):
        state.pin_dir(node).parent.rmdir()
