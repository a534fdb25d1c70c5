// Remembers the policy's answer for the flows that are talking now.
#ifndef ESPALIER_AGENT_DATAPATH_FLOW_CACHE_H_
#define ESPALIER_AGENT_DATAPATH_FLOW_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "agent/esp/inner_packet.h"
#include "agent/policy/snapshot.h"

namespace espalier::datapath {

// Direct-mapped and of a fixed size: a flood of flows costs lookups, never memory. One thread.
class FlowCache {
 public:
  FlowCache() : entries_(kEntries) {}

  // `generation` names the snapshot: another number makes every older entry void. The reference is valid until the next
  // call.
  const policy::Decision& Decide(const policy::Snapshot& snapshot, uint64_t generation,
                                 const esp::InnerPacket& packet) {
    const Key key = KeyOf(packet);
    Entry& e = entries_[Hash(key) % kEntries];
    if (e.generation != generation || std::memcmp(&e.key, &key, sizeof(key)) != 0) {
      e.key = key;
      e.generation = generation;
      e.decision = packet.later_fragment ? snapshot.DecideFragment(packet.source, packet.destination)
                                         : snapshot.Decide({packet.source, packet.destination, packet.protocol,
                                                            packet.source_port, packet.destination_port});
    }
    return e.decision;
  }

 private:
  static constexpr size_t kEntries = 2048;

  struct Key {
    uint64_t words[5] = {};
  };
  struct Entry {
    Key key;
    uint64_t generation = 0;  // 0: empty
    policy::Decision decision;
  };

  static Key KeyOf(const esp::InnerPacket& p) {
    Key k;
    const auto source = p.source.octets(), destination = p.destination.octets();
    std::memcpy(&k.words[0], source.data(), source.size());
    std::memcpy(&k.words[2], destination.data(), destination.size());
    k.words[4] = uint64_t{p.source_port} | uint64_t{p.destination_port} << 16 | uint64_t{p.protocol} << 32 |
                 uint64_t{p.later_fragment} << 40 | uint64_t{p.v6} << 41;
    return k;
  }
  static uint64_t Hash(const Key& k) {
    uint64_t h = 0x9e3779b97f4a7c15;
    for (const uint64_t w : k.words) {
      h = (h ^ w) * 0xff51afd7ed558ccd;
      h ^= h >> 32;
    }
    return h;
  }

  std::vector<Entry> entries_;
};

}  // namespace espalier::datapath

#endif  // ESPALIER_AGENT_DATAPATH_FLOW_CACHE_H_
