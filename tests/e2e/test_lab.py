"""The lab itself: its interface, several at once, and that it leaves nothing behind. Needs no Espalier."""

import json
import os
import pathlib
import subprocess
import unittest

from harness import PORT, TREE, LabTest, capture, netns, states, wait_until

LAB = str(TREE / "deploy" / "lab")


def lab(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run([LAB, *arguments], capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"deploy/lab {' '.join(arguments)}: {done.stderr}")
    return done


class LabCommands(unittest.TestCase):
    NAMES = ("e2e-cmd", "e2e-cmd-two")

    def setUp(self) -> None:
        for name in self.NAMES:
            lab("down", "--name", name)
            self.addCleanup(lab, "down", "--name", name)

    def test_info_has_the_promised_fields(self) -> None:
        lab("up", "--name", "e2e-cmd", "--nodes", "2", "--unencrypted")
        info = json.loads(lab("info", "--name", "e2e-cmd", "-o", "json").stdout)
        self.assertEqual([n["name"] for n in info["nodes"]], ["n1", "n2"])
        for node in info["nodes"]:
            self.assertLessEqual({"name", "netns", "addresses", "wire", "agentPid", "metrics"}, set(node))
            self.assertTrue(netns.exists(node["netns"]))
        self.assertEqual(len(info["pods"]), 4)
        for pod in info["pods"]:
            self.assertLessEqual({"name", "namespace", "node", "netns", "addresses"}, set(pod))
        self.assertLessEqual({"pid", "netns", "metrics"}, set(info["controller"]))
        self.assertTrue(os.path.isdir(info["manifests"]))

    def test_two_labs_at_once_do_not_meet(self) -> None:
        for name in self.NAMES:
            lab("up", "--name", name, "--nodes", "2", "--unencrypted")
        self.assertEqual(lab("exec", "--name", "e2e-cmd", "client-n1", "--", "ping", "-c1", "-W1", "10.244.2.11").returncode, 0)
        lab("down", "--name", "e2e-cmd")  # its name is the beginning of the other's
        self.assertEqual(lab("exec", "--name", "e2e-cmd-two", "client-n1", "--", "ping", "-c1", "-W1", "10.244.2.11").returncode, 0)

    def test_exec_gives_the_commands_exit_code_and_output(self) -> None:
        lab("up", "--name", "e2e-cmd", "--nodes", "1", "--unencrypted")
        done = lab("exec", "--name", "e2e-cmd", "client-n1", "--", "sh", "-c", "echo out; exit 7", check=False)
        self.assertEqual((done.returncode, done.stdout), (7, "out\n"))

    def test_down_leaves_nothing_and_can_be_repeated(self) -> None:
        lab("up", "--name", "e2e-cmd", "--unencrypted")
        with subprocess.Popen(netns.enter("e2e-cmd-pod-client-n1") + ["sleep", "600"]) as left_over:
            lab("down", "--name", "e2e-cmd")
            self.assertNotEqual(left_over.wait(timeout=5), 0)
        lab("down", "--name", "e2e-cmd")
        self.assertEqual([n for n in os.listdir("/run/netns") if n.startswith("e2e-cmd-")], [])
        self.assertEqual([p.name for p in states.ROOT.glob("*e2e-cmd*")], [])
        self.assertEqual(list(pathlib.Path("/sys/fs/bpf").glob("espalier/e2e-cmd-*")), [])

    def test_half_made_lab_is_removed(self) -> None:
        lab("up", "--name", "e2e-cmd", "--unencrypted", "--nodes", "2")
        netns.run(["ip", "netns", "del", "e2e-cmd-n2"])
        lab("down", "--name", "e2e-cmd")
        self.assertEqual([n for n in os.listdir("/run/netns") if n.startswith("e2e-cmd-")], [])

    def test_errors_say_what_to_do(self) -> None:
        for arguments, words in ((("info",), "no lab"), (("up", "--nodes", "0"), "1 to 200"), (("up", "--manifests", "/nonexistent"), "no such folder")):
            done = lab(*arguments, "--name", "e2e-cmd", check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)


class PlainLab(LabTest):
    """Without Espalier everything works and everything is plaintext: the instruments see what they should."""

    options = {"unencrypted": True, "network": "vxlan"}

    def test_capture_sees_plaintext_inside_vxlan(self) -> None:
        with self.watch() as wire:
            self.assert_talks("client-n1", self.address("server-n2", 4))
            self.assert_talks("client-n1", self.address("server-n2", 6))
        self.assertGreater(wire.counts.of("plaintext"), 200)
        self.assertEqual(wire.counts.of("esp"), 0)
        self.assertTrue(all("in VXLAN" in flow for flow in wire.counts.flows), wire.counts.flows)

    def test_service_reaches_every_backend_and_itself(self) -> None:
        answered = {self.tcp("client-n1", "10.96.0.10", 80, octets=10)["server"] for _ in range(40)}
        self.assertEqual(answered, {"server-n1", "server-n2", "server-n3"})
        answered = {self.tcp("server-n1", "10.96.0.10", 80, octets=10)["server"] for _ in range(40)}
        self.assertIn("server-n1", answered)

    def test_services_and_pods_in_manifests_are_followed(self) -> None:
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"},
                   "spec": {"clusterIP": "10.96.0.77", "selector": {"app": "server"}, "ports": [{"port": 99, "targetPort": PORT}]}}
        self.write("late.yaml", json.dumps(service))
        wait_until(lambda: self.tcp("client-n1", "10.96.0.77", 99, octets=10, timeout=1)["ok"], 5, "the new Service answers")
        self.remove("late.yaml")
        wait_until(lambda: not self.tcp("client-n1", "10.96.0.77", 99, octets=10, timeout=1)["ok"], 5, "the Service is gone")


class Sorting(unittest.TestCase):
    """The capture's sorter, on packets made by hand."""

    def setUp(self) -> None:
        self.sorter = capture.Sorter(["10.244.1.0/24", "10.244.2.0/24", "fd00:244:1::/64"])

    def kind(self, packet) -> str:
        return self.sorter.sort(bytes(packet)).kind

    def test_kinds(self) -> None:
        from scapy.all import IP, UDP, Ether, IPv6, Raw, TCP
        from scapy.layers.vxlan import VXLAN

        pod = IP(src="10.244.1.10", dst="10.244.2.10") / TCP(dport=80)
        self.assertEqual(self.kind(pod), "plaintext")
        self.assertEqual(self.kind(IP(src="10.244.1.10", dst="10.244.2.10", frag=100, proto=17) / Raw(b"x" * 50)), "plaintext")
        self.assertEqual(self.kind(IP(src="10.244.1.0", dst="10.244.2.10") / TCP()), "outside")
        self.assertEqual(self.kind(IP(src="10.244.1.10", dst="1.1.1.1") / TCP()), "outside")
        self.assertEqual(self.kind(IPv6(src="fd00:244:1::a", dst="fd00:244:1::b") / UDP()), "plaintext")
        nodes = IP(src="172.30.1.1", dst="172.30.1.2")
        vxlan = nodes / UDP(sport=1, dport=8472) / VXLAN(vni=1) / Ether()
        self.assertEqual(self.kind(vxlan / pod), "plaintext")
        self.assertEqual(self.kind(nodes / UDP(sport=4500, dport=4500) / Raw(b"\x12\x34\x56\x78" + bytes(40))), "esp")
        self.assertEqual(self.kind(nodes / UDP(sport=4500, dport=4500) / Raw(bytes(4) + b"\x01" * 40)), "ike")
        self.assertEqual(self.kind(nodes / UDP(sport=4500, dport=4500) / Raw(b"\xff")), "keepalive")
        self.assertEqual(self.kind(nodes / UDP(sport=500, dport=500) / Raw(b"\x01" * 40)), "ike")
        self.assertEqual(self.kind(nodes / TCP(dport=7443)), "other")


if __name__ == "__main__":
    unittest.main()
