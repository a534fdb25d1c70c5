// A sealed message is made and opened in these steps:
//   1. header, then the generic header of SK (or SKF with its two numbers): all of it associated data
//   2. IV, from a counter of the key
//   3. inner payloads, padding (none is needed by an AEAD) and pad length, encrypted
//   4. ICV over all
#include "agent/ike/crypto/sealed_message.h"

#include <algorithm>

#include "agent/ike/wire/error.h"

namespace espalier::ike::crypto {
namespace {

using wire::PayloadType;

constexpr size_t kGenericHeader = 4;
constexpr size_t kFragmentNumbers = 4;
constexpr size_t kSealOverhead = kIvSize + 1 + kIcvSize;  // with the pad length octet
constexpr size_t kSkOverhead = wire::kHeaderSize + kGenericHeader + kSealOverhead;
constexpr size_t kSkfOverhead = kSkOverhead + kFragmentNumbers;
constexpr size_t kMaxInner = 65000;  // a UDP datagram, and the 16-bit length of SK
constexpr size_t kMinMessage = 128;
// One IV is kept back, so that the counter never wraps (IKE-014).
constexpr uint64_t kLastIv = ~uint64_t{0} - 1;

struct FragmentPlace {
  uint16_t number = 0, total = 0;  // 0, 0: an SK, not a fragment
};

absl::StatusOr<Bytes> SealOne(const wire::Header& header, PayloadType first_inner, FragmentPlace place, ByteSpan chunk,
                              const Aead& aead, uint64_t* next_iv) {
  if (*next_iv > kLastIv) return absl::ResourceExhaustedError("IVs used up");
  const bool fragment = place.total != 0;
  const size_t length = (fragment ? kSkfOverhead : kSkOverhead) + chunk.size();
  Bytes out;
  out.reserve(length);
  Writer w(&out);
  wire::WriteHeader(header, fragment ? PayloadType::kSkf : PayloadType::kSk, static_cast<uint32_t>(length), &w);
  // RFC 7383 section 2.5: the first inner type stands in fragment 1 only.
  w.U8(static_cast<uint8_t>(place.number <= 1 ? first_inner : PayloadType::kNone));
  w.U8(0);
  w.U16(static_cast<uint16_t>(length - wire::kHeaderSize));
  if (fragment) {
    w.U16(place.number);
    w.U16(place.total);
  }
  Bytes plain(chunk.begin(), chunk.end());
  plain.push_back(0);  // pad length
  const Bytes aad = out;
  const absl::Status status = aead.Seal((*next_iv)++, aad, plain, &out);
  if (!status.ok()) return status;
  return out;
}

// Decrypts, and takes padding and pad length off.
absl::StatusOr<Bytes> OpenBody(ByteSpan datagram, const wire::Message& message, const Aead& aead) {
  const wire::EncryptedPayload& e = *message.encrypted;
  absl::StatusOr<Bytes> plain = aead.Open(datagram.first(e.body_offset), datagram.subspan(e.body_offset, e.body_size));
  if (!plain.ok()) return plain.status();
  if (message.unknown_critical != PayloadType::kNone) return wire::CriticalError(message.unknown_critical);
  if (plain->empty() || plain->back() >= plain->size()) return wire::MalformedError("pad length");
  plain->resize(plain->size() - plain->back() - 1);
  return plain;
}

bool Locates(ByteSpan datagram, const wire::Message& message, PayloadType type) {
  return message.encrypted.has_value() && message.encrypted->type == type &&
         message.encrypted->body_offset + message.encrypted->body_size == datagram.size();
}

}  // namespace

size_t MaxMessageSize(size_t ip_datagram, bool ipv6, bool non_esp_marker) {
  const size_t headers = (ipv6 ? 40u : 20u) + 8u + (non_esp_marker ? 4u : 0u);
  return std::max(ip_datagram, headers + kMinMessage) - headers;
}

absl::StatusOr<SealedMessage> SealMessage(const wire::Header& header, PayloadType first_inner, ByteSpan inner,
                                          const Aead& aead, uint64_t* next_iv, const SealOptions& options) {
  if (inner.size() > kMaxInner) return absl::ResourceExhaustedError("message too long");
  const size_t max = std::max(options.max_message, kMinMessage);
  SealedMessage out;
  {
    Bytes prefix;
    Writer w(&prefix);
    wire::WriteHeader(header, PayloadType::kSk, 0, &w);
    w.U8(static_cast<uint8_t>(first_inner));
    w.U8(0);
    w.U16(0);
    out.int_auth_header = wire::IntAuthHeader(prefix, inner.size());
  }
  if (!options.fragmentation || kSkOverhead + inner.size() <= max) {
    absl::StatusOr<Bytes> one = SealOne(header, first_inner, {}, inner, aead, next_iv);
    if (!one.ok()) return one.status();
    out.datagrams.push_back(*std::move(one));
    return out;
  }
  const size_t chunk = max - kSkfOverhead;
  const size_t total = (inner.size() + chunk - 1) / chunk;  // at most 65,000 / 67
  for (size_t i = 0; i < total; ++i) {
    const ByteSpan part = inner.subspan(i * chunk, std::min(chunk, inner.size() - i * chunk));
    const FragmentPlace place{static_cast<uint16_t>(i + 1), static_cast<uint16_t>(total)};
    absl::StatusOr<Bytes> one = SealOne(header, first_inner, place, part, aead, next_iv);
    if (!one.ok()) return one.status();
    out.datagrams.push_back(*std::move(one));
  }
  return out;
}

absl::StatusOr<SealedMessage> SealMessage(const wire::Header& header, const wire::Payloads& inner, const Aead& aead,
                                          uint64_t* next_iv, const SealOptions& options) {
  const absl::StatusOr<Bytes> chain = wire::WritePayloads(inner);
  if (!chain.ok()) return chain.status();
  return SealMessage(header, inner.first_type(), *chain, aead, next_iv, options);
}

absl::StatusOr<wire::OpenedMessage> OpenMessage(ByteSpan datagram, const wire::Message& message, const Aead& aead) {
  if (!Locates(datagram, message, PayloadType::kSk)) return absl::FailedPreconditionError("no SK");
  absl::StatusOr<Bytes> inner = OpenBody(datagram, message, aead);
  if (!inner.ok()) return inner.status();
  wire::OpenedMessage out;
  out.first_inner = message.encrypted->first_inner;
  out.int_auth_header = wire::IntAuthHeader(datagram.first(message.encrypted->body_offset), inner->size());
  out.inner = *std::move(inner);
  return out;
}

absl::StatusOr<wire::OpenedFragment> OpenFragment(ByteSpan datagram, const wire::Message& message, const Aead& aead) {
  if (!Locates(datagram, message, PayloadType::kSkf)) return absl::FailedPreconditionError("no SKF");
  absl::StatusOr<Bytes> chunk = OpenBody(datagram, message, aead);
  if (!chunk.ok()) return chunk.status();
  const wire::EncryptedPayload& e = *message.encrypted;
  wire::OpenedFragment out;
  out.number = e.fragment;
  out.total = e.total;
  out.chunk = *std::move(chunk);
  if (e.fragment == 1) {
    out.first_inner = e.first_inner;
    const ByteSpan prefix = datagram.first(e.header_offset + kGenericHeader);
    out.clear_prefix.assign(prefix.begin(), prefix.end());
  }
  return out;
}

}  // namespace espalier::ike::crypto
