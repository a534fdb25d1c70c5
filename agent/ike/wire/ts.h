// Traffic Selector payloads, RFC 7296 section 3.13.
#ifndef ESPALIER_AGENT_IKE_WIRE_TS_H_
#define ESPALIER_AGENT_IKE_WIRE_TS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |   TS Type     |IP Protocol ID*|       Selector Length         |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |           Start Port*         |           End Port*           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                         Starting Address*                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                         Ending Address*                       ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct TrafficSelector {
  uint8_t protocol = 0;     // 0: any
  uint16_t start_port = 0;  // ICMP: type in the high octet, code in the low one. 0-65535 ANY, 65535-0 OPAQUE
  uint16_t end_port = 65535;
  IpAddress first, last;  // of one family, first <= last

  bool any_port() const { return start_port == 0 && end_port == 65535; }
  bool opaque_port() const { return start_port == 65535 && end_port == 0; }
  bool Contains(const IpAddress& address) const {
    return address.is_v6() == first.is_v6() && first <= address && address <= last;
  }
  // "10.0.0.0-10.0.0.255 tcp? 443": for logs.
  std::string ToString() const;

  static TrafficSelector All4();  // 0.0.0.0-255.255.255.255, any protocol and port
  static TrafficSelector All6();
  static TrafficSelector Of(const IpPrefix& prefix);

  friend bool operator==(const TrafficSelector&, const TrafficSelector&) = default;
};

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Number of TSs |                 RESERVED                      |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                       <Traffic Selectors>                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct TsPayload {
  // Of types we know; may be empty after a parse, which is TS_UNACCEPTABLE (IKE-015). At most 255.
  std::vector<TrafficSelector> selectors;

  static absl::StatusOr<TsPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const TsPayload&, const TsPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_TS_H_
