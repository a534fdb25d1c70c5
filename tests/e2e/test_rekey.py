"""Keys change every two seconds under load."""

import time

from harness import LabTest, profile, said


class Rekey(LabTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.write("profile.yaml", profile(rekey={"time": "2s", "ikeTime": "5s"}))

    def test_no_packet_is_lost_over_many_rekeys(self) -> None:
        for family in (4, 6):
            self.assert_talks("client-n1", self.address("server-n2", family))
        seen: set = set()
        with self.watch(everything=False) as wire:
            runs = [self.background("client-n1", "udp", self.address("server-n2"), "8080", "--count", "1000000", "--rate", "2000"),
                    self.background("client-n2", "udp", self.address("server-n1", 6), "8080", "--count", "1000000", "--rate", "1000", "--size", "1200"),
                    self.background("client-n1", "stream", self.address("server-n2", 6), "8080", "--seconds", "60")]
            until = time.monotonic() + 20
            while time.monotonic() < until:
                seen |= {s["spi"] for s in self.sas("n1") if s.get("node") == "n2" and s["direction"] == "out"}
                time.sleep(0.5)
            results = [r.stop() for r in runs]
        self.assert_no_plaintext(wire)
        said(f"{len(seen)} outbound SAs in 20 s; of {results[0]['sent']} + {results[1]['sent']} datagrams "
             f"{results[0]['lost']} + {results[1]['lost']} lost; TCP's longest gap {results[2].get('longest_gap_ms')} ms")
        self.assertGreaterEqual(len(seen), 5, "keys did change")
        self.assertEqual([r["lost"] for r in results[:2]], [0, 0], [r["missing"] for r in results[:2]])
        self.assertEqual([r["repeated"] for r in results[:2]], [0, 0])
        self.assertTrue(results[2]["ok"], results[2])
