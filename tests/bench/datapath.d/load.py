"""Loads and measurements between two network namespaces. Knows nothing of how the two are joined.

An End is where a load runs: a namespace and the address that packets come from or go to.
"""
import json
import os
import pathlib
import re
import statistics
import subprocess
import time
from dataclasses import dataclass

PORT = 7100
# Packets a second that are tried, in this order, until one loses more than LOSS.
RATES = (25, 50, 75, 100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800, 1000)
LOSS = 0.001
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class End:
    netns: str
    address: str

    def command(self, *args) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *map(str, args)]


class Processes:
    """CPU seconds that some processes have used between start and stop."""

    def __init__(self, pids: list[int]):
        self.pids, self.used = pids, 0.0

    def _now(self) -> float:
        total = 0
        for pid in self.pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def __enter__(self):
        self.began = self._now()
        return self

    def __exit__(self, *_):
        self.used = self._now() - self.began


def tcp(client: End, server: End, streams: int, seconds: int, pids: list[int], reverse: bool = False) -> dict:
    """{"gbit": goodput, "cpu": CPU seconds of pids for each second, "cpu_per_gbit"}"""
    listener = subprocess.Popen(server.command("iperf3", "-s", "-1", "-B", server.address), stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if b":5201" in subprocess.run(server.command("ss", "-ltn"), capture_output=True).stdout:
                break
            time.sleep(0.02)
        with Processes(pids) as cpu:
            done = subprocess.run(
                client.command("iperf3", "-c", server.address, "-B", client.address, "-P", streams, "-t", seconds, "-J",
                               *(["-R"] if reverse else [])), capture_output=True, text=True, timeout=seconds + 30)
        report = json.loads(done.stdout)
        if "error" in report:
            raise RuntimeError(f"iperf3: {report['error']}")
        gbit = report["end"]["sum_received"]["bits_per_second"] / 1e9
        busy = cpu.used / seconds
        return {"gbit": gbit, "cpu": busy, "cpu_per_gbit": busy / gbit}
    finally:
        listener.kill()
        listener.wait()


def udp_once(program: str, client: End, server: End, size: int, rate: int, seconds: int) -> float:
    """The part of the packets that is lost. The sender's own inability counts as loss."""
    receiver = subprocess.Popen(server.command(program, "receive", server.address, PORT), stdout=subprocess.PIPE, text=True)
    try:
        receiver.stdout.readline()
        done = subprocess.run(client.command(program, "send", client.address, server.address, PORT, size, rate, seconds),
                              capture_output=True, text=True, timeout=seconds + 30)
        wanted = int(re.search(r"wanted (\d+)", done.stdout).group(1))
        received = int(re.search(r"received (\d+)", receiver.stdout.read()).group(1))
        return max(0.0, 1 - received / wanted)
    finally:
        receiver.kill()
        receiver.wait()


def udp_lossless(program: str, client: End, server: End, size: int, seconds: int) -> float:
    """The highest of RATES (in thousands a second) at which no more than LOSS of the packets are lost, two tries each."""
    best = 0
    for rate in RATES:
        if min(udp_once(program, client, server, size, rate * 1000, seconds) for _ in range(2)) > LOSS:
            break
        best = rate
    return best


def ping(client: End, server: End, count: int = 200) -> float:
    """Median round trip in ms, nothing else going on."""
    done = subprocess.run(client.command("ping", "-n", "-i", "0.01", "-c", count, "-I", client.address, server.address),
                          capture_output=True, text=True, timeout=60)
    times = [float(t) for t in re.findall(r"time=([\d.]+)", done.stdout)]
    if len(times) < count * 0.9:
        raise RuntimeError(f"ping: {len(times)} of {count} answers")
    return statistics.median(times)
