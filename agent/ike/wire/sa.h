// Security Association payload, RFC 7296 section 3.3.
#ifndef ESPALIER_AGENT_IKE_WIRE_SA_H_
#define ESPALIER_AGENT_IKE_WIRE_SA_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Last Substruc |   RESERVED    |        Transform Length       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |Transform Type |   RESERVED    |          Transform ID         |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                      Transform Attributes                     ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct Transform {
  TransformType type = TransformType::kEncr;
  uint16_t id = 0;
  std::optional<uint16_t> key_bits;  // attribute 14
  // There was an attribute that we don't know, a doubled one, or Key Length in the TLV form: the transform must not be
  // chosen, the rest of the proposal may (RFC 7296 sections 3.3.5, 3.3.6). Never written.
  bool unusable = false;

  friend bool operator==(const Transform&, const Transform&) = default;
};

//                      1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Last Substruc |   RESERVED    |         Proposal Length       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                        SPI (variable)                         ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// ~                        <Transforms>                           ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
struct Proposal {
  uint8_t number = 1;
  ProtocolId protocol = ProtocolId::kIke;
  Bytes spi;  // 0, 4 or 8 octets, network order; other sizes only where the protocol is unknown
  std::vector<Transform> transforms;

  // The SPI as a number in host order; 0 where there is none (or one of another size).
  uint32_t spi32() const;
  uint64_t spi64() const;
  void set_spi32(uint32_t v);
  void set_spi64(uint64_t v);
  // The first transform of a type (of an accepted proposal: the only one), or null.
  const Transform* Find(TransformType type) const;

  friend bool operator==(const Proposal&, const Proposal&) = default;
};

// Parsing checks structure only: lengths, counts, Last Substruc, numbers that grow by one, SPI sizes that a known
// protocol can have (IKE 0 or 8, AH and ESP 4). What may be chosen is proposal_rules.h.
struct SaPayload {
  std::vector<Proposal> proposals;

  static absl::StatusOr<SaPayload> Parse(ByteSpan body);
  void Write(Writer* out) const;
  friend bool operator==(const SaPayload&, const SaPayload&) = default;
};

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_SA_H_
