"""What is on the wire: frames captured at the bridge's ports, sorted into ESP, IKE, pods' plaintext and the rest."""

import argparse
import contextlib
import ipaddress
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

import netns
from model import LabError
from state import State

IKE_PORT, NATT_PORT = 500, 4500
VXLAN_PORTS = (8472, 4789)
SNAPLEN = 192
LINUX_SLL2 = 276
FRAGMENT = "fragment"


@dataclass
class Packet:
    kind: str  # esp, ike, keepalive, plaintext, outside, fragment, other
    source: str = ""
    destination: str = ""
    detail: str = ""
    inside: str = ""  # "VXLAN", for what is in one
    octets: int = 0
    when: float = 0.0


@dataclass
class Counts:
    """plaintext: from pod to pod. outside: one end is a pod, the other neither pod nor behind a tunnel."""

    frames: int = 0
    octets: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    flows: dict[str, int] = field(default_factory=dict)  # plaintext's
    lost: int = 0  # frames that tcpdump could not keep up with
    pcap: str = ""

    def of(self, kind: str) -> int:
        return self.kinds.get(kind, 0)


class Sorter:
    """Says what an IP packet is, given the pods' networks."""

    def __init__(self, pod_cidrs: list[str]):
        self.networks = []
        for cidr in pod_cidrs:
            network = ipaddress.ip_network(cidr)
            size = network.max_prefixlen // 8
            self.networks.append((size, int(network.network_address), int(network.netmask)))

    def is_pod(self, address: bytes) -> bool:
        """The first address of a pod CIDR is the node's own (the VXLAN device's)."""
        number = int.from_bytes(address, "big")
        return any(size == len(address) and number & mask == base != number for size, base, mask in self.networks)

    def sort(self, packet: bytes) -> Packet:
        parsed = ip_header(packet)
        if parsed is None:
            return Packet("other", detail="not IP")
        source, destination, protocol, payload = parsed
        ends = ipaddress.ip_address(source).compressed, ipaddress.ip_address(destination).compressed
        if protocol == FRAGMENT:
            kind = self.by_ends(source, destination)
            return Packet(FRAGMENT if kind == "other" else kind, *ends, detail="fragment")
        ports = struct.unpack_from("!HH", payload) if protocol in (6, 17, 132) and len(payload) >= 4 else (0, 0)
        kind = self.by_ends(source, destination)
        if kind == "other":
            if protocol == 50:
                return Packet("esp", *ends, detail="ESP")
            if protocol == 17 and NATT_PORT in ports:
                return Packet(natt(payload[8:]), *ends, detail="UDP 4500")
            if protocol == 17 and IKE_PORT in ports:
                return Packet("ike", *ends, detail="UDP 500")
            if protocol == 17 and ports[1] in VXLAN_PORTS and len(payload) > 30:
                inner = self.sort(payload[8 + 8 + 14 :])  # UDP, VXLAN, Ethernet
                inner.inside = "VXLAN"
                return inner
        name = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}.get(protocol, f"protocol {protocol}")
        detail = f"{name} {ports[0]}>{ports[1]}" if protocol in (6, 17, 132) else name
        return Packet(kind, *ends, detail=detail)

    def by_ends(self, source: bytes, destination: bytes) -> str:
        pods = self.is_pod(source) + self.is_pod(destination)
        return ("other", "outside", "plaintext")[pods]


def natt(payload: bytes) -> str:
    """RFC 3948 section 2: four zero octets mark IKE, one octet 0xff is a keepalive, all else is ESP."""
    if payload[:4] == b"\0\0\0\0":
        return "ike"
    return "keepalive" if payload == b"\xff" else "esp"


def ip_header(packet: bytes):
    """(source, destination, protocol or FRAGMENT, payload), or None."""
    if len(packet) < 20:
        return None
    version = packet[0] >> 4
    if version == 4:
        length = (packet[0] & 15) * 4
        fragment = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
        return packet[12:16], packet[16:20], FRAGMENT if fragment else packet[9], packet[length:]
    if version == 6 and len(packet) >= 40:
        following, offset = packet[6], 40
        while following in (0, 43, 44, 60) and len(packet) >= offset + 8:
            if following == 44:
                if struct.unpack_from("!H", packet, offset + 2)[0] & 0xFFF8:
                    return packet[8:24], packet[24:40], FRAGMENT, b""
                following, offset = packet[offset], offset + 8
            else:
                following, offset = packet[offset], offset + 8 * (packet[offset + 1] + 1)
        return packet[8:24], packet[24:40], following, packet[offset:]
    return None


def read_pcap(path: str, skip_interface: int = 0):
    """(time, IP packet, length on the wire) of each frame of a LINUX_SLL2 capture."""
    with open(path, "rb") as file:
        header = file.read(24)
        if len(header) < 24:
            return
        magic, linktype = struct.unpack("<I", header[:4])[0], struct.unpack("<I", header[20:24])[0]
        if magic != 0xA1B2C3D4 or linktype != LINUX_SLL2:
            raise LabError(f"{path}: not a capture of LINUX_SLL2 in microseconds (magic {magic:#x}, link type {linktype})")
        while len(head := file.read(16)) == 16:
            seconds, micros, captured, length = struct.unpack("<IIII", head)
            data = file.read(captured)
            if len(data) < max(captured, 20):
                return  # the last one is still being written
            protocol, _, interface = struct.unpack_from("!HHI", data)
            if interface == skip_interface or protocol not in (0x0800, 0x86DD):
                continue
            yield seconds + micros / 1e6, data[20:], length - 20


class Capture:
    """tcpdump at the bridge's ports from `with` to its end; what a port sends into the wire, once.

    `only` is a pcap filter. Everything is in `counts` and `packets` (the first `keep` of each kind) after the end."""

    def __init__(self, lab: State, only: str = "", keep: int = 5, write: str | None = None):
        self.lab, self.only, self.keep = lab, only, keep
        self.own = write is None
        self.path = write or tempfile.mktemp(prefix="wire-", suffix=".pcap", dir=lab.dir)
        self.counts = Counts()
        self.packets: dict[str, list[Packet]] = {}

    def __enter__(self) -> "Capture":
        command = netns.enter(self.lab.wire.netns) + [
            "tcpdump", "-i", "any", "-Q", "in", "-y", "LINUX_SLL2", "-n", "-s", str(SNAPLEN), "-B", "65536",
            "--immediate-mode", "-U", "-Z", "root", "-w", self.path] + ([self.only] if self.only else [])
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on" in line:
                return self
        raise LabError(f"tcpdump did not start: {' '.join(command)}")

    def __exit__(self, *_) -> None:
        size = -1  # what was just sent is still on its way through tcpdump's buffer
        while size != (size := os.path.getsize(self.path)):
            time.sleep(0.15)
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate()
        lost = re.search(r"(\d+) packets? dropped by kernel", said)
        self.counts.lost = int(lost.group(1)) if lost else 0
        self.read()
        if self.own:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def read(self) -> None:
        sorter = Sorter([c for n in self.lab.nodes for c in n.pod_cidrs])
        for when, data, length in read_pcap(self.path, bridge_index(self.lab)):
            packet = sorter.sort(data)
            packet.when, packet.octets = when, length
            self.counts.frames += 1
            self.counts.octets += length
            self.counts.kinds[packet.kind] = self.counts.kinds.get(packet.kind, 0) + 1
            if len(kept := self.packets.setdefault(packet.kind, [])) < self.keep:
                kept.append(packet)
            if packet.kind in ("plaintext", "outside"):
                flow = f"{packet.source} > {packet.destination} {packet.detail}" + (f" in {packet.inside}" if packet.inside else "")
                if flow in self.counts.flows or len(self.counts.flows) < 100:
                    self.counts.flows[flow] = self.counts.flows.get(flow, 0) + 1
        self.counts.pcap = "" if self.own else self.path


def bridge_index(lab: State) -> int:
    """Frames for the outside host are seen at the port and again at the bridge."""
    with netns.inside(lab.wire.netns):
        return socket.if_nametoindex(lab.wire.bridge)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", metavar="FILE", help="keep the capture (192 octets of each frame)")
    parser.add_argument("-o", dest="output", choices=("json", "table"), default="table")


def command(lab: State, args: argparse.Namespace) -> int:
    write = str(pathlib.Path(os.environ.get("ESPALIER_CALLER_DIR", "."), args.write)) if args.write else None
    with Capture(lab, write=write) as capture:
        time.sleep(args.seconds)
    counts = capture.counts
    if args.output == "json":
        print(json.dumps(vars(counts), indent=2))
    else:
        print(describe(counts))
    return 0


def describe(counts: Counts) -> str:
    lines = [f"{counts.frames} packets, {counts.octets} octets" + (f" ({counts.lost} more not captured)" if counts.lost else "")]
    words = (("esp", "ESP (UDP 4500)"), ("ike", "IKE"), ("keepalive", "NAT keepalive"), ("plaintext", "plaintext of pods"),
             ("outside", "pods with the outside"), ("fragment", "later fragments"), ("other", "other"))
    for kind, text in words:
        if counts.of(kind) or kind in ("esp", "ike", "plaintext"):
            lines.append(f"  {text:24} {counts.of(kind):8}")
    lines += [f"    {flow}: {n}" for flow, n in sorted(counts.flows.items(), key=lambda x: -x[1])[:10]]
    return "\n".join(lines)
