"""Nodes come and go while others talk."""

import time

from harness import LabTest, wait_until


class Nodes(LabTest):
    options = {"nodes": 2}

    def test_add_and_remove_under_load(self) -> None:
        self.assert_talks("client-n1", self.address("server-n2"))
        with self.watch(everything=False) as wire:
            load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "1000")
            node = self.change("add_node", None)
            self.serve(f"server-{node.name}")
            wait_until(lambda: self.udp("client-n1", self.address(f"server-{node.name}"), count=5, wait=0.5)["lost"] == 0, 10, "the new node's pods are reached")
            wait_until(lambda: self.udp(f"client-{node.name}", self.address("server-n1", 6), count=5, wait=0.5)["lost"] == 0, 10, "and reach others")
            gone = self.address(f"server-{node.name}")
            more = self.background("client-n1", "udp", gone, "8080", "--count", "3000", "--rate", "1000", "--wait", "0.2")
            time.sleep(1)  # it sends by now
            self.change("remove_node", node.name)
            more.stop()
            wait_until(lambda: node.name not in [n["node"]["name"] for n in self.ctl_json("n1", "nodes")["nodes"]], 10, "the node has left the view")
            self.udp("client-n1", gone, count=100, wait=0.2)
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)

    def test_name_can_come_back(self) -> None:
        for _ in range(2):
            self.change("add_node", "again")
            self.serve("server-again")
            wait_until(lambda: self.udp("client-n1", self.address("server-again"), count=5, wait=0.5)["lost"] == 0, 10, "a node of a used name works")
            self.change("remove_node", "again")
