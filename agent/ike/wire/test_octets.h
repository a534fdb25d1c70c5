// Octets written as hex, for tests.
#ifndef ESPALIER_AGENT_IKE_WIRE_TEST_OCTETS_H_
#define ESPALIER_AGENT_IKE_WIRE_TEST_OCTETS_H_

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "common/bytes.h"

namespace espalier::ike {

// "01 02ff": spaces and line ends count for nothing.
inline Bytes Hex(absl::string_view text) {
  std::string digits;
  for (char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c))) digits.push_back(c);
  }
  std::string octets;
  EXPECT_TRUE(absl::HexStringToBytes(digits, &octets)) << text;
  return Bytes(octets.begin(), octets.end());
}

inline Bytes Join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_WIRE_TEST_OCTETS_H_
