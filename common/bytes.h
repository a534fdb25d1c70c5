// Bounds-checked reading and writing of network-order octets. Every parser of outside bytes goes through Reader.
#ifndef ESPALIER_COMMON_BYTES_H_
#define ESPALIER_COMMON_BYTES_H_

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace espalier {

using Bytes = std::vector<uint8_t>;
using ByteSpan = std::span<const uint8_t>;

// Reads from a span that outlives it. A read past the end returns false, leaves *out alone, and makes every later read
// fail too; so a sequence of reads may be checked once at its end with ok().
class Reader {
 public:
  explicit Reader(ByteSpan in) : in_(in) {}

  bool U8(uint8_t* out) { return Number(out); }
  bool U16(uint16_t* out) { return Number(out); }
  bool U32(uint32_t* out) { return Number(out); }
  bool U64(uint64_t* out) { return Number(out); }
  // The next n octets, not copied.
  bool Take(size_t n, ByteSpan* out) {
    if (!ok_ || n > remaining()) return ok_ = false;
    *out = in_.subspan(at_, n);
    at_ += n;
    return true;
  }
  bool Skip(size_t n) {
    ByteSpan ignored;
    return Take(n, &ignored);
  }
  // Everything that is left.
  ByteSpan Rest() {
    ByteSpan out;
    Take(remaining(), &out);
    return out;
  }
  size_t remaining() const { return in_.size() - at_; }
  size_t position() const { return at_; }
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && remaining() == 0; }

 private:
  template <typename T>
  bool Number(T* out) {
    if (!ok_ || sizeof(T) > remaining()) return ok_ = false;
    T v = 0;
    for (size_t i = 0; i < sizeof(T); ++i) v = static_cast<T>((v << 8) | in_[at_ + i]);
    at_ += sizeof(T);
    *out = v;
    return true;
  }

  ByteSpan in_;
  size_t at_ = 0;
  bool ok_ = true;
};

// Appends to a vector that outlives it.
class Writer {
 public:
  explicit Writer(Bytes* out) : out_(out) {}

  void U8(uint8_t v) { out_->push_back(v); }
  void U16(uint16_t v) { Number(v); }
  void U32(uint32_t v) { Number(v); }
  void U64(uint64_t v) { Number(v); }
  void Raw(ByteSpan v) { out_->insert(out_->end(), v.begin(), v.end()); }
  // Writes over 2 octets at `position` (a length that is known only later).
  void PatchU16(size_t position, uint16_t v) {
    (*out_)[position] = static_cast<uint8_t>(v >> 8);
    (*out_)[position + 1] = static_cast<uint8_t>(v);
  }
  void PatchU32(size_t position, uint32_t v) {
    for (size_t i = 0; i < 4; ++i) (*out_)[position + i] = static_cast<uint8_t>(v >> (24 - 8 * i));
  }
  size_t size() const { return out_->size(); }

 private:
  template <typename T>
  void Number(T v) {
    for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
      out_->push_back(static_cast<uint8_t>(v >> shift));
    }
  }

  Bytes* out_;
};

}  // namespace espalier

#endif  // ESPALIER_COMMON_BYTES_H_
