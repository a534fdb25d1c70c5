// IP addresses, prefixes and endpoints: values, cheap to copy, hashable, of either family.
#ifndef ESPALIER_COMMON_IP_H_
#define ESPALIER_COMMON_IP_H_

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace espalier {

// An IPv4 or IPv6 address. Octets are in network order. IPv4 uses the first 4 of the 16, the rest are zero.
class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  static IpAddress V4(std::span<const uint8_t, 4> octets);
  static IpAddress V6(std::span<const uint8_t, 16> octets);
  // "192.0.2.1", "2001:db8::1"; no zone, no brackets, no leading zeros in IPv4. InvalidArgument names the text.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);

  bool is_v6() const { return v6_; }
  // 4 or 16 octets, valid as long as this object.
  std::span<const uint8_t> octets() const { return {octets_.data(), v6_ ? 16u : 4u}; }
  int bits() const { return v6_ ? 128 : 32; }
  std::string ToString() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(std::move(h), a.v6_, a.octets_);
  }

 private:
  bool v6_ = false;
  std::array<uint8_t, 16> octets_{};
};

// A CIDR prefix; host bits are always zero.
class IpPrefix {
 public:
  constexpr IpPrefix() = default;  // 0.0.0.0/0
  // Clears the host bits. `length` above the family's is cut.
  IpPrefix(const IpAddress& address, int length);
  // "10.0.0.0/8", or an address alone (its full length). Host bits that are set are refused.
  static absl::StatusOr<IpPrefix> Parse(absl::string_view text);

  const IpAddress& address() const { return address_; }
  int length() const { return length_; }
  bool Contains(const IpAddress& a) const;
  bool Contains(const IpPrefix& other) const;
  bool Overlaps(const IpPrefix& other) const { return Contains(other) || other.Contains(*this); }
  // The highest address of the prefix.
  IpAddress Last() const;
  std::string ToString() const;

  friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpPrefix& p) {
    return H::combine(std::move(h), p.address_, p.length_);
  }

 private:
  IpAddress address_;
  int length_ = 0;
};

// An address with a UDP port (host order).
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  std::string ToString() const;  // "192.0.2.1:4500", "[2001:db8::1]:4500"
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Endpoint& e) {
    return H::combine(std::move(h), e.address, e.port);
  }
};

}  // namespace espalier

#endif  // ESPALIER_COMMON_IP_H_
