// The ipcache as a lookup table: longest prefix first, one hash probe for whole addresses, a binary search for the
// rest.
#ifndef ESPALIER_AGENT_POLICY_ADDRESS_TABLE_H_
#define ESPALIER_AGENT_POLICY_ADDRESS_TABLE_H_

#include <compare>
#include <cstdint>
#include <vector>

#include "agent/policy/snapshot.h"
#include "common/ip.h"

namespace espalier::policy {

// Immutable once built. Find() allocates nothing.
class AddressTable {
 public:
  AddressTable() = default;
  // `rows`: sorted by prefix (address, then length), each prefix once.
  explicit AddressTable(const std::vector<IpcacheRow>& rows);

  static constexpr uint32_t kNone = UINT32_MAX;
  // Index of the longest prefix's row; kNone if none contains the address.
  uint32_t Find(const IpAddress& address) const;
  size_t memory() const;

 private:
  struct Key {
    uint64_t high = 0, low = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Start {  // from `key` up to the next one's, `row` answers
    Key key;
    uint32_t row;
  };
  struct Slot {
    Key key;
    uint32_t row = kNone;
  };
  struct Family {
    std::vector<Slot> slots;  // open addressing; a power of two, at most half full
    std::vector<Start> starts;
  };

  static Key KeyOf(const IpAddress& address);
  static size_t Hash(const Key& key);
  void Build(const std::vector<IpcacheRow>& rows, bool v6, Family* family);

  Family v4_, v6_;
};

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_ADDRESS_TABLE_H_
