#include "agent/ike/wire/sa.h"

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

constexpr uint8_t kLast = 0;  // "Last Substruc", RFC 7296 sections 3.3.1 and 3.3.2
constexpr uint8_t kMoreProposals = 2;
constexpr uint8_t kMoreTransforms = 3;
constexpr uint16_t kAttributeTv = 0x8000;
constexpr size_t kMaxProposals = 64;  // ours (IKE-005)

absl::Status ParseAttributes(ByteSpan octets, Transform* out) {
  Reader r(octets);
  while (r.remaining() > 0) {
    uint16_t type = 0, value = 0;
    r.U16(&type);
    r.U16(&value);
    if (!r.ok()) return MalformedError("transform attribute too short");
    if ((type & kAttributeTv) == 0) {  // TLV: no attribute that we know has it
      if (!r.Skip(value)) return MalformedError("transform attribute length");
      out->unusable = true;
    } else if ((type & ~kAttributeTv) != kAttributeKeyLength || out->key_bits.has_value()) {
      out->unusable = true;
    } else {
      out->key_bits = value;
    }
  }
  return absl::OkStatus();
}

absl::Status ParseTransform(Reader* r, bool last, Transform* out) {
  uint8_t substruc = 0, type = 0;
  uint16_t length = 0;
  r->U8(&substruc);
  r->Skip(1);
  r->U16(&length);
  r->U8(&type);
  r->Skip(1);
  r->U16(&out->id);
  ByteSpan attributes;
  if (!r->ok() || length < 8 || !r->Take(length - 8u, &attributes)) return MalformedError("transform length");
  if (substruc != (last ? kLast : kMoreTransforms)) return MalformedError("transform count");
  out->type = static_cast<TransformType>(type);
  return ParseAttributes(attributes, out);
}

bool SpiSizePossible(ProtocolId protocol, uint8_t size) {
  switch (protocol) {
    case ProtocolId::kIke:
      return size == 0 || size == 8;
    case ProtocolId::kAh:
    case ProtocolId::kEsp:
      return size == 4;
    default:
      return true;
  }
}

// `octets`: the proposal after its first 4.
absl::Status ParseProposal(ByteSpan octets, Proposal* out) {
  uint8_t protocol = 0, spi_size = 0, count = 0;
  ByteSpan spi;
  Reader r(octets);
  r.U8(&out->number);
  r.U8(&protocol);
  r.U8(&spi_size);
  r.U8(&count);
  r.Take(spi_size, &spi);
  if (!r.ok()) return MalformedError("proposal too short");
  out->protocol = static_cast<ProtocolId>(protocol);
  if (!SpiSizePossible(out->protocol, spi_size)) return MalformedError("proposal SPI size");
  out->spi.assign(spi.begin(), spi.end());
  if (r.remaining() < size_t{count} * 8) return MalformedError("transform count");
  out->transforms.resize(count);
  for (int i = 0; i < count; ++i) {
    const absl::Status status = ParseTransform(&r, i + 1 == count, &out->transforms[i]);
    if (!status.ok()) return status;
  }
  return r.AtEnd() ? absl::OkStatus() : MalformedError("transform count");
}

void WriteTransform(const Transform& t, bool last, Writer* out) {
  out->U8(last ? kLast : kMoreTransforms);
  out->U8(0);
  out->U16(t.key_bits.has_value() ? 12 : 8);
  out->U8(static_cast<uint8_t>(t.type));
  out->U8(0);
  out->U16(t.id);
  if (t.key_bits.has_value()) {
    out->U16(kAttributeTv | kAttributeKeyLength);
    out->U16(*t.key_bits);
  }
}

}  // namespace

uint32_t Proposal::spi32() const {
  uint32_t v = 0;
  if (spi.size() == 4) Reader(spi).U32(&v);
  return v;
}

uint64_t Proposal::spi64() const {
  uint64_t v = 0;
  if (spi.size() == 8) Reader(spi).U64(&v);
  return v;
}

void Proposal::set_spi32(uint32_t v) {
  spi.clear();
  Writer(&spi).U32(v);
}

void Proposal::set_spi64(uint64_t v) {
  spi.clear();
  Writer(&spi).U64(v);
}

const Transform* Proposal::Find(TransformType type) const {
  for (const Transform& t : transforms) {
    if (t.type == type) return &t;
  }
  return nullptr;
}

absl::StatusOr<SaPayload> SaPayload::Parse(ByteSpan body) {
  SaPayload out;
  Reader r(body);
  bool more = true;
  while (more) {
    uint8_t substruc = 0;
    uint16_t length = 0;
    ByteSpan rest;
    r.U8(&substruc);
    r.Skip(1);
    r.U16(&length);
    if (!r.ok() || length < 4 || !r.Take(length - 4u, &rest)) return MalformedError("proposal length");
    if (substruc != kLast && substruc != kMoreProposals) return MalformedError("proposal count");
    more = substruc == kMoreProposals;
    if (out.proposals.size() == kMaxProposals) return MalformedError("too many proposals");
    Proposal p;
    const absl::Status status = ParseProposal(rest, &p);
    if (!status.ok()) return status;
    // RFC 7296 section 3.3.1. An answer has one proposal, of any number.
    if (!out.proposals.empty() && p.number != out.proposals.back().number + 1) return MalformedError("proposal number");
    out.proposals.push_back(std::move(p));
  }
  if (!r.AtEnd()) return MalformedError("proposal count");
  return out;
}

void SaPayload::Write(Writer* out) const {
  for (size_t i = 0; i < proposals.size(); ++i) {
    const Proposal& p = proposals[i];
    size_t length = 8 + p.spi.size();
    for (const Transform& t : p.transforms) length += t.key_bits.has_value() ? 12 : 8;
    out->U8(i + 1 == proposals.size() ? kLast : kMoreProposals);
    out->U8(0);
    out->U16(static_cast<uint16_t>(length));
    out->U8(p.number);
    out->U8(static_cast<uint8_t>(p.protocol));
    out->U8(static_cast<uint8_t>(p.spi.size()));
    out->U8(static_cast<uint8_t>(p.transforms.size()));
    out->Raw(p.spi);
    for (size_t j = 0; j < p.transforms.size(); ++j) {
      WriteTransform(p.transforms[j], j + 1 == p.transforms.size(), out);
    }
  }
}

}  // namespace espalier::ike::wire
