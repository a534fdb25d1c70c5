#include "agent/steering/tables.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/policy/identity.h"
#include "agent/steering/bpf_map.h"

namespace espalier::steering {
namespace {

using policy::PolicyRow;
using policy::Verdict;

static_assert(static_cast<int>(Verdict::kPass) == ESPALIER_PASS &&
              static_cast<int>(Verdict::kPrefer) == ESPALIER_PREFER);
static_assert(static_cast<int>(Verdict::kSend) == ESPALIER_SEND && static_cast<int>(Verdict::kDeny) == ESPALIER_DENY);
static_assert(static_cast<int>(Verdict::kRequire) == ESPALIER_REQUIRE);

template <typename T>
int Compare(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T));
}

template <typename Key, typename Value, typename Better>
void Sort(Table<Key, Value>* table, Better better) {
  std::stable_sort(table->begin(), table->end(),
                   [](const auto& a, const auto& b) { return Compare(a.first, b.first) < 0; });
  size_t kept = 0;
  for (size_t i = 0; i < table->size(); ++i) {
    if (kept > 0 && Compare((*table)[kept - 1].first, (*table)[i].first) == 0) {
      if (better((*table)[i].second, (*table)[kept - 1].second)) (*table)[kept - 1] = (*table)[i];
    } else {
      (*table)[kept++] = (*table)[i];
    }
  }
  table->resize(kept);
}

// Brings a map that holds `old` to `wanted`.
template <typename Key, typename Value>
absl::Status Write(BpfMap<Key, Value> map, const Table<Key, Value>& old, const Table<Key, Value>& wanted) {
  std::vector<Key> gone, keys;
  std::vector<Value> values;
  size_t i = 0, j = 0;
  while (i < old.size() || j < wanted.size()) {
    int order = i == old.size() ? 1 : j == wanted.size() ? -1 : Compare(old[i].first, wanted[j].first);
    if (order < 0) {
      gone.push_back(old[i++].first);
      continue;
    }
    if (order > 0 || Compare(old[i].second, wanted[j].second) != 0) {
      keys.push_back(wanted[j].first);
      values.push_back(wanted[j].second);
    }
    if (order == 0) ++i;
    ++j;
  }
  if (absl::Status status = map.Remove(gone); !status.ok()) return status;
  return map.Update(keys, values);
}

// Returns when no program that started before still runs, so that none reads a set that is not in force any more. This
// membarrier is a synchronize_rcu(); where the kernel has none a program's time is waited many times over.
void WaitForRunningPrograms() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

}  // namespace

Rows Flatten(const std::vector<policy::IpcacheRow>& ipcache, const std::vector<PolicyRow>& policy_rows,
             const std::vector<IpPrefix>& own_pod_cidrs) {
  Rows rows;
  for (const policy::IpcacheRow& row : ipcache) {
    espalier_whois who = {.identity = row.who.identity, .node_id = row.who.node_id, .flags = 0};
    if (row.who.local) who.flags |= ESPALIER_WHO_LOCAL;
    if (policy::InMesh(row.who.identity)) who.flags |= ESPALIER_WHO_MESH;
    const bool host = policy::ReservedOf(row.who.identity) == policy::kHost;
    if (host) who.flags |= ESPALIER_WHO_HOST;
    for (const IpPrefix& own : own_pod_cidrs) {
      // A node's own address may lie in its pod CIDR too (a bridge's, an overlay device's): it is no pod.
      if (!host && own.Contains(row.prefix)) who.flags |= ESPALIER_WHO_OWN_CIDR;
    }
    auto octets = row.prefix.address().octets();
    if (row.prefix.length() == row.prefix.address().bits()) {
      espalier_host_key key = {};
      if (!row.prefix.address().is_v6()) key.address[10] = key.address[11] = 0xff;
      std::copy_backward(octets.begin(), octets.end(), std::end(key.address));
      rows.hosts.emplace_back(key, who);
    } else if (row.prefix.address().is_v6()) {
      espalier_ip6_key key = {.prefixlen = static_cast<__u32>(row.prefix.length()), .address = {}};
      std::copy(octets.begin(), octets.end(), key.address);
      rows.ipcache6.emplace_back(key, who);
    } else {
      espalier_ip4_key key = {.prefixlen = static_cast<__u32>(row.prefix.length()), .address = {}};
      std::copy(octets.begin(), octets.end(), key.address);
      rows.ipcache4.emplace_back(key, who);
    }
  }
  for (const PolicyRow& row : policy_rows) {
    const auto verdict = static_cast<uint8_t>(row.verdict);
    espalier_pair pair = {.verdict = ESPALIER_PASS, .strictest = verdict, .has_ports = 0, .reserved = 0};
    if (row.any_protocol) {
      pair.verdict = verdict;
    } else {
      pair.has_ports = 1;
      espalier_port_key key = {.prefixlen = ESPALIER_PORT_PREFIX_PAIR + 8u + row.port_bits,
                               .src = row.src,
                               .dst = row.dst,
                               .protocol = row.protocol,
                               .port = {static_cast<uint8_t>(row.port >> 8), static_cast<uint8_t>(row.port)},
                               .reserved = 0};
      espalier_port port = {
          .verdict = verdict, .specificity = static_cast<uint8_t>(row.port_bits > 0 ? 1 : 0), .reserved = {}};
      rows.ports.emplace_back(key, port);
    }
    rows.pairs.emplace_back(espalier_pair_key{.src = row.src, .dst = row.dst}, pair);
  }

  // What the rows of one pair say together.
  std::stable_sort(rows.pairs.begin(), rows.pairs.end(),
                   [](const auto& a, const auto& b) { return Compare(a.first, b.first) < 0; });
  size_t kept = 0;
  for (size_t i = 0; i < rows.pairs.size(); ++i) {
    if (kept > 0 && Compare(rows.pairs[kept - 1].first, rows.pairs[i].first) == 0) {
      espalier_pair& all = rows.pairs[kept - 1].second;
      const espalier_pair& one = rows.pairs[i].second;
      all.verdict = std::max(all.verdict, one.verdict);
      all.strictest = std::max(all.strictest, one.strictest);
      all.has_ports = all.has_ports | one.has_ports;
    } else {
      rows.pairs[kept++] = rows.pairs[i];
    }
  }
  rows.pairs.resize(kept);
  auto last = [](const auto&, const auto&) { return true; };
  Sort(&rows.hosts, last);
  Sort(&rows.ipcache4, last);
  Sort(&rows.ipcache6, last);
  Sort(&rows.ports, [](const espalier_port& a, const espalier_port& b) { return a.verdict > b.verdict; });
  return rows;
}

uint32_t Tables::active() const {
  return BpfMap<uint32_t, uint32_t>(loader_->map("active"), "active").Get(0).value_or(0);
}

absl::Status Tables::Fill(uint32_t set, const Rows& rows) {
  auto name = [set](const char* base) { return absl::StrCat(base, "_", set); };
  BpfMap<espalier_host_key, espalier_whois> hosts(loader_->map(name("hosts")), name("hosts"));
  BpfMap<espalier_ip4_key, espalier_whois> ipcache4(loader_->map(name("ipcache4")), name("ipcache4"));
  BpfMap<espalier_ip6_key, espalier_whois> ipcache6(loader_->map(name("ipcache6")), name("ipcache6"));
  BpfMap<espalier_pair_key, espalier_pair> pairs(loader_->map(name("pairs")), name("pairs"));
  BpfMap<espalier_port_key, espalier_port> ports(loader_->map(name("ports")), name("ports"));

  std::optional<Rows>& holds = holds_[set - 1];
  Rows old;
  if (holds.has_value()) {
    old = std::move(*holds);
    holds.reset();
  } else {
    for (const absl::Status& status :
         {hosts.Clear(), ipcache4.Clear(), ipcache6.Clear(), pairs.Clear(), ports.Clear()}) {
      if (!status.ok()) return status;
    }
  }
  for (const absl::Status& status : {Write(hosts, old.hosts, rows.hosts), Write(ipcache4, old.ipcache4, rows.ipcache4),
                                     Write(ipcache6, old.ipcache6, rows.ipcache6), Write(pairs, old.pairs, rows.pairs),
                                     Write(ports, old.ports, rows.ports)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Tables::Program(Rows rows) {
  const uint32_t set = active() == 1 ? 2 : 1;
  if (std::chrono::steady_clock::now() - switched_ < std::chrono::seconds(1)) WaitForRunningPrograms();
  if (absl::Status status = Fill(set, rows); !status.ok()) return status;
  holds_[set - 1] = std::move(rows);
  switched_ = std::chrono::steady_clock::now();
  return BpfMap<uint32_t, uint32_t>(loader_->map("active"), "active").Update(0, set);
}

}  // namespace espalier::steering
