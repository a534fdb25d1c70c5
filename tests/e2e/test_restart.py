"""Programs die and come back under load: no plaintext, traffic resumes by itself, no SA is used twice."""

import time

from harness import LabTest, said, wait_until


class Restart(LabTest):
    def load(self) -> tuple:
        return (self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "500", "--wait", "2"),
                self.background("client-n2", "udp", self.address("server-n1", 6), "8080", "--count", "1000000", "--rate", "500", "--wait", "2"),
                self.background("client-n1", "stream", self.address("server-n2"), "8080", "--seconds", "60"))

    def spis(self, node: str) -> set:
        return {(s["direction"], s["spi"]) for s in self.sas(node)}

    def resumes(self) -> None:
        for client, server in (("client-n1", "server-n2"), ("client-n2", "server-n1"), ("client-n3", "server-n1")):
            for family in (4, 6):
                wait_until(lambda c=client, s=server, f=family: self.udp(c, self.address(s, f), count=5, wait=0.5)["lost"] == 0,
                           15, f"{client} reaches {server} over IPv{family} again")

    def restart_under_load(self, node: str, graceful: bool) -> None:
        self.resumes()
        before = self.spis(node)
        self.assertTrue(before, "tunnels are up")
        with self.watch(everything=False) as wire:
            runs = self.load()
            time.sleep(1)
            began = time.monotonic()
            self.restart(node, graceful)
            took = time.monotonic() - began
            self.resumes()
            time.sleep(1)
            results = [r.stop() for r in runs]
        self.assert_no_plaintext(wire)
        self.assertFalse(before & self.spis(node), "an SA of the process before is used again")
        self.assertTrue(results[2]["ok"], results[2])
        said(f"{'SIGTERM' if graceful else 'kill -9'} of {node}: ready after {took:.2f} s; of "
             f"{results[0]['sent']} datagrams {results[0]['lost']} lost; TCP's longest gap {results[2]['longest_gap_ms']} ms")

    def test_agent_killed_and_restarted(self) -> None:
        self.restart_under_load("n1", graceful=False)

    def test_responders_agent_killed_and_restarted(self) -> None:
        self.restart_under_load("n2", graceful=False)

    def test_agent_stopped_and_restarted(self) -> None:
        self.restart_under_load("n1", graceful=True)

    def test_nothing_leaks_while_an_agent_is_dead(self) -> None:
        self.resumes()
        with self.watch(everything=False) as wire:
            self.change("kill", "n1", False)
            for family in (4, 6):
                self.udp("client-n1", self.address("server-n2", family), count=200, rate=1000, wait=0.3)
                self.udp("client-n2", self.address("server-n1", family), count=200, rate=1000, wait=0.3)
                self.udp("client-n1", self.address("server-n1", family), count=5)
            self.change("start", "n1")
            self.resumes()
        self.assert_no_plaintext(wire)

    def test_old_sas_at_peers_go(self) -> None:
        self.resumes()
        old = {s["spi"] for s in self.sas("n2") if s.get("node") == "n1"}
        self.restart("n1")
        self.resumes()
        wait_until(lambda: not old & {s["spi"] for s in self.sas("n2") if s.get("node") == "n1"}, 30, "n2 has dropped n1's old SAs")


class Controller(LabTest):
    def test_mesh_goes_on_without_controller_and_it_comes_back(self) -> None:
        for family in (4, 6):
            self.assert_talks("client-n1", self.address("server-n2", family))
        with self.watch(everything=False) as wire:
            load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "500")
            self.change("kill", "controller", False)
            wait_until(lambda: self.ctl_json("n1", "status").get("controller") != "connected", 30, "the agent says that the controller is gone")
            self.assert_talks("client-n3", self.address("server-n1"))  # maybe a new tunnel
            self.restart("n2")  # from its cache
            wait_until(lambda: self.udp("client-n1", self.address("server-n2"), count=5, wait=0.5)["lost"] == 0, 15, "n2 runs from its cache")
            self.change("start", "controller")
            wait_until(lambda: all(self.ctl_json(n, "status").get("controller") == "connected" for n in ("n1", "n2", "n3")), 30, "all are connected again")
            load.stop()
        self.assert_no_plaintext(wire)

    def test_controller_restart_loses_no_packet(self) -> None:
        self.assert_talks("client-n1", self.address("server-n2"))
        with self.watch(everything=False) as wire:
            load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "1000")
            time.sleep(0.5)
            self.restart("controller")
            time.sleep(2)
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)
