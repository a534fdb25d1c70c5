// Reassembly of one fragmented message, RFC 7383 section 2.6. Works on opened fragments: what comes here has a good
// ICV.
#ifndef ESPALIER_AGENT_IKE_WIRE_REASSEMBLER_H_
#define ESPALIER_AGENT_IKE_WIRE_REASSEMBLER_H_

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

// A whole message after its encryption is off.
struct OpenedMessage {
  PayloadType first_inner = PayloadType::kNone;
  Bytes inner;  // the chain, for ParsePayloads
  // "IntAuth_A" of RFC 9242 section 3.3.2: header to the SK generic header, lengths adjusted, as if not fragmented.
  Bytes int_auth_header;
};

// One SKF payload whose ICV held.
struct OpenedFragment {
  uint16_t number = 0;  // from 1
  uint16_t total = 0;
  PayloadType first_inner = PayloadType::kNone;  // of fragment 1
  Bytes chunk;
  // Of fragment 1: its octets through SKF's generic header (the last 4), to build int_auth_header from. Otherwise
  // empty.
  Bytes clear_prefix;
};

// Limits of ours (IKE-071).
struct ReassemblyLimits {
  uint16_t fragments = 128;
  size_t octets = 65000;                   // so that the whole still has a 16-bit length
  absl::Duration age = absl::Seconds(30);  // since the first kept fragment
};

// Fragments of one (IKE SA, direction, message ID). The caller keeps few of these and drops one whose Expired() is true
// or whose SA goes.
class Reassembler {
 public:
  explicit Reassembler(ReassemblyLimits limits = {}) : limits_(limits) {}

  // Whether a fragment with these (unauthenticated) numbers is worth opening. False: number 0, above total, total below
  // what is kept, a duplicate, or too many: drop it.
  bool Wants(uint16_t number, uint16_t total) const;

  // Takes an opened fragment, and returns the message when it is whole; the set is empty again then. A larger total
  // starts over (RFC 7383 section 2.6). What Wants() refuses is ignored; a set that passes the octet limit is dropped.
  std::optional<OpenedMessage> Add(absl::Time now, OpenedFragment fragment);

  bool Expired(absl::Time now) const { return kept_ > 0 && now - started_ >= limits_.age; }
  void Clear();
  size_t fragments() const { return kept_; }
  size_t octets() const { return octets_; }

 private:
  ReassemblyLimits limits_;
  uint16_t total_ = 0;
  std::vector<std::optional<OpenedFragment>> parts_;  // by number - 1; grows with what arrives
  size_t kept_ = 0;
  size_t octets_ = 0;
  absl::Time started_ = absl::InfinitePast();
};

// "IntAuth_A" of a message that parses: `clear_prefix` is its octets through the generic header of SK or SKF. The two
// lengths are set to count header and inner payloads only, and the type that announces an SKF to SK (RFC 9242 section
// 3.3.2).
Bytes IntAuthHeader(ByteSpan clear_prefix, size_t inner_size);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_REASSEMBLER_H_
