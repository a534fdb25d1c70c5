#include "agent/policy/address_table.h"

#include <algorithm>
#include <bit>

namespace espalier::policy {

AddressTable::Key AddressTable::KeyOf(const IpAddress& address) {
  Key k;
  const auto o = address.octets();
  size_t i = 0;
  for (; i + 8 < o.size(); ++i) k.high = (k.high << 8) | o[i];
  for (; i < o.size(); ++i) k.low = (k.low << 8) | o[i];
  return k;
}

size_t AddressTable::Hash(const Key& key) {
  uint64_t h = (key.low ^ std::rotl(key.high, 29)) * 0x9e3779b97f4a7c15ull;
  h ^= h >> 32;
  return static_cast<size_t>(h * 0xd6e8feb86659fd93ull >> 16);
}

AddressTable::AddressTable(const std::vector<IpcacheRow>& rows) {
  Build(rows, false, &v4_);
  Build(rows, true, &v6_);
}

void AddressTable::Build(const std::vector<IpcacheRow>& rows, bool v6, Family* family) {
  size_t whole = 0;
  for (const IpcacheRow& r : rows) {
    if (r.prefix.address().is_v6() == v6 && r.prefix.length() == r.prefix.address().bits()) ++whole;
  }
  family->slots.resize(whole == 0 ? 0 : std::bit_ceil(2 * whole));
  const size_t mask = family->slots.size() - 1;

  // Prefixes nest or are apart: walk them in order, with those that contain the current one on a stack.
  std::vector<uint32_t> open;
  const auto begin_at = [&](Key key, uint32_t row) {
    if (!family->starts.empty() && family->starts.back().key == key) {
      family->starts.back().row = row;
    } else {
      family->starts.push_back({key, row});
    }
  };
  const auto close_one = [&] {
    Key after = KeyOf(rows[open.back()].prefix.Last());
    open.pop_back();
    if (++after.low == 0) ++after.high;
    const bool past_the_end = v6 ? after == Key{} : after.low >> 32 != 0;
    if (!past_the_end) begin_at(after, open.empty() ? kNone : open.back());
  };
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const IpPrefix& p = rows[i].prefix;
    if (p.address().is_v6() != v6) continue;
    const Key key = KeyOf(p.address());
    if (p.length() == p.address().bits()) {
      size_t at = Hash(key) & mask;
      while (family->slots[at].row != kNone) at = (at + 1) & mask;
      family->slots[at] = {key, i};
      continue;
    }
    while (!open.empty() && !rows[open.back()].prefix.Contains(p)) close_one();
    open.push_back(i);
    begin_at(key, i);
  }
  while (!open.empty()) close_one();
  family->starts.shrink_to_fit();
}

uint32_t AddressTable::Find(const IpAddress& address) const {
  const Family& f = address.is_v6() ? v6_ : v4_;
  const Key key = KeyOf(address);
  if (!f.slots.empty()) {
    const size_t mask = f.slots.size() - 1;
    for (size_t at = Hash(key) & mask; f.slots[at].row != kNone; at = (at + 1) & mask) {
      if (f.slots[at].key == key) return f.slots[at].row;
    }
  }
  const auto it =
      std::upper_bound(f.starts.begin(), f.starts.end(), key, [](const Key& k, const Start& s) { return k < s.key; });
  return it == f.starts.begin() ? kNone : std::prev(it)->row;
}

size_t AddressTable::memory() const {
  size_t n = 0;
  for (const Family* f : {&v4_, &v6_}) n += f->slots.capacity() * sizeof(Slot) + f->starts.capacity() * sizeof(Start);
  return n;
}

}  // namespace espalier::policy
