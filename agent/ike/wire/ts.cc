#include "agent/ike/wire/ts.h"

#include "absl/strings/str_cat.h"
#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

constexpr uint16_t kIpv4Length = 16;  // RFC 7296 section 3.13.1
constexpr uint16_t kIpv6Length = 40;

IpAddress Address(ByteSpan octets) {
  return octets.size() == 16 ? IpAddress::V6(octets.first<16>()) : IpAddress::V4(octets.first<4>());
}

// One selector; nullopt: of a type we don't know, stepped over.
absl::StatusOr<std::optional<TrafficSelector>> ParseOne(Reader* r) {
  uint8_t type = 0;
  uint16_t length = 0;
  TrafficSelector out;
  r->U8(&type);
  r->U8(&out.protocol);
  r->U16(&length);
  ByteSpan rest;
  if (!r->ok() || length < 4 || !r->Take(length - 4u, &rest)) return MalformedError("selector length");

  size_t address_size = 0;
  switch (static_cast<TsType>(type)) {
    case TsType::kIpv4Range:
      if (length != kIpv4Length) return MalformedError("selector length");
      address_size = 4;
      break;
    case TsType::kIpv6Range:
      if (length != kIpv6Length) return MalformedError("selector length");
      address_size = 16;
      break;
    default:
      return std::nullopt;
  }
  Reader fields(rest);
  ByteSpan first, last;
  fields.U16(&out.start_port);
  fields.U16(&out.end_port);
  fields.Take(address_size, &first);
  fields.Take(address_size, &last);
  out.first = Address(first);
  out.last = Address(last);
  if (out.last < out.first) return MalformedError("selector address range");
  if (out.start_port > out.end_port && !out.opaque_port()) return MalformedError("selector port range");
  // RFC 7296 section 3.13.1: without a protocol, ports mean nothing and must be all.
  if (out.protocol == 0 && !out.any_port()) return MalformedError("selector ports without protocol");
  return out;
}

}  // namespace

std::string TrafficSelector::ToString() const {
  std::string out = first.ToString();
  if (last != first) absl::StrAppend(&out, "-", last.ToString());
  if (protocol != 0) absl::StrAppend(&out, " proto ", protocol);
  if (opaque_port()) {
    absl::StrAppend(&out, " port opaque");
  } else if (!any_port()) {
    absl::StrAppend(&out, " port ", start_port);
    if (end_port != start_port) absl::StrAppend(&out, "-", end_port);
  }
  return out;
}

TrafficSelector TrafficSelector::Of(const IpPrefix& prefix) {
  TrafficSelector out;
  out.first = prefix.address();
  out.last = prefix.Last();
  return out;
}

TrafficSelector TrafficSelector::All4() { return Of(IpPrefix()); }

TrafficSelector TrafficSelector::All6() {
  constexpr uint8_t kZero[16] = {};
  return Of(IpPrefix(IpAddress::V6(kZero), 0));
}

absl::StatusOr<TsPayload> TsPayload::Parse(ByteSpan body) {
  TsPayload out;
  Reader r(body);
  uint8_t count = 0;
  r.U8(&count);
  r.Skip(3);
  if (!r.ok()) return MalformedError("TS too short");
  for (int i = 0; i < count; ++i) {
    const auto one = ParseOne(&r);
    if (!one.ok()) return one.status();
    if (one->has_value()) out.selectors.push_back(**one);
  }
  if (!r.AtEnd()) return MalformedError("TS count");
  return out;
}

void TsPayload::Write(Writer* out) const {
  out->U8(static_cast<uint8_t>(selectors.size()));
  out->U8(0);
  out->U16(0);
  for (const TrafficSelector& s : selectors) {
    const bool v6 = s.first.is_v6();
    out->U8(static_cast<uint8_t>(v6 ? TsType::kIpv6Range : TsType::kIpv4Range));
    out->U8(s.protocol);
    out->U16(v6 ? kIpv6Length : kIpv4Length);
    out->U16(s.start_port);
    out->U16(s.end_port);
    out->Raw(s.first.octets());
    out->Raw(s.last.octets());
  }
}

}  // namespace espalier::ike::wire
