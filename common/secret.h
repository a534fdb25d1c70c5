// Octets that are keys: wiped when they go, compared in constant time, impossible to print by accident.
#ifndef ESPALIER_COMMON_SECRET_H_
#define ESPALIER_COMMON_SECRET_H_

#include <openssl/crypto.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace espalier {

// Move-only buffer of key octets. The memory is wiped before it is freed, also where a vector would reallocate: the
// size is fixed at construction. Not thread safe beyond const access.
class Secret {
 public:
  Secret() = default;
  explicit Secret(size_t size) : data_(size ? new uint8_t[size]() : nullptr), size_(size) {}
  explicit Secret(std::span<const uint8_t> octets) : Secret(octets.size()) {
    for (size_t i = 0; i < size_; ++i) data_[i] = octets[i];
  }
  Secret(Secret&& o) noexcept : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  Secret& operator=(Secret&& o) noexcept {
    if (this != &o) {
      Wipe();
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(); }

  // A deliberate copy.
  Secret Clone() const { return Secret(span()); }
  std::span<const uint8_t> span() const { return {data_, size_}; }
  std::span<uint8_t> mutable_span() { return {data_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Constant time in the content; lengths are not secret.
  friend bool operator==(const Secret& a, const Secret& b) {
    return a.size_ == b.size_ && (a.size_ == 0 || CRYPTO_memcmp(a.data_, b.data_, a.size_) == 0);
  }

  void Wipe() {
    if (data_ != nullptr) {
      OPENSSL_cleanse(data_, size_);
      delete[] data_;
    }
    data_ = nullptr;
    size_ = 0;
  }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier

#endif  // ESPALIER_COMMON_SECRET_H_
