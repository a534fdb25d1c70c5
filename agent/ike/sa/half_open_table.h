// The IKE_SA_INIT requests that we answered: who repeats one gets the same answer (RFC 7296 section 2.1), and how many
// of their IKE SAs are not authenticated yet (IKE-091).
#ifndef ESPALIER_AGENT_IKE_SA_HALF_OPEN_TABLE_H_
#define ESPALIER_AGENT_IKE_SA_HALF_OPEN_TABLE_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::ike {

class HalfOpenTable {
 public:
  // The IKE SA (own SPI) that these octets from there made.
  std::optional<uint64_t> Find(const Endpoint& from, ByteSpan request) const;
  void Add(absl::Time now, const Endpoint& from, ByteSpan request, uint64_t own_spi);
  // It is authenticated: no longer half-open, but a repeat still finds it.
  void Finished(uint64_t own_spi);
  void Remove(uint64_t own_spi);

  size_t half_open() const { return by_age_.size(); }
  // Half-open ones of the same IPv4 address or IPv6 /64.
  size_t half_open_of(const Endpoint& from) const;
  std::optional<uint64_t> Oldest() const;

 private:
  using Key = std::pair<Endpoint, std::array<uint8_t, 32>>;
  struct Entry {
    Key key;
    IpPrefix prefix;
    absl::Time since;
    bool half_open = true;
  };
  static Key KeyOf(const Endpoint& from, ByteSpan request);

  std::map<Key, uint64_t> by_key_;
  std::map<uint64_t, Entry> by_spi_;
  std::map<IpPrefix, size_t> by_prefix_;
  std::set<std::pair<absl::Time, uint64_t>> by_age_;
};

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_HALF_OPEN_TABLE_H_
