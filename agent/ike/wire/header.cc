#include "agent/ike/wire/header.h"

#include "agent/ike/wire/error.h"
#include "agent/ike/wire/notify.h"

namespace espalier::ike::wire {
namespace {

constexpr uint8_t kMajor = 2;

// The fields as they lie there, with the version's octet. False: too short, or Length is not the datagram's.
bool ReadFields(ByteSpan datagram, Header* h, uint8_t* version) {
  Reader r(datagram);
  uint8_t next = 0, exchange = 0, flags = 0;
  r.U64(&h->spi_i);
  r.U64(&h->spi_r);
  r.U8(&next);
  r.U8(version);
  r.U8(&exchange);
  r.U8(&flags);
  r.U32(&h->message_id);
  r.U32(&h->length);
  h->first_payload = static_cast<PayloadType>(next);
  h->exchange = static_cast<ExchangeType>(exchange);
  h->from_initiator = (flags & kFlagInitiator) != 0;
  h->response = (flags & kFlagResponse) != 0;
  return r.ok() && h->length == datagram.size();
}

}  // namespace

absl::StatusOr<Header> ParseHeader(ByteSpan datagram) {
  Header h;
  uint8_t version = 0;
  if (!ReadFields(datagram, &h, &version)) return DropError("length");
  const int major = version >> 4;
  if (major > kMajor) return h.response ? DropError("response of a later major version") : MajorVersionError(major);
  if (major < kMajor) return DropError("major version below 2");
  if (h.spi_i == 0) return DropError("initiator SPI 0");
  return h;
}

void WriteHeader(const Header& header, PayloadType first_payload, uint32_t length, Writer* out) {
  out->U64(header.spi_i);
  out->U64(header.spi_r);
  out->U8(static_cast<uint8_t>(first_payload));
  out->U8(kMajor << 4);
  out->U8(static_cast<uint8_t>(header.exchange));
  out->U8(static_cast<uint8_t>((header.from_initiator ? kFlagInitiator : 0) | (header.response ? kFlagResponse : 0)));
  out->U32(header.message_id);
  out->U32(length);
}

Bytes MajorVersionAnswer(ByteSpan datagram) {
  Header h;
  uint8_t version = 0;
  if (!ReadFields(datagram, &h, &version) || version >> 4 <= kMajor || h.response) return {};
  h.response = true;
  // Flag I tells the sender's role in the IKE SA: we are the other end (RFC 7296 section 3.1).
  h.from_initiator = !h.from_initiator;
  Bytes out;
  Writer w(&out);
  Bytes body;
  Writer body_writer(&body);
  NotifyPayload(NotifyType::kInvalidMajorVersion).Write(&body_writer);
  WriteHeader(h, PayloadType::kNotify, static_cast<uint32_t>(kHeaderSize + 4 + body.size()), &w);
  w.U8(static_cast<uint8_t>(PayloadType::kNone));
  w.U8(0);
  w.U16(static_cast<uint16_t>(4 + body.size()));
  w.Raw(body);
  return out;
}

}  // namespace espalier::ike::wire
