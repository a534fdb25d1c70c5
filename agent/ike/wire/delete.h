// Delete payload, RFC 7296 section 3.11.
#ifndef ESPALIER_AGENT_IKE_WIRE_DELETE_H_
#define ESPALIER_AGENT_IKE_WIRE_DELETE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Protocol ID   |   SPI Size    |          Num of SPIs          |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~               Security Parameter Index(es) (SPI)              ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct DeletePayload {
  ProtocolId protocol = ProtocolId::kIke;  // of an unknown protocol nothing is kept but this
  std::vector<uint32_t> spis;              // AH, ESP: the sender's inbound ones, host order

  static absl::StatusOr<DeletePayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const DeletePayload&, const DeletePayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_DELETE_H_
