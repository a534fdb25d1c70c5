"""Policies are changed while traffic runs: what is asked for happens, and nothing leaks on the way."""

import json
import time

from harness import LabTest, policy, processes, profile, said, wait_until

REQUIRE = policy(action="Require")
BYPASS_PORT = policy([{"ports": [{"protocol": "UDP", "port": 8080}], "action": "Bypass"}, {"action": "Require"}])
DENY = policy([{"ports": [{"protocol": "UDP", "port": 8080}], "action": "Deny"}, {"action": "Require"}])


class Changes(LabTest):
    def setUp(self) -> None:
        for file in self.folder.iterdir():
            if file.name not in ("policy.yaml", "espalier-lab-objects.yaml"):
                file.unlink()
        self.write("policy.yaml", REQUIRE)
        self.remote = self.address("server-n2")
        for node in ("n1", "n2"):
            self.wait_verdict(node, "client-n1", "server-n2:8080", "encrypted")

    def verdict(self, protocol: str = "udp") -> str:
        return self.ctl_json("n1", "explain", "client-n1", "server-n2:8080", "--protocol", protocol).get("verdict", "")

    def udp_works(self) -> bool:
        got = self.udp("client-n1", self.remote, count=5, wait=0.3)
        return got["lost"] == 0

    def test_bypass_and_back(self) -> None:
        self.write("policy.yaml", BYPASS_PORT)
        with self.watch() as wire:
            wait_until(self.plaintext_flows, 10, "UDP 8080 is in the clear after Bypass")
        for flow in wire.counts.flows:
            self.assertIn("8080", flow, "only what was bypassed is in the clear")
        self.assertTrue(self.tcp("client-n1", self.remote)["ok"])
        self.write("policy.yaml", REQUIRE)
        for node in ("n1", "n2"):
            self.wait_verdict(node, "client-n1", "server-n2:8080", "encrypted")
        wait_until(lambda: not self.plaintext_flows(), 10, "it is encrypted again")
        with self.watch() as wire:
            self.assert_talks("client-n1", self.remote)
        self.assert_no_plaintext(wire)

    def plaintext_flows(self) -> bool:
        with self.watch() as wire:
            got = self.udp("client-n1", self.remote, count=5, wait=0.5)
        return got["lost"] == 0 and wire.counts.of("plaintext") > 0

    def test_deny_and_back(self) -> None:
        with self.watch(everything=False) as wire:
            self.write("policy.yaml", DENY)
            wait_until(lambda: self.udp("client-n1", self.remote, count=5, wait=0.3)["received"] == 0, 10, "UDP 8080 is refused")
            self.assertTrue(self.tcp("client-n1", self.remote)["ok"], "TCP is not")
            self.write("policy.yaml", REQUIRE)
            wait_until(self.udp_works, 10, "UDP 8080 is through again")
        self.assert_no_plaintext(wire)

    def test_policy_churn_under_load_neither_leaks_nor_loses(self) -> None:
        """Require stays in force for the flow, whatever else comes and goes."""
        with self.watch(everything=False) as wire:
            load = self.background("client-n1", "udp", self.remote, "8080", "--count", "100000", "--rate", "1000")
            for i in range(15):
                self.write("more.yaml", policy(action="Require", name=f"extra-{i}", podSelector={"matchLabels": {"app": "server"}})
                           + "---\n" + policy([{"ports": [{"protocol": "TCP", "port": 1000 + i}], "action": "Deny"}], name=f"deny-{i}"))
                time.sleep(0.2)
            self.remove("more.yaml")
            time.sleep(0.5)
            got = load.stop()
        self.assert_no_plaintext(wire)
        self.assertEqual(got["lost"], 0, got)
        self.assertGreater(got["received"], 2000)

    def test_bad_policy_is_refused_and_visible_and_the_last_good_one_holds(self) -> None:
        bad = {"apiVersion": "espalier.io/v1alpha1", "kind": "ClusterEncryptionPolicy", "metadata": {"name": "encrypt-pods"},
               "spec": {"action": "Encrypt"}}
        with self.watch(everything=False) as wire:
            self.write("policy.yaml", json.dumps(bad))
            wait_until(lambda: "Encrypt" in self.controller_log(), 10, "the controller names the bad value")
            log = [line for line in self.controller_log().splitlines() if "Encrypt" in line and "policy.yaml" in line]
            self.assertTrue(any("encrypt-pods" in line and "action" in line for line in log), log[-3:])
            self.assert_talks("client-n1", self.remote)
        self.assert_no_plaintext(wire)
        shown = self.ctl("n1", "policies")
        self.assertIn("encrypt-pods", shown.stdout)
        self.assertIn("Encrypt", shown.stdout + shown.stderr, "espalierctl policies shows what was refused")

    def test_half_written_file_changes_nothing(self) -> None:
        with self.watch(everything=False) as wire:
            (self.folder / "policy.yaml").write_text(REQUIRE[: len(REQUIRE) // 2])
            time.sleep(1)
            self.assert_talks("client-n1", self.remote)
            self.write("policy.yaml", REQUIRE)
        self.assert_no_plaintext(wire)

    def controller_log(self) -> str:
        return processes.controller_log(self.lab()).read_text()

    def test_policy_deleted_lets_plaintext_through_again(self) -> None:
        self.remove("policy.yaml")
        wait_until(self.plaintext_flows, 15, "without a policy the pods talk in the clear")

    def test_encryption_profile_changes_the_suite(self) -> None:
        self.write("profile.yaml", profile(esp=["CHACHA20-POLY1305"], rekey={"time": "600s"}))

        def active() -> bool:
            """For new SAs and at the next rekey: which is asked for."""
            self.ctl("n1", "rekey")
            self.udp("client-n1", self.remote, count=5)
            return any("CHACHA20" in s.get("suite", "").upper() and s.get("state") == "active" for s in self.sas("n1"))

        with self.watch(everything=False) as wire:
            wait_until(active, 30, "SAs are ChaCha20-Poly1305 after the next rekey")
            self.remove("profile.yaml")
        self.assert_no_plaintext(wire)


class TenNodes(LabTest):
    options = {"nodes": 10, "pods": 2, "family": "ipv4"}

    def test_change_is_in_force_everywhere_soon(self) -> None:
        """Measured by traffic: every node's client talks to the next node's server; then UDP 8080 is denied."""
        clients = [f"client-n{i}" for i in range(1, 11)]
        runs = [self.background(c, "udp", self.address(f"server-n{i % 10 + 1}"), "8080", "--count", "100000", "--rate", "250", "--wait", "0.2")
                for i, c in enumerate(clients, 1)]
        time.sleep(2)
        with self.watch(everything=False) as wire:
            began = time.time()
            self.write("policy.yaml", DENY)
            time.sleep(2.5)
            results = [r.stop() for r in runs]
        self.assert_no_plaintext(wire)
        for client, got in zip(clients, results):
            self.assertGreater(got["received"], 100, f"{client} talked before: {got}")
            self.assertLess(got["last_answer"], began + 2, f"{client} was still answered 2 s after the Deny")
        last = max(r["last_answer"] for r in results) - began
        said(f"a Deny was in force on 10 nodes {last * 1e3:.0f} ms after the file was written")
