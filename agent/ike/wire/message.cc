#include "agent/ike/wire/message.h"

#include "agent/ike/wire/chain.h"
#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

absl::Status NoteEncrypted(const RawPayload& p, Message* out) {
  EncryptedPayload e;
  e.type = p.type;
  e.first_inner = p.next;
  e.flags = p.flags;
  e.header_offset = kHeaderSize + p.offset;
  e.body_offset = e.header_offset + kGenericHeaderSize;
  ByteSpan body = p.body;
  if (p.type == PayloadType::kSkf) {
    Reader r(body);
    r.U16(&e.fragment);
    r.U16(&e.total);
    if (!r.ok()) return MalformedError("SKF too short");
    e.body_offset += 4;
    body = r.Rest();
  }
  e.body_size = body.size();
  out->encrypted = e;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Message> ParseMessage(ByteSpan datagram) {
  const absl::StatusOr<Header> header = ParseHeader(datagram);
  if (!header.ok()) return header.status();
  Message out;
  out.header = *header;
  const ByteSpan chain = datagram.subspan(kHeaderSize);

  // First by length alone: what is sealed is not read, nor what stands before it.
  absl::Status status = WalkChain(header->first_payload, chain, [&](const RawPayload& p) -> absl::Status {
    if (p.type == PayloadType::kSk || p.type == PayloadType::kSkf) return NoteEncrypted(p, &out);
    if (!IsKnown(p.type) && p.critical() && out.unknown_critical == PayloadType::kNone) out.unknown_critical = p.type;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (out.encrypted.has_value()) return out;

  absl::StatusOr<Payloads> payloads = ParsePayloads(header->first_payload, chain);
  if (!payloads.ok()) return payloads.status();
  out.payloads = *std::move(payloads);
  return out;
}

absl::StatusOr<Bytes> WriteMessage(const Header& header, const Payloads& payloads) {
  const absl::StatusOr<Bytes> chain = WritePayloads(payloads);
  if (!chain.ok()) return chain.status();
  Bytes out;
  out.reserve(kHeaderSize + chain->size());
  Writer w(&out);
  WriteHeader(header, payloads.first_type(), static_cast<uint32_t>(kHeaderSize + chain->size()), &w);
  w.Raw(*chain);
  return out;
}

}  // namespace espalier::ike::wire
