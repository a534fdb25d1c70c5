"""The demo's steps. Every number and name that is printed comes from the running labs."""

import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab.d"))

import capture  # noqa: E402
import lab as labs  # noqa: E402
import netns  # noqa: E402
import processes  # noqa: E402
import state as states  # noqa: E402
from model import LabError, url_host  # noqa: E402

TRAFFIC = str(HERE.parent / "lab.d" / "traffic.py")
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
IPERF_SECONDS = 3
steps = 0
wrong: list[str] = []


def step(title: str) -> None:
    global steps
    steps += 1
    print(f"\n{BOLD}{steps}. {title}{PLAIN}", flush=True)


def show(text: str = "", indent: int = 2) -> None:
    for line in text.splitlines() or [""]:
        print((" " * indent + line).rstrip(), flush=True)


def must(condition: bool, what: str) -> str:
    """A mark for what was seen; what should not be is told again at the end."""
    if not condition:
        wrong.append(what)
    return f"{GREEN}ok{PLAIN}" if condition else f"{RED}WRONG{PLAIN}"


class Cluster:
    """A lab of the demo, with servers in its pods."""

    def __init__(self, name: str, unencrypted: bool):
        folder = states.ROOT / f"{name}.manifests"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / "manifests", folder)
        options = {"nodes": 3, "pods": 2, "manifests": str(folder), "datapath": "auto", "network": "routed",
                   "family": "dual", "unencrypted": unencrypted, "cert_lifetime": "24h"}
        with states.locked(name):
            self.lab = labs.up(name, options)
        for pod, port in (("api-1", 8080), ("api-2", 8080), ("db", 5432), ("web", 9100)):
            self.start(pod, [sys.executable, TRAFFIC, "serve", str(port), pod])
        for pod, port in (("api-1", 8080), ("api-2", 8080), ("db", 5432), ("web", 9100)):
            self.wait_listening(pod, port)

    def start(self, pod: str, command: list[str]) -> None:
        subprocess.Popen(netns.enter(self.lab.pod(pod).netns) + command, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def wait_listening(self, pod: str, port: int) -> None:
        command = ["ss", "-Hltn", f"sport = :{port}"]
        deadline = time.monotonic() + 10
        while not self.run(pod, command).stdout.strip():
            if time.monotonic() > deadline:
                raise LabError(f"nothing listens on port {port} of {pod}")
            time.sleep(0.02)

    def run(self, pod: str, command: list[str]) -> subprocess.CompletedProcess:
        return subprocess.run(netns.enter(self.lab.pod(pod).netns) + command, capture_output=True, text=True, timeout=60)

    def traffic(self, pod: str, *arguments: str) -> dict:
        done = self.run(pod, [sys.executable, TRAFFIC, *arguments])
        if done.returncode != 0:
            raise LabError(f"traffic.py {' '.join(arguments)} in {pod}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def address(self, pod: str, family: int = 4) -> str:
        return next(a for a in self.lab.pod(pod).addresses if (":" in a) == (family == 6))

    def ctl(self, node: str, *arguments: str) -> str:
        done = subprocess.run(processes.ctl(self.lab, self.lab.node(node)) + list(arguments), capture_output=True, text=True, timeout=30)
        return (done.stdout + done.stderr).rstrip()

    def ping(self, pod: str, address: str, count: int = 10) -> list[float]:
        done = self.run(pod, ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", "1", address])
        return [float(t) for t in re.findall(r"time=([\d.]+)", done.stdout)]


def service_ip(cluster: Cluster, family: int) -> str:
    spec = labs.current_services(cluster.lab)[0]["spec"]
    return next(a for a in spec["clusterIPs"] if (":" in a) == (family == 6))


def talk(cluster: Cluster, tell: bool) -> capture.Capture:
    """Pods of different nodes talk while the wire is captured."""
    say = show if tell else (lambda *_: None)
    with capture.Capture(cluster.lab) as wire:
        for family, pod in ((4, "api-1"), (6, "api-2")):
            address = cluster.address(pod, family)
            times = cluster.ping("web", address)
            if not times:
                say(f"ping   web > {pod:5} ({address}): no answer {must(False, f'ping web > {pod}')}")
                continue
            say(f"ping   web > {pod:5} ({address}): {len(times)} of 10 answered, the first after {times[0]:.2f} ms, "
                f"then {statistics.median(times[1:] or times):.2f} ms {must(len(times) == 10, f'ping web > {pod}')}")
        for family in (4, 6):
            got = cluster.traffic("cart", "tcp", cluster.address("api-2", family), "8080", "--bytes", "20000000")
            say(f"TCP    cart > api-2 (IPv{family}): {got.get('bytes', 0) / 1e6:.0f} MB there and back, compared octet by octet "
                f"{must(got['ok'], f'TCP IPv{family}: ' + got.get('error', 'octets differ'))}")
            got = cluster.traffic("cart", "udp", cluster.address("api-1", family), "8080", "--count", "1000", "--rate", "2000", "--size", "1200")
            say(f"UDP    cart > api-1 (IPv{family}): {got['sent']} datagrams sent, {got['received']} came back "
                f"{must(got['lost'] == 0, f'UDP IPv{family}')}")
            answers: dict[str, int] = {}
            for _ in range(12):
                got = cluster.traffic("web", "tcp", service_ip(cluster, family), "80", "--bytes", "1000")
                answers[got.get("server", got.get("error", "?"))] = answers.get(got.get("server", got.get("error", "?")), 0) + 1
            say(f"Service web > api ({url_host(service_ip(cluster, family))}:80): 12 connections, answered by "
                f"{', '.join(f'{k} {v} times' for k, v in sorted(answers.items()))} "
                f"{must(set(answers) <= {'api-1', 'api-2'}, f'Service IPv{family}')}")
    return wire


def on_the_wire(wire: capture.Capture) -> None:
    counts = wire.counts
    rows = [("ESP (in UDP 4500)", counts.of("esp")), ("IKE", counts.of("ike")), ("plaintext of pods", counts.of("plaintext")),
            ("other (control plane, neighbours)", counts.frames - counts.of("esp") - counts.of("ike") - counts.of("plaintext"))]
    for text, number in rows:
        show(f"{text:34} {number:7} packets")
    if counts.lost:
        show(f"{DIM}tcpdump could not keep up with {counts.lost} more{PLAIN}")


def mark(wire: capture.Capture) -> None:
    for kind in ("ike", "esp", "plaintext"):
        for packet in wire.packets.get(kind, [])[:2]:
            inside = f" in {packet.inside}" if packet.inside else ""
            show(f"{DIM}{kind:9} {packet.source} > {packet.destination} {packet.detail}{inside}, {packet.octets} octets{PLAIN}")


def throughput(clusters: dict[str, Cluster]) -> None:
    """iperf3 between web and api-1, one after the other in each cluster."""
    results: dict[str, dict[str, float]] = {}
    for label, streams in (("TCP, 1 stream", 1), ("TCP, 4 streams", 4)):
        for name, cluster in clusters.items():
            cluster.start("api-1", ["iperf3", "-s", "-1", "-p", "5201"])
            cluster.wait_listening("api-1", 5201)
            done = cluster.run("web", ["iperf3", "-J", "-c", cluster.address("api-1"), "-p", "5201", "-t", str(IPERF_SECONDS), "-P", str(streams)])
            report = json.loads(done.stdout)
            if "error" in report:
                must(False, f"iperf3 {label} {name}: {report['error']}")
            results.setdefault(label, {})[name] = report.get("end", {}).get("sum_received", {}).get("bits_per_second", 0.0)
    for name, cluster in clusters.items():
        times = cluster.ping("web", cluster.address("api-1"), 40)
        results.setdefault("ping, median", {})[name] = statistics.median(times) if times else float("nan")
    show(f"{'':16} " + " ".join(f"{n:>14}" for n in clusters))
    for label, row in results.items():
        unit = "ms" if "ping" in label else "Gbit/s"
        show(f"{label:16} " + " ".join(f"{(row[n] if unit == 'ms' else row[n] / 1e9):8.3f} {unit:5}" for n in clusters))


def try_and_explain(cluster: Cluster) -> None:
    flows = [("web", "api-1", 8080, "esp"), ("metrics", "web", 9100, "plaintext"), ("web", "db", 5432, None)]
    for source, destination, port, expected in flows:
        show(f"{BOLD}shop/{source} to shop/{destination}:{port}{PLAIN}")
        node = cluster.lab.pod(source).node
        show(cluster.ctl(node, "explain", f"shop/{source}", f"shop/{destination}:{port}"), 4)
        with capture.Capture(cluster.lab) as wire:
            got = cluster.traffic(source, "tcp", cluster.address(destination), str(port), "--bytes", "100000", "--timeout", "1.5")
        seen = f"{wire.counts.of('esp')} packets of ESP and {wire.counts.of('plaintext')} of plaintext on the wire"
        said = "connected" if got["ok"] else f"not connected ({got.get('error')})"
        right = got["ok"] == (expected is not None) and bool(wire.counts.of("plaintext")) == (expected == "plaintext")
        show(f"tried: {said}; {seen} {must(right, f'{source} > {destination}:{port}')}", 4)
    show(f"{BOLD}What no policy can cut off (espalierctl exemptions){PLAIN}")
    show(cluster.ctl("n1", "exemptions"), 4)


METRICS = re.compile(r"^espalier_\w*(packets|bytes|peers?|sas?|policies|drops?|certificate|rekeys?|streams?|nodes)\w*")


def metrics(cluster: Cluster) -> None:
    places = [("agent of n1", cluster.lab.node("n1").netns, processes.agent_metrics(cluster.lab.node("n1"))),
              ("controller", cluster.lab.wire.controller_netns, processes.controller_metrics(cluster.lab))]
    for what, namespace, address in places:
        status, body = netns.http_get(namespace, f"http://{address}/metrics")
        series = [line for line in body.splitlines() if line.startswith("espalier_")]
        show(f"{BOLD}{what}: http://{address}/metrics{PLAIN}, {len(series)} series of {len({s.split('{')[0].split(' ')[0] for s in series})} metrics, for instance")
        must(status == 200 and bool(series), f"metrics of the {what}")
        chosen: dict[str, str] = {}
        for line in series:
            name = re.split(r"[{ ]", line)[0]
            if METRICS.match(name) and "_bucket" not in name and float(line.rsplit(" ", 1)[1]) != 0:
                chosen.setdefault(name, line)
        for line in list(chosen.values())[:12]:
            show(line, 4)


def next_steps(cluster: Cluster) -> None:
    folder = cluster.lab.manifests
    show(f"""\
The cluster is up. Try:
  $EDITOR {folder}/policy.yaml
      change an action (Bypass, Deny), save, and look at the wire: it is in force at once
  deploy/lab capture --name demo --seconds 10
  deploy/lab exec --name demo shop/web -- ping {cluster.address('api-1')}
  deploy/lab ctl --name demo n1 -- status          (or nodes, peers, sas, policies, exemptions; -o json)
  deploy/lab ctl --name demo n1 -- explain shop/web shop/db:5432
  deploy/lab restart --name demo n2                kill -9 of an agent while something talks
  deploy/lab kill --name demo controller           the mesh goes on without it
  deploy/lab add-node --name demo
  deploy/lab info --name demo
  deploy/demo down                                 leaves nothing behind""")


def main() -> int:
    step("A cluster: a controller, three nodes, two pods on each")
    cluster = Cluster("demo", unencrypted=False)
    for node in cluster.lab.nodes:
        pods = [p for p in cluster.lab.pods if p.node == node.name]
        show(f"{node.name} {node.addresses[0]:12} " + ", ".join(f"{p.key} ({p.addresses[0]})" for p in pods))
    step("Each node has a certificate of its own (espalierctl nodes)")
    show(cluster.ctl("n1", "nodes"))
    step(f"What is to be encrypted ({cluster.lab.manifests}/policy.yaml)")
    show(pathlib.Path(cluster.lab.manifests, "policy.yaml").read_text())
    show(cluster.ctl("n1", "policies"))
    step("Pods of different nodes talk")
    wire = talk(cluster, tell=True)
    step("What was on the wire meanwhile")
    on_the_wire(wire)
    mark(wire)
    show(f"plaintext of pods: {BOLD}{wire.counts.of('plaintext')}{PLAIN} packets "
         + must(wire.counts.of("plaintext") == 0 and wire.counts.of("esp") > 0 and wire.counts.of("ike") > 0, "the capture"))
    step("The same pods, the same traffic, without Espalier")
    plain = Cluster("demo-plain", unencrypted=True)
    wire = talk(plain, tell=False)
    on_the_wire(wire)
    mark(wire)
    step(f"Throughput between web and api-1, {IPERF_SECONDS} s each (iperf3), and latency")
    throughput({"encrypted": cluster, "unencrypted": plain})
    with states.locked("demo-plain") as lock:
        labs.down("demo-plain")
        lock.unlink()
    shutil.rmtree(states.ROOT / "demo-plain.manifests", ignore_errors=True)
    step("Why a flow gets what it gets (espalierctl explain), and the flow itself")
    try_and_explain(cluster)
    step("Tunnels and their keys (espalierctl peers, sas)")
    show(cluster.ctl("n1", "peers"))
    show()
    show(cluster.ctl("n1", "sas"))
    step("Metrics")
    metrics(cluster)
    step("What next")
    next_steps(cluster)
    if wrong:
        print(f"\n{RED}Not as it should be:{PLAIN} " + "; ".join(wrong), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"deploy/demo: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
