// Random views and flows; each verdict is found in three ways: by Decide(), by the longest prefix among rows() as the
// BPF program does, and by asking every policy of the view in turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <random>

#include "agent/policy/identity.h"
#include "agent/policy/snapshot.h"
#include "agent/policy/test_view.h"

namespace espalier::policy {
namespace {

struct Found {
  Verdict verdict = Verdict::kPass;
  int32_t origin = -1;
  bool has_port = false;
};

// As Decide() says, of two lookups.
Verdict Combine(const Found& forth, const Found& back) {
  if (forth.has_port != back.has_port) return forth.has_port ? forth.verdict : back.verdict;
  return std::max(forth.verdict, back.verdict);
}

// The map that BPF has.
class RowMap {
 public:
  explicit RowMap(const Snapshot& s) {
    for (const PolicyRow& r : s.rows()) pairs_[{r.src, r.dst}].push_back(&r);
  }
  Found Lookup(uint32_t client, uint32_t server, uint8_t protocol, uint16_t port) const {
    const auto it = pairs_.find({client, server});
    const PolicyRow* best = nullptr;
    int best_bits = -1;
    if (it != pairs_.end()) {
      for (const PolicyRow* r : it->second) {
        const bool in = r->any_protocol || (r->protocol == protocol && ((r->port ^ port) >> (16 - r->port_bits)) == 0);
        const int bits = r->any_protocol ? 0 : 8 + r->port_bits;
        if (in && bits > best_bits) best = r, best_bits = bits;
      }
    }
    if (best == nullptr) return {};
    return {best->verdict, best->origin, best->port_bits > 0};
  }
  Verdict Decide(const Snapshot& s, const Flow& f) const {
    const Whois from = s.WhoIs(f.source), to = s.WhoIs(f.destination);
    if (from.local && to.local) return Verdict::kPass;
    return Combine(Lookup(from.identity, to.identity, f.protocol, f.destination_port),
                   Lookup(to.identity, from.identity, f.protocol, f.source_port));
  }

 private:
  std::map<std::pair<uint32_t, uint32_t>, std::vector<const PolicyRow*>> pairs_;
};

// Policies asked one after another.
class Reference {
 public:
  explicit Reference(const View& view) : view_(view) {}

  struct Who {
    IpAddress address;
    uint32_t identity;
  };
  // port < 0: what holds whatever the port; protocol < 0: whatever the protocol.
  Found Ask(const Who& client, const Who& server, int protocol, int port) const {
    for (const auto& [name, x] : view_.exemptions) {
      const auto at = [&](const Who& end) {
        return !InMesh(end.identity) && (x.cidrs().empty() || Inside(x.cidrs(), end.address));
      };
      if (!Reachable(client, server)) continue;
      if (x.protocol() != 0 && static_cast<int>(x.protocol()) != protocol) continue;
      if (x.port() == 0 && (at(client) || at(server))) return {Verdict::kPass, -1, false};
      const bool has_ports = x.protocol() != 0 || protocol == 6 || protocol == 17 || protocol == 132;
      if (x.port() != 0 && has_ports && port == static_cast<int>(x.port()) && at(server)) {
        return {Verdict::kPass, -1, true};
      }
    }
    struct Answer {
      int priority;
      Verdict verdict;
      bool pending_deny, has_port;
    };
    std::vector<Answer> answers;
    for (const auto& [name, p] : view_.policies) {
      for (const v1::Rule& rule : p.rules()) {
        if (!((Subject(p, client) && Peer(rule, server)) || (Subject(p, server) && Peer(rule, client)))) continue;
        std::optional<bool> matched = Ports(rule, protocol, port);
        if (!matched) continue;
        const bool send = p.stage() == v1::STAGE_SEND;
        Verdict v = Verdict::kPass;
        if (rule.action() == v1::ACTION_PREFER) v = Verdict::kPrefer;
        if (rule.action() == v1::ACTION_REQUIRE) v = send ? Verdict::kSend : Verdict::kRequire;
        if (rule.action() == v1::ACTION_DENY && !send) v = Verdict::kDeny;
        answers.push_back({p.priority(), v, send && rule.action() == v1::ACTION_DENY, *matched});
        break;
      }
    }
    std::stable_sort(answers.begin(), answers.end(), [](const Answer& a, const Answer& b) {
      if (a.pending_deny != b.pending_deny) return b.pending_deny;
      if (a.priority != b.priority) return a.priority > b.priority;
      return a.verdict > b.verdict;
    });
    if (answers.empty()) return {};
    return {answers[0].verdict, -1, answers[0].has_port};
  }
  Found Lookup(const Who& client, const Who& server, int protocol, int port) const {
    const Found whole = Ask(client, server, protocol, -1);
    Found at = Ask(client, server, protocol, port);
    at.has_port = at.has_port || at.verdict != whole.verdict;
    return at;
  }
  Verdict Decide(const Who& from, const Who& to, const Flow& f) const {
    return Combine(Lookup(from, to, f.protocol, f.destination_port), Lookup(to, from, f.protocol, f.source_port));
  }

 private:
  template <typename List>
  static bool Inside(const List& cidrs, const IpAddress& a) {
    return std::any_of(cidrs.begin(), cidrs.end(), [&](const auto& c) { return IpPrefix::Parse(c)->Contains(a); });
  }
  static bool Subject(const v1::Policy& p, const Who& w) {
    const auto& s = p.subject_identities();
    return std::find(s.begin(), s.end(), w.identity) != s.end();
  }
  static bool Peer(const v1::Rule& rule, const Who& w) {
    const auto& ids = rule.peer_identities();
    return (rule.any_pod() && InMesh(w.identity)) || std::find(ids.begin(), ids.end(), w.identity) != ids.end() ||
           Inside(rule.peer_cidrs(), w.address);
  }
  // Exemptions only matter where some policy speaks of both ends at all.
  bool Reachable(const Who& a, const Who& b) const {
    for (const auto& [name, p] : view_.policies) {
      for (const v1::Rule& rule : p.rules()) {
        if ((Subject(p, a) && Peer(rule, b)) || (Subject(p, b) && Peer(rule, a))) return true;
      }
    }
    return false;
  }
  // nullopt: no range matches. Otherwise: only ranges of ports did.
  static std::optional<bool> Ports(const v1::Rule& rule, int protocol, int port) {
    if (rule.ports().empty()) return false;
    std::optional<bool> out;
    for (const v1::PortRange& r : rule.ports()) {
      if (r.protocol() != 0 && static_cast<int>(r.protocol()) != protocol) continue;
      if (r.first() == 0 && r.last() == 65535) return false;
      if (port >= static_cast<int>(r.first()) && port <= static_cast<int>(r.last())) out = true;
    }
    return out;
  }

  const View& view_;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t Below(size_t n) { return random_() % n; }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }
  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

  View MakeView() {
    View view = TestView(3);
    view.mesh.add_controller_addresses("198.51.100.1");
    const int pods = 4 + static_cast<int>(Below(12));
    for (int i = 0; i < pods; ++i) {
      const uint32_t node = 1 + static_cast<uint32_t>(Below(3));
      const std::string n = std::to_string(node), host = std::to_string(1 + Below(60));
      AddPod(&view, Chance(70) ? "10.244." + n + "." + host : "fd00:" + n + "::" + host, Identity(), node);
    }
    const int policies = static_cast<int>(Below(6));
    for (int i = 0; i < policies; ++i) {
      std::vector<TestRule> rules;
      for (size_t r = 0, n = 1 + Below(3); r < n; ++r) rules.push_back(MakeRule());
      AddPolicy(&view, "p" + std::to_string(i), Identities(), rules, static_cast<int>(Below(3)) - 1,
                Chance(35) ? v1::STAGE_SEND : v1::STAGE_ENFORCE);
    }
    const int exemptions = static_cast<int>(Below(3));
    for (int i = 0; i < exemptions; ++i) {
      std::vector<std::string> cidrs;
      if (Chance(70)) cidrs.push_back(Pick(kCidrs));
      AddExemption(&view, "x" + std::to_string(i), Pick(kProtocols), Chance(50) ? 0 : Pick(kPorts), cidrs);
    }
    return view;
  }
  Flow MakeFlow(const View& view) {
    static const std::vector<std::string> kOthers = {"10.244.1.200", "10.244.2.200", "10.244.9.1",   "192.0.2.1",
                                                     "192.0.2.2",    "198.51.100.1", "203.0.113.20", "8.8.8.8",
                                                     "fd00:2::ffff", "2001:db8::1"};
    const auto address = [&] {
      if (Chance(35)) return *IpAddress::Parse(Pick(kOthers));
      auto it = view.addresses.begin();
      std::advance(it, Below(view.addresses.size()));
      return *IpAddress::Parse(it->first);
    };
    return {address(), address(), static_cast<uint8_t>(Pick(kProtocols)), Port(), Port()};
  }

 private:
  static inline const std::vector<std::string> kCidrs = {
      "0.0.0.0/0",      "::/0",         "10.0.0.0/8",  "10.244.2.0/27",  "10.244.2.16/28", "203.0.113.0/24",
      "203.0.113.8/29", "192.0.2.2/32", "fd00:2::/64", "fd00:2::30/124", "2001:db8::/32"};
  static inline const std::vector<uint32_t> kProtocols = {0, 1, 6, 6, 17, 132};
  static inline const std::vector<uint32_t> kPorts = {1, 79, 80, 81, 443, 1000, 1999, 32768, 65535};

  uint16_t Port() { return static_cast<uint16_t>(Chance(80) ? Pick(kPorts) : Below(65536)); }
  uint32_t Identity() { return 300 + static_cast<uint32_t>(Below(6)); }
  std::vector<uint32_t> Identities() {
    std::vector<uint32_t> out;
    for (uint32_t id = 300; id < 306; ++id) {
      if (Chance(40)) out.push_back(id);
    }
    return out;
  }
  TestRule MakeRule() {
    TestRule rule;
    rule.action = static_cast<v1::Action>(1 + Below(4));
    rule.any_pod = Chance(30);
    if (!rule.any_pod) rule.peers = Identities();
    for (size_t n = Below(3); n > 0; --n) rule.cidrs.push_back(Pick(kCidrs));
    for (size_t n = Below(3); n > 0; --n) {
      const uint32_t protocol = Pick(kProtocols);
      uint32_t a = Pick(kPorts), b = Pick(kPorts);
      if (protocol == 0 || Chance(25)) a = 0, b = 65535;
      rule.ports.push_back({protocol, std::min(a, b), std::max(a, b)});
    }
    return rule;
  }

  std::mt19937_64 random_;
};

std::string Show(const Flow& f) {
  return f.source.ToString() + " " + std::to_string(f.source_port) + " -> " + f.destination.ToString() + " " +
         std::to_string(f.destination_port) + " protocol " + std::to_string(f.protocol);
}

Reference::Who Who(const Snapshot& s, const IpAddress& a) { return {a, s.BaseIdentity(s.WhoIs(a).identity)}; }

TEST(SnapshotRandomTest, ThreeWaysToOneVerdict) {
  int verdicts[5] = {};
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Generator g(seed);
    const View view = g.MakeView();
    const auto snapshot = Snapshot::Build(view);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status() << " seed " << seed;
    const Snapshot& s = **snapshot;
    const RowMap rows(s);
    const Reference reference(view);
    for (int i = 0; i < 150; ++i) {
      const Flow f = g.MakeFlow(view);
      const Decision d = s.Decide(f);
      ++verdicts[static_cast<int>(d.verdict)];
      ASSERT_EQ(d.verdict, rows.Decide(s, f)) << Show(f) << " seed " << seed;
      ASSERT_LE(d.verdict, s.DecideFragment(f.source, f.destination).verdict) << Show(f) << " seed " << seed;
      const bool both_local = d.source.local && d.destination.local;
      const bool one_local = d.source.local != d.destination.local;
      if (both_local) {
        ASSERT_EQ(d.verdict, Verdict::kPass);
      }
      const Reference::Who from = Who(s, f.source), to = Who(s, f.destination);
      if (!one_local || from.identity == kUnknown || to.identity == kUnknown) continue;
      ASSERT_EQ(d.verdict, reference.Decide(from, to, f)) << Show(f) << " seed " << seed;
    }
  }
  // The generator reaches every verdict, or the comparison says little.
  for (int v = 0; v < 5; ++v) EXPECT_GT(verdicts[v], 200) << v;
}

// Whoever an unknown address turns out to be: what leaves in the clear now would have been allowed to.
TEST(SnapshotRandomTest, UnknownIsAsStrictAsAnybody) {
  int checked = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Generator g(seed);
    View view = g.MakeView();
    AddPod(&view, "10.244.1.61", 300 + seed % 6, 1);
    const auto before = Snapshot::Build(view);
    ASSERT_TRUE(before.ok());
    for (uint32_t identity = 300; identity < 306; ++identity) {
      View known = view;
      AddPod(&known, "10.244.2.200", identity, 2);
      const auto after = Snapshot::Build(known);
      ASSERT_TRUE(after.ok());
      for (int i = 0; i < 2; ++i) {
        Flow f = g.MakeFlow(view);
        f.source = *IpAddress::Parse("10.244.1.61");
        f.destination = *IpAddress::Parse("10.244.2.200");
        // A row with a port may be looser than one without: compare a protocol that no rule names.
        f.protocol = 89;
        const Verdict now = (*before)->Decide(f).verdict;
        const Verdict then = std::min((*after)->Decide(f).verdict, Verdict::kRequire);
        ASSERT_GE(now, then) << Show(f) << " seed " << seed << " identity " << identity;
        checked += then >= Verdict::kSend;
      }
    }
  }
  EXPECT_GT(checked, 500);
}

}  // namespace
}  // namespace espalier::policy
