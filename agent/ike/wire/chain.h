// Walking a chain of payloads by their generic headers; internal to this library.
#ifndef ESPALIER_AGENT_IKE_WIRE_CHAIN_H_
#define ESPALIER_AGENT_IKE_WIRE_CHAIN_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Next Payload  |C|  RESERVED   |         Payload Length        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
inline constexpr size_t kGenericHeaderSize = 4;
inline constexpr uint8_t kCriticalBit = 0x80;

struct RawPayload {
  PayloadType type = PayloadType::kNone;
  PayloadType next = PayloadType::kNone;
  uint8_t flags = 0;  // critical bit and RESERVED
  size_t offset = 0;  // of the generic header in the chain
  ByteSpan body;

  bool critical() const { return (flags & kCriticalBit) != 0; }
};

// Types that RFC 7296 or RFC 7383 define. All others are unknown, those of IKEv1 (1 to 32) too (IKE-006).
bool IsKnown(PayloadType type);

// Calls `visit` for each payload in order until it fails; SK and SKF end the chain, whatever their next-payload field
// (it names the first inner payload). Malformed: a length below 4 or past the end, octets left over, too many payloads.
absl::Status WalkChain(PayloadType first, ByteSpan chain, absl::FunctionRef<absl::Status(const RawPayload&)> visit);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_CHAIN_H_
