"""What somebody on the wire can try."""

import json
import os
import socket
import subprocess
import time

from scapy.all import ICMP, IP, TCP, UDP, Ether, IPv6, Raw
from scapy.layers.vxlan import VXLAN

from harness import LabTest, capture, netns, wait_until


class Attacks(LabTest):
    """The attacker is on the bridge, with any address it likes."""

    def send(self, victim: str, packets: list, repeat: int = 1) -> None:
        """Frames to a node's port, from the wire."""
        node = self.lab().node(victim)
        with netns.inside(self.lab().wire.netns):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((node.port, 0))
        with s:
            mac = self.mac(node)
            for _ in range(repeat):
                for packet in packets:
                    s.send(bytes(Ether(dst=mac, src="02:00:00:00:00:66", type=0x86DD if packet.version == 6 else 0x800) / packet))

    @staticmethod
    def mac(node) -> str:
        return json.loads(netns.run(netns.enter(node.netns) + ["ip", "-j", "link", "show", "eth0"]))[0]["address"]

    def seen_in(self, pod: str, filter_text: str, act) -> int:
        """How many packets of this kind reach the pod while `act` runs."""
        command = netns.enter(self.lab().pod(pod).netns) + ["tcpdump", "-i", "eth0", "-n", "-l", "--immediate-mode", "-Q", "in", filter_text]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
            while "listening on" not in watch.stderr.readline():
                pass
            act()
            time.sleep(0.5)
            watch.terminate()
            return len([line for line in watch.stdout.read().splitlines() if line])

    def plaintext(self) -> list:
        four = {"src": self.address("client-n2"), "dst": self.address("server-n1")}
        six = {"src": self.address("client-n2", 6), "dst": self.address("server-n1", 6)}
        direct = [IP(**four) / UDP(sport=7777, dport=7777) / Raw(b"injected"), IP(**four) / TCP(sport=7777, dport=8080, flags="S"),
                  IPv6(**six) / UDP(sport=7777, dport=7777) / Raw(b"injected"), IP(**four) / ICMP()]
        n1, n2 = self.lab().node("n1"), self.lab().node("n2")
        outer = IP(src=n2.address(4), dst=n1.address(4)) / UDP(sport=50000, dport=8472) / VXLAN(vni=1, flags=8)
        return direct + [outer / Ether(dst="0e:00:00:00:00:01", src="0e:00:00:00:00:02") / p.copy() for p in direct]

    def test_injected_plaintext_is_dropped_and_counted(self) -> None:
        before = self.drops("n1")
        hits = self.seen_in("server-n1", f"host {self.address('client-n2')} or host {self.address('client-n2', 6)}",
                            lambda: self.send("n1", self.plaintext(), repeat=10))
        self.assertEqual(hits, 0, "plaintext with a pod's address reached a pod")
        wait_until(lambda: self.drops("n1") - before >= 40, 5, "the drops are counted")

    def test_spoofed_unknown_pod_address_is_dropped(self) -> None:
        stranger = str(IP(src="10.244.2.200").src)
        hits = self.seen_in("server-n1", f"host {stranger}",
                            lambda: self.send("n1", [IP(src=stranger, dst=self.address("server-n1")) / UDP(dport=8080) / Raw(b"x")], repeat=10))
        self.assertEqual(hits, 0)

    def test_replayed_and_forged_esp_is_dropped(self) -> None:
        """ESP frames are captured and sent again, and changed, thousands of times; the tunnel is unharmed."""
        path = str(self.lab().dir / "replay.pcap")
        with capture.Capture(self.lab(), write=path) as wire:
            self.udp("client-n2", self.address("server-n1"), count=50, size=64)
        self.assertGreater(wire.counts.of("esp"), 50)
        node = self.lab().node("n1")
        esp = [data for _, data, _ in capture.read_pcap(path) if socket.inet_ntoa(data[16:20]) == node.address(4) and b"\x11\x94" in data[20:24]][:60]
        self.assertGreater(len(esp), 20)

        def again() -> None:
            with netns.inside(self.lab().wire.netns):
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                s.bind((node.port, 0))
            head = bytes.fromhex(self.mac(node).replace(":", "")) + b"\x02\0\0\0\0\x66\x08\0"
            with s:
                for _ in range(20):
                    for frame in esp:
                        s.send(head + frame[:150])
                        changed = bytearray(frame[:150])
                        changed[-1] ^= 1
                        changed[35] ^= 0x10  # another sequence number
                        s.send(head + bytes(changed))

        hits = self.seen_in("server-n1", f"udp and host {self.address('client-n2')}", again)
        self.assertEqual(hits, 0, "a replayed or forged packet was delivered")
        self.assert_talks("client-n2", self.address("server-n1"))

    def test_garbage_at_the_ike_ports_harms_nobody(self) -> None:
        n1, n2 = self.lab().node("n1"), self.lab().node("n2")
        self.assert_talks("client-n1", self.address("server-n2"))
        packets = []
        for i in range(500):
            body = os.urandom(i % 300)
            packets.append(IP(src=n2.address(4), dst=n1.address(4)) / UDP(sport=4500, dport=4500) / Raw((b"\0\0\0\0" if i % 2 else b"") + body))
            packets.append(IP(src=f"172.30.9.{i % 250}", dst=n1.address(4)) / UDP(sport=500, dport=500) / Raw(body))
        load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "100000", "--rate", "500")
        self.send("n1", packets, repeat=4)
        got = load.stop()
        self.assertEqual(got["lost"], 0, got)
        self.assert_talks("client-n2", self.address("server-n1"))

    def test_flood_to_addresses_that_do_not_exist_harms_nobody(self) -> None:
        """10,000 flows from one pod into the mesh's address space."""
        self.assert_talks("client-n1", self.address("server-n2"))
        load = self.background("client-n3", "udp", self.address("server-n2"), "8080", "--count", "100000", "--rate", "500")
        flood = ("import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                 "for i in range(10000):\n  try: s.sendto(b'x',('10.244.%d.%d'%(i//250%40+1,i%250+20),1000+i%5000))\n  except OSError: pass\n")
        with self.watch(everything=False) as wire:
            self.run_in("client-n1", "python3", "-c", flood)
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)
        self.assert_talks("client-n1", self.address("server-n2"))
        peers = self.ctl_json("n1", "peers").get("peers", [])
        self.assertLessEqual(len(peers), len(self.lab().nodes))
