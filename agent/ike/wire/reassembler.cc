#include "agent/ike/wire/reassembler.h"

#include <utility>

#include "agent/ike/wire/chain.h"
#include "agent/ike/wire/header.h"

namespace espalier::ike::wire {

bool Reassembler::Wants(uint16_t number, uint16_t total) const {
  if (number == 0 || number > total || total > limits_.fragments) return false;
  if (kept_ == 0) return true;
  if (total < total_) return false;
  return total > total_ || !parts_[number - 1].has_value();
}

std::optional<OpenedMessage> Reassembler::Add(absl::Time now, OpenedFragment fragment) {
  if (Expired(now)) Clear();
  if (!Wants(fragment.number, fragment.total)) return std::nullopt;
  if (fragment.total != total_) Clear();
  if (octets_ + fragment.chunk.size() > limits_.octets) {
    Clear();
    return std::nullopt;
  }
  if (kept_ == 0) {
    started_ = now;
    total_ = fragment.total;
    parts_.resize(total_);
  }
  octets_ += fragment.chunk.size();
  ++kept_;
  parts_[fragment.number - 1] = std::move(fragment);
  if (kept_ < total_) return std::nullopt;

  OpenedMessage out;
  out.first_inner = parts_[0]->first_inner;
  out.inner.reserve(octets_);
  for (const auto& part : parts_) out.inner.insert(out.inner.end(), part->chunk.begin(), part->chunk.end());
  out.int_auth_header = IntAuthHeader(parts_[0]->clear_prefix, out.inner.size());
  Clear();
  return out;
}

void Reassembler::Clear() {
  parts_.clear();
  total_ = 0;
  kept_ = 0;
  octets_ = 0;
  started_ = absl::InfinitePast();
}

Bytes IntAuthHeader(ByteSpan clear_prefix, size_t inner_size) {
  Bytes out(clear_prefix.begin(), clear_prefix.end());
  if (out.size() < kHeaderSize + kGenericHeaderSize) return out;
  const size_t encrypted = out.size() - kGenericHeaderSize;
  Writer w(&out);
  w.PatchU32(24, static_cast<uint32_t>(out.size() + inner_size));
  w.PatchU16(encrypted + 2, static_cast<uint16_t>(kGenericHeaderSize + inner_size));
  // Whatever names the type of the encrypted payload: the IKE header, or the last clear payload before it.
  size_t names = 16;
  for (size_t at = kHeaderSize; at < encrypted;) {
    names = at;
    const size_t length = size_t{out[at + 2]} << 8 | out[at + 3];
    if (length < kGenericHeaderSize) break;
    at += length;
  }
  out[names] = static_cast<uint8_t>(PayloadType::kSk);
  return out;
}

}  // namespace espalier::ike::wire
