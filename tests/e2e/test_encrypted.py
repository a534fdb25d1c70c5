"""Pods of different nodes talk through every kind of network and family, and nothing of it is on the wire in the clear."""

import subprocess

from harness import LabTest, labs, netns, said


class Encrypted:
    """The cases; each class below runs them in its own kind of lab."""

    def test_ping_tcp_and_udp(self) -> None:
        with self.watch() as wire:
            for family in self.families():
                for server in ("server-n2", "server-n3"):
                    self.assertEqual(self.ping("client-n1", self.address(server, family)), 3, f"IPv{family} {server}")
                    self.assert_talks("client-n1", self.address(server, family))
        self.assert_no_plaintext(wire)
        self.assertGreater(wire.counts.of("esp"), 100)

    def test_bulk_in_both_directions(self) -> None:
        with self.watch(everything=False) as wire:
            for family in self.families():
                got = self.tcp("client-n1", self.address("server-n2", family), octets=30_000_000, timeout=30)
                self.assertTrue(got["ok"], got)
                said(f"IPv{family}: 30 MB there and back in {got['seconds']} s")
        self.assert_no_plaintext(wire)

    def test_services(self) -> None:
        service = labs.current_services(self.lab())[0]["spec"]
        with self.watch() as wire:
            for ip in service["clusterIPs"]:
                answered = set()
                for _ in range(30):
                    got = self.tcp("client-n1", ip, 80, octets=20_000)
                    self.assertTrue(got["ok"], f"{ip}: {got}")
                    answered.add(got["server"])
                self.assertEqual(answered, {"server-n1", "server-n2", "server-n3"}, ip)
                got = self.udp("client-n3", ip, 80)
                self.assertEqual(got["lost"], 0, f"{ip}: {got}")
        self.assert_no_plaintext(wire)

    def test_large_datagrams_and_pings(self) -> None:
        """Larger than any path: fragments, of the pod's making, are encrypted as well."""
        with self.watch() as wire:
            for family in self.families():
                address = self.address("server-n2", family)
                for size in (1300, 1372, 1400, 1452, 1472, 4000, 9000):
                    got = self.udp("client-n1", address, count=10, rate=200, size=size)
                    if size <= 1300:
                        self.assertEqual(got["lost"], 0, f"IPv{family}, {size} octets: {got}")
                    else:  # path MTU discovery may cost the first ones
                        self.assertGreater(got["received"], 5, f"IPv{family}, {size} octets: {got}")
        self.assert_no_plaintext(wire)

    def test_same_node_is_left_alone(self) -> None:
        for family in self.families():
            self.assert_talks("client-n1", self.address("server-n1", family))

    def test_node_reaches_its_own_pods(self) -> None:
        """Kubelet's probes."""
        for family in self.families():
            command = netns.enter(self.lab().node("n1").netns) + ["ping", "-n", "-c", "1", "-W", "2", self.address("server-n1", family)]
            self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0)

    def test_nodes_reach_pods_of_other_nodes_and_pods_reach_nodes(self) -> None:
        """The API server's webhooks, and whoever scrapes a node."""
        for family in self.families():
            command = netns.enter(self.lab().node("n1").netns) + ["ping", "-n", "-c", "2", "-W", "2", self.address("server-n2", family)]
            self.assertEqual(subprocess.run(command, capture_output=True).returncode, 0, f"IPv{family} n1 > server-n2")
            self.assertEqual(self.ping("client-n1", self.lab().node("n2").address(family)), 3, f"IPv{family} client-n1 > n2")

    def test_the_outside_is_reached_in_the_clear(self) -> None:
        """No policy speaks of the world."""
        if self.lab().options["network"] == "routed":
            for address in self.lab().wire.outside:
                self.assertEqual(self.ping("client-n1", address), 3, address)


class RoutedDual(Encrypted, LabTest):
    options = {"network": "routed", "family": "dual"}


class RoutedIpv4(Encrypted, LabTest):
    options = {"network": "routed", "family": "ipv4"}


class RoutedIpv6(Encrypted, LabTest):
    options = {"network": "routed", "family": "ipv6"}


class VxlanDual(Encrypted, LabTest):
    options = {"network": "vxlan", "family": "dual"}


class VxlanIpv6(Encrypted, LabTest):
    options = {"network": "vxlan", "family": "ipv6"}


class FirstPacket(LabTest):
    """A new peer's first packet is late, not lost."""

    options = {"nodes": 4}

    def test_first_packet_arrives_soon(self) -> None:
        times = []
        for client in ("client-n1", "client-n2"):
            for server in ("server-n3", "server-n4"):
                got = self.udp(client, self.address(server), count=1)
                self.assertEqual(got["received"], 1, f"the first packet {client} > {server}: {got}")
                times.append(got["rtt_ms"]["max"])
        said(f"first packet there and back, new peer: {', '.join(f'{t:.1f}' for t in times)} ms")
        self.assertLess(sorted(times)[len(times) // 2], 50)

    def test_both_ends_start_at_once(self) -> None:
        one = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "200", "--rate", "500")
        two = self.background("client-n2", "udp", self.address("server-n1"), "8080", "--count", "200", "--rate", "500")
        for run in (one, two):
            got = run.result()
            self.assertEqual(got["lost"], 0, got)
