"""Certificates: renewed while traffic runs, and nobody without a good one is let in."""

import shutil
import subprocess
import time

from harness import LabTest, netns, processes, said, wait_until


class Certificates(LabTest):
    options = {"cert_lifetime": "40s"}

    def serial(self, node: str) -> str:
        return self.ctl_json(node, "status").get("certificateSerial", "")

    def test_renewal_under_load_loses_nothing(self) -> None:
        self.assert_talks("client-n1", self.address("server-n2"))
        before = {n: self.serial(n) for n in ("n1", "n2", "n3")}
        self.assertTrue(all(before.values()), before)
        with self.watch(everything=False) as wire:
            load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "500")
            began = time.monotonic()
            wait_until(lambda: all(self.serial(n) != before[n] for n in before), 45, "every node has a new certificate")
            said(f"all renewed {time.monotonic() - began:.0f} s later")
            time.sleep(max(0.0, began + 50 - time.monotonic()))  # beyond the end of the first ones
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)
        self.assert_talks("client-n3", self.address("server-n1"))


class Revocation(LabTest):
    def test_revoked_node_is_cut_off_and_others_go_on(self) -> None:
        for client, server in (("client-n1", "server-n2"), ("client-n3", "server-n2")):
            self.assert_talks(client, self.address(server))
        serial = self.ctl_json("n3", "status")["certificateSerial"]
        load = self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "500")
        with self.watch(everything=False) as wire:
            done = subprocess.run(netns.enter(self.lab().wire.controller_netns) + [
                processes.program("espalier-controller"), "revoke", "--state-dir", str(self.lab().dir / "controller" / "state"),
                "--serial", serial], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.change("kill", "n3", False)  # it must not come by a new one while we look
            wait_until(lambda: not [s for s in self.sas("n2") if s.get("node") == "n3"], 20, "n2 has no SA with the revoked node")
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)


class Strangers(LabTest):
    def test_used_foreign_and_made_up_tokens_are_refused(self) -> None:
        """An agent with a bad token never becomes ready; the mesh does not notice."""
        lab = self.lab()
        self.assert_talks("client-n1", self.address("server-n2"))
        used = (lab.node_dir("n1") / "join-token").read_text()
        self.change("kill", "n3", False)
        identity = lab.node_dir("n3") / "state"
        shutil.rmtree(identity)
        for token in (used, "made-up\n"):
            (lab.node_dir("n3") / "join-token").write_text(token)
            process = processes.start_agent(lab, lab.node("n3"))
            try:
                time.sleep(2)
                status, _ = netns.http_get(lab.node("n3").netns, f"http://{processes.agent_metrics(lab.node('n3'))}/readyz")
                self.assertNotEqual(status, 200)
            finally:
                processes.end(process, processes.signal.SIGKILL)
        self.assert_talks("client-n1", self.address("server-n2"))
