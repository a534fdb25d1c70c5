"""What the end-to-end tests share: a lab for each class, servers in its pods, captures, polling with a deadline."""

import json
import pathlib
import re
import subprocess
import sys
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "deploy" / "lab.d"))

import capture  # noqa: E402
import lab as labs  # noqa: E402
import manifests  # noqa: E402
import netns  # noqa: E402
import processes  # noqa: E402
import state as states  # noqa: E402

TRAFFIC = str(TREE / "deploy" / "lab.d" / "traffic.py")
PORT = 8080
DEFAULTS = {"nodes": 3, "pods": 2, "manifests": None, "datapath": "auto", "network": "routed", "family": "dual",
            "unencrypted": False, "cert_lifetime": "24h"}

REQUIRE = manifests.DEFAULT_POLICY


def policy(rules: list[dict] | None = None, action: str | None = None, name: str = "encrypt-pods", **spec) -> str:
    """A ClusterEncryptionPolicy as YAML (JSON is YAML)."""
    body = {**spec, **({"rules": rules} if rules else {}), **({"action": action} if action else {})}
    return json.dumps({"apiVersion": "espalier.io/v1alpha1", "kind": "ClusterEncryptionPolicy", "metadata": {"name": name}, "spec": body}) + "\n"


def profile(**spec) -> str:
    return json.dumps({"apiVersion": "espalier.io/v1alpha1", "kind": "EncryptionProfile", "metadata": {"name": "default"}, "spec": spec}) + "\n"


class Background:
    """A command in a pod that runs meanwhile; `result()` ends it if need be and gives what it printed."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def stop(self) -> dict:
        self.process.terminate()
        return self.result()

    def result(self, timeout: float = 60) -> dict:
        out, err = self.process.communicate(timeout=timeout)
        if not out.strip():
            raise AssertionError(f"{self.process.args}: no result: {err.strip()}")
        return json.loads(out)


class LabTest(unittest.TestCase):
    """One lab for the class. `options` are those of `deploy/lab up`; `policy_text` is the policy at its start."""

    options: dict = {}
    policy_text = REQUIRE
    servers = True
    name = ""

    @classmethod
    def setUpClass(cls) -> None:
        cls.name = "e2e-" + re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()[:16].strip("-")
        with states.locked(cls.name):
            labs.down(cls.name)
        cls.addClassCleanup(cls.take_down)
        cls.folder = states.ROOT / f"{cls.name}.manifests"
        cls.folder.mkdir(parents=True, exist_ok=True)
        cls.write("policy.yaml", cls.policy_text)
        with states.locked(cls.name):
            labs.up(cls.name, {**DEFAULTS, "manifests": str(cls.folder), **cls.options})
        if cls.servers:
            for pod in cls.lab().pods:
                if pod.labels.get("app") == "server":
                    cls.serve(pod.name)

    @classmethod
    def take_down(cls) -> None:
        if failed_since(cls):
            cls.tell_logs()
        with states.locked(cls.name) as lock:
            labs.down(cls.name)
            lock.unlink()
        for path in cls.folder.iterdir() if cls.folder.exists() else ():
            path.unlink()
        if cls.folder.exists():
            cls.folder.rmdir()

    @classmethod
    def tell_logs(cls) -> None:
        lab = states.load(cls.name)
        for process in lab.processes.values() if lab else ():
            print(processes.tail(process.log, 12), file=sys.stderr)

    @classmethod
    def lab(cls) -> states.State:
        return states.must_load(cls.name)

    # -- manifests

    @classmethod
    def write(cls, file: str, text: str) -> None:
        manifests.replace(cls.folder / file, text)

    @classmethod
    def remove(cls, file: str) -> None:
        (cls.folder / file).unlink(missing_ok=True)

    # -- pods

    @classmethod
    def serve(cls, pod: str, port: int = PORT) -> None:
        command = netns.enter(cls.lab().pod(pod).netns)
        server = subprocess.Popen(command + [sys.executable, TRAFFIC, "serve", str(port), pod], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.kill)
        listening = command + ["ss", "-Hln", f"sport = :{port}"]
        wait_until(lambda: "udp" in (out := netns.run(listening)) and "tcp" in out, 10, f"{pod} listens on {port}")

    def address(self, pod: str, family: int = 4) -> str:
        return next(a for a in self.lab().pod(pod).addresses if (":" in a) == (family == 6))

    def families(self) -> list[int]:
        return list(self.lab().options["families"])

    def run_in(self, pod: str, *command: str, timeout: float = 60) -> subprocess.CompletedProcess:
        return subprocess.run(netns.enter(self.lab().pod(pod).netns) + list(command), capture_output=True, text=True, timeout=timeout)

    def background(self, pod: str, *arguments: str) -> Background:
        run = Background(netns.enter(self.lab().pod(pod).netns) + [sys.executable, TRAFFIC, *arguments])
        self.addCleanup(lambda: run.process.poll() is None and run.process.kill())
        return run

    def traffic(self, pod: str, *arguments: str) -> dict:
        return self.background(pod, *arguments).result()

    def tcp(self, pod: str, address: str, port: int = PORT, octets: int = 200_000, timeout: float = 10) -> dict:
        return self.traffic(pod, "tcp", address, str(port), "--bytes", str(octets), "--timeout", str(timeout))

    def udp(self, pod: str, address: str, port: int = PORT, count: int = 50, **options) -> dict:
        extra = [x for k, v in options.items() for x in (f"--{k}", str(v))]
        return self.traffic(pod, "udp", address, str(port), "--count", str(count), *extra)

    def ping(self, pod: str, address: str, count: int = 3) -> int:
        done = self.run_in(pod, "ping", "-n", "-c", str(count), "-i", "0.1", "-W", "2", address)
        return len(re.findall(r"time=", done.stdout))

    def assert_talks(self, pod: str, address: str, port: int = PORT) -> None:
        got = self.tcp(pod, address, port)
        self.assertTrue(got["ok"], f"TCP {pod} > {address}:{port}: {got}")
        got = self.udp(pod, address, port)
        self.assertEqual(got["lost"], 0, f"UDP {pod} > {address}:{port}: {got}")

    # -- the wire

    def watch(self, everything: bool = True) -> capture.Capture:
        """Without `everything`: only what could be a leak, so that tcpdump keeps up with any load."""
        return capture.Capture(self.lab(), only="" if everything else leak_filter(self.lab()))

    def assert_no_plaintext(self, wire: capture.Capture) -> None:
        counts = wire.counts
        self.assertEqual(counts.lost, 0, "tcpdump lost frames: nothing can be said")
        self.assertEqual(counts.of("plaintext"), 0, f"plaintext of pods on the wire: {counts.flows}")

    # -- Espalier

    @classmethod
    def ctl(cls, node: str, *arguments: str) -> subprocess.CompletedProcess:
        lab = cls.lab()
        return subprocess.run(processes.ctl(lab, lab.node(node)) + list(arguments), capture_output=True, text=True, timeout=30)

    @classmethod
    def ctl_json(cls, node: str, *arguments: str) -> dict:
        """What the agent itself says (without the controller's part)."""
        done = cls.ctl(node, "--controller", "", *arguments, "-o", "json")
        if done.returncode != 0 and not done.stdout.startswith("{"):
            raise AssertionError(f"espalierctl {' '.join(arguments)} on {node}: {done.stderr.strip() or done.stdout.strip()}")
        return json.loads(done.stdout)

    @classmethod
    def sas(cls, node: str) -> list[dict]:
        return cls.ctl_json(node, "sas").get("sas", [])

    @classmethod
    def metrics(cls, where: str) -> dict[str, float]:
        lab = cls.lab()
        if where == "controller":
            namespace, address = lab.wire.controller_netns, processes.controller_metrics(lab)
        else:
            namespace, address = lab.node(where).netns, processes.agent_metrics(lab.node(where))
        status, body = netns.http_get(namespace, f"http://{address}/metrics", timeout=5)
        if status != 200:
            raise AssertionError(f"metrics of {where}: {status} {body}")
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in body.splitlines() if line and line[0] != "#"}

    @classmethod
    def drops(cls, node: str) -> int:
        return sum(int(v) for v in cls.ctl_json(node, "status").get("drops", {}).values())

    @classmethod
    def change(cls, what: str, *arguments) -> object:
        """One of lab.py's changes: add_node, remove_node, kill, start."""
        with states.locked(cls.name):
            return getattr(labs, what)(cls.lab(), *arguments)

    @classmethod
    def restart(cls, which: str, graceful: bool = False) -> None:
        with states.locked(cls.name):
            lab = cls.lab()
            labs.kill(lab, which, graceful)
            labs.start(lab, which)

    def wait_verdict(self, node: str, source: str, destination: str, verdict: str) -> None:
        """Until `explain` says so on this node."""
        wait_until(lambda: self.ctl_json(node, "explain", source, destination).get("verdict") == verdict, 10,
                   f"{source} > {destination} is {verdict} on {node}")


failures: set[str] = set()


def failed_since(cls) -> bool:
    return cls.__name__ in failures


def leak_filter(lab: states.State) -> str:
    nets = " or ".join(f"net {c}" for n in lab.nodes for c in n.pod_cidrs)
    return f"{nets} or udp port 8472"


def wait_until(condition, seconds: float, what: str):
    """Polls; the error says what was waited for and how the last try went wrong."""
    deadline = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if result := condition():
                return result
        except (AssertionError, json.JSONDecodeError, subprocess.TimeoutExpired) as error:
            last = f" ({error})"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}{last}")
        time.sleep(0.02)


def said(text: str) -> None:
    """A measured value, for whoever reads the run."""
    print(f"    {text}", file=sys.stderr, flush=True)


