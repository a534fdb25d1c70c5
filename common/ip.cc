#include "common/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace espalier {

IpAddress IpAddress::V4(std::span<const uint8_t, 4> octets) {
  IpAddress a;
  std::copy(octets.begin(), octets.end(), a.octets_.begin());
  return a;
}

IpAddress IpAddress::V6(std::span<const uint8_t, 16> octets) {
  IpAddress a;
  a.v6_ = true;
  std::copy(octets.begin(), octets.end(), a.octets_.begin());
  return a;
}

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  const std::string s(text);
  IpAddress a;
  if (s.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, s.c_str(), a.octets_.data()) == 1) return a;
    if (inet_pton(AF_INET6, s.c_str(), a.octets_.data()) == 1) {
      a.v6_ = true;
      return a;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", s.substr(0, 64), "\" is not an IPv4 or IPv6 address"));
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(v6_ ? AF_INET6 : AF_INET, octets_.data(), text, sizeof(text));
}

IpPrefix::IpPrefix(const IpAddress& address, int length) : length_(std::clamp(length, 0, address.bits())) {
  std::array<uint8_t, 16> o{};
  const auto in = address.octets();
  for (int i = 0; i < static_cast<int>(in.size()); ++i) {
    const int keep = std::clamp(length_ - 8 * i, 0, 8);
    o[i] = static_cast<uint8_t>(in[i] & (0xff00 >> keep));
  }
  address_ = address.is_v6() ? IpAddress::V6(o) : IpAddress::V4(std::span<const uint8_t, 4>(o.data(), 4));
}

absl::StatusOr<IpPrefix> IpPrefix::Parse(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  auto address = IpAddress::Parse(parts.first);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text.substr(0, 64), "\" is not a CIDR prefix such as 10.0.0.0/8 or fd00::/8"));
  }
  int length = address->bits();
  if (text.find('/') != absl::string_view::npos) {
    if (parts.second.empty() || parts.second.size() > 3 ||
        !std::all_of(parts.second.begin(), parts.second.end(), [](char c) { return c >= '0' && c <= '9'; }) ||
        !absl::SimpleAtoi(parts.second, &length) || length > address->bits()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text.substr(0, 64), "\": the prefix length must be 0 to ", address->bits()));
    }
  }
  IpPrefix p(*address, length);
  if (p.address() != *address) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text.substr(0, 64), "\" has host bits set: write ", p.ToString()));
  }
  return p;
}

bool IpPrefix::Contains(const IpAddress& a) const {
  return a.is_v6() == address_.is_v6() && IpPrefix(a, length_).address_ == address_;
}

bool IpPrefix::Contains(const IpPrefix& other) const { return other.length_ >= length_ && Contains(other.address_); }

IpAddress IpPrefix::Last() const {
  std::array<uint8_t, 16> o{};
  const auto in = address_.octets();
  for (int i = 0; i < static_cast<int>(in.size()); ++i) {
    const int keep = std::clamp(length_ - 8 * i, 0, 8);
    o[i] = static_cast<uint8_t>(in[i] | (0xff >> keep));
  }
  return address_.is_v6() ? IpAddress::V6(o) : IpAddress::V4(std::span<const uint8_t, 4>(o.data(), 4));
}

std::string IpPrefix::ToString() const { return absl::StrCat(address_.ToString(), "/", length_); }

std::string Endpoint::ToString() const {
  return address.is_v6() ? absl::StrCat("[", address.ToString(), "]:", port)
                         : absl::StrCat(address.ToString(), ":", port);
}

}  // namespace espalier
