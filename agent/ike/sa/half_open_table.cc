#include "agent/ike/sa/half_open_table.h"

#include <openssl/sha.h>

namespace espalier::ike {
namespace {
IpPrefix PrefixOf(const Endpoint& from) { return IpPrefix(from.address, from.address.is_v6() ? 64 : 32); }
}  // namespace

HalfOpenTable::Key HalfOpenTable::KeyOf(const Endpoint& from, ByteSpan request) {
  Key key{from, {}};
  SHA256(request.data(), request.size(), key.second.data());
  return key;
}

std::optional<uint64_t> HalfOpenTable::Find(const Endpoint& from, ByteSpan request) const {
  auto it = by_key_.find(KeyOf(from, request));
  if (it == by_key_.end()) return std::nullopt;
  return it->second;
}

void HalfOpenTable::Add(absl::Time now, const Endpoint& from, ByteSpan request, uint64_t own_spi) {
  Entry entry{KeyOf(from, request), PrefixOf(from), now};
  by_key_[entry.key] = own_spi;
  ++by_prefix_[entry.prefix];
  by_age_.insert({now, own_spi});
  by_spi_[own_spi] = std::move(entry);
}

void HalfOpenTable::Finished(uint64_t own_spi) {
  auto it = by_spi_.find(own_spi);
  if (it == by_spi_.end() || !it->second.half_open) return;
  it->second.half_open = false;
  by_age_.erase({it->second.since, own_spi});
  auto prefix = by_prefix_.find(it->second.prefix);
  if (--prefix->second == 0) by_prefix_.erase(prefix);
}

void HalfOpenTable::Remove(uint64_t own_spi) {
  Finished(own_spi);
  auto it = by_spi_.find(own_spi);
  if (it == by_spi_.end()) return;
  by_key_.erase(it->second.key);
  by_spi_.erase(it);
}

size_t HalfOpenTable::half_open_of(const Endpoint& from) const {
  auto it = by_prefix_.find(PrefixOf(from));
  return it == by_prefix_.end() ? 0 : it->second;
}

std::optional<uint64_t> HalfOpenTable::Oldest() const {
  if (by_age_.empty()) return std::nullopt;
  return by_age_.begin()->second;
}

}  // namespace espalier::ike
