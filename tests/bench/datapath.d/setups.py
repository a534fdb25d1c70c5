"""Two network namespaces joined by a wire, and the ways in which their pods' packets cross it."""
import os
import pathlib
import socket
import subprocess
import time

from load import End

OUTER = {"a": ("192.0.2.1", "2001:db8::1"), "b": ("192.0.2.2", "2001:db8::2")}
PODS = {"a": ("10.244.1.2", "fd00:1::2"), "b": ("10.244.2.2", "fd00:2::2")}
PREFIXES = {"a": ("10.244.1.0/24", "fd00:1::/64"), "b": ("10.244.2.0/24", "fd00:2::/64")}
OTHER = {"a": "b", "b": "a"}


def run(*args, check=True, **kw) -> subprocess.CompletedProcess:
    return subprocess.run([str(a) for a in args], check=check, capture_output=True, text=True, **kw)


class Wire:
    """The namespaces, with pod addresses on lo. Removed by close()."""

    def __init__(self):
        self.netns = {s: f"bench-{os.getpid()}-{s}" for s in "ab"}
        for s, ns in self.netns.items():
            run("ip", "netns", "add", ns)
            run("ip", "-n", ns, "link", "set", "lo", "up")
        run("ip", "-n", self.netns["a"], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", self.netns["b"])
        for s, ns in self.netns.items():
            run("ip", "-n", ns, "addr", "add", OUTER[s][0] + "/24", "dev", "wire")
            run("ip", "-n", ns, "addr", "add", OUTER[s][1] + "/64", "dev", "wire", "nodad")
            run("ip", "-n", ns, "link", "set", "wire", "up")
            run("ip", "-n", ns, "addr", "add", PODS[s][0] + "/32", "dev", "lo")
            run("ip", "-n", ns, "addr", "add", PODS[s][1] + "/128", "dev", "lo", "nodad")

    def end(self, side: str, v6: bool) -> End:
        return End(self.netns[side], PODS[side][v6])

    def route(self, device: dict[str, str] | None):
        """Sends pods' packets by a device, or (None) straight over the wire."""
        for s, ns in self.netns.items():
            for v6 in (False, True):
                via = ["dev", device[s]] if device else ["via", OUTER[OTHER[s]][v6], "dev", "wire"]
                run("ip", "-n", ns, "-6" if v6 else "-4", "route", "replace", PREFIXES[OTHER[s]][v6], *via, "src", PODS[s][v6])

    def offloads(self, on: bool):
        for ns in self.netns.values():
            run("ip", "netns", "exec", ns, "ethtool", "-K", "wire", *sum(([k, "on" if on else "off"] for k in
                ("tso", "gso", "gro", "tx-udp-segmentation")), []), check=False)

    def close(self):
        for ns in self.netns.values():
            run("ip", "netns", "del", ns, check=False)


class Plain:
    """No tunnel. Without offloads: every packet on its own, as on a wire that leaves."""

    def __init__(self, wire: Wire, offloads: bool):
        self.wire, self.offloads, self.pids = wire, offloads, []
        self.name = "plain, offloads" if offloads else "plain, no offloads"

    def use(self):
        self.wire.route(None)
        self.wire.offloads(self.offloads)

    def close(self):
        pass


class Espalier:
    """The userspace datapath with static keys."""
    name = "espalier"

    def __init__(self, wire: Wire, program: str, outer_v6: bool = False):
        self.wire, self.processes = wire, []
        for s, ns in wire.netns.items():
            o = OTHER[s]
            p = subprocess.Popen(["ip", "netns", "exec", ns, program, "1" if s == "a" else "2", OUTER[s][outer_v6],
                                  OUTER[o][outer_v6], ",".join(PREFIXES[s]), ",".join(PREFIXES[o])],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes.append(p)
            if p.stdout.readline().strip() != "ready":
                raise RuntimeError("datapath_node did not start")

    @property
    def pids(self):
        return [p.pid for p in self.processes]

    def use(self):
        self.wire.offloads(True)
        self.wire.route({"a": "esp0", "b": "esp0"})

    def close(self):
        """Ends both; returns their last words."""
        said = []
        for p in self.processes:
            p.stdin.close()
            said.append(p.stdout.read())
            p.wait(timeout=10)
        return said


class WireGuardGo:
    """wireguard-go in userspace, as people run it (MTU 1420)."""
    name = "wireguard-go"

    def __init__(self, wire: Wire, program: str):
        self.wire, self.processes = wire, []
        self.devices = {s: f"wg{os.getpid()}{s}"[:15] for s in "ab"}
        keys = {s: self._key() for s in "ab"}
        for s, ns in wire.netns.items():
            self.processes.append(subprocess.Popen(["ip", "netns", "exec", ns, program, "-f", self.devices[s]],
                                                   env=dict(os.environ, LOG_LEVEL="error"), stderr=subprocess.DEVNULL))
        for s, ns in wire.netns.items():
            o = OTHER[s]
            self._configure(self.devices[s], f"private_key={keys[s][0].hex()}\nlisten_port=51820\npublic_key={keys[o][1].hex()}\n"
                            f"endpoint={OUTER[o][0]}:51820\nreplace_allowed_ips=true\n"
                            + "".join(f"allowed_ip={p}\n" for p in PREFIXES[o]))
            run("ip", "-n", ns, "link", "set", self.devices[s], "mtu", 1420, "up")

    @staticmethod
    def _key() -> tuple[bytes, bytes]:
        private = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER"], check=True, capture_output=True).stdout
        public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=private, check=True,
                                capture_output=True).stdout
        return private[-32:], public[-32:]

    @staticmethod
    def _configure(device: str, text: str):
        path = pathlib.Path(f"/var/run/wireguard/{device}.sock")
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.02)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(f"set=1\n{text}\n".encode())
            answer = s.recv(1000).decode()
        if "errno=0" not in answer:
            raise RuntimeError(f"wireguard-go refused its configuration: {answer}")

    @property
    def pids(self):
        return [p.pid for p in self.processes]

    def use(self):
        self.wire.offloads(True)
        self.wire.route(self.devices)

    def close(self):
        for p in self.processes:
            p.terminate()
            p.wait(timeout=10)
