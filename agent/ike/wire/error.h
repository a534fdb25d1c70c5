// What can be wrong with a received message, as absl::Status, told apart by what it asks of the receiver.
#ifndef ESPALIER_AGENT_IKE_WIRE_ERROR_H_
#define ESPALIER_AGENT_IKE_WIRE_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::wire {

enum class Fault {
  kDrop,          // not an IKE message for us at all: silence (IKE-001, IKE-003)
  kMajorVersion,  // a request of a later major version: INVALID_MAJOR_VERSION, rate-limited (IKE-003)
  kMalformed,     // INVALID_SYNTAX where the message was sealed, silence where it was not (ERR-01, ERR-03)
  kCritical,      // an unknown payload with the critical bit: UNSUPPORTED_CRITICAL_PAYLOAD (IKE-006)
};

// The messages are for logs: fixed words and numbers, never octets of the peer.
absl::Status DropError(absl::string_view what);
absl::Status MajorVersionError(int major);
absl::Status MalformedError(absl::string_view what);
absl::Status CriticalError(PayloadType type);

// Of an error of this library. Any other error status counts as kDrop.
Fault FaultOf(const absl::Status& status);
// The one octet that UNSUPPORTED_CRITICAL_PAYLOAD carries (RFC 7296 section 3.10.1); kNone if it isn't that fault.
PayloadType CriticalType(const absl::Status& status);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_ERROR_H_
