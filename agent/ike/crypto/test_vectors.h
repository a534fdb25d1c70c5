// Reading the files of testdata/, for tests.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_TEST_VECTORS_H_
#define ESPALIER_AGENT_IKE_CRYPTO_TEST_VECTORS_H_

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "agent/ike/crypto/random.h"
#include "agent/ike/wire/test_octets.h"

namespace espalier::ike::crypto {

using VectorLine = std::vector<std::string>;

inline std::vector<VectorLine> ReadVectors(const std::string& name) {
  std::ifstream in(std::string(ESPALIER_IKE_TESTDATA) + "/" + name);
  EXPECT_TRUE(in.is_open()) << name;
  std::vector<VectorLine> out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    VectorLine v;
    for (std::string field; fields >> field;) v.push_back(field);
    out.push_back(v);
  }
  EXPECT_FALSE(out.empty()) << name;
  return out;
}

inline Bytes Octets(const std::string& field) { return field == "-" ? Bytes() : Hex(field); }

inline Bytes Of(const Secret& s) { return Bytes(s.span().begin(), s.span().end()); }

// Gives these octets, then fails.
inline RandomSource Fixed(Bytes octets) {
  return [octets](std::span<uint8_t> out) {
    ASSERT_EQ(out.size(), octets.size());
    std::copy(octets.begin(), octets.end(), out.begin());
  };
}

// Different octets at each call, the same in each run.
inline RandomSource Counting(uint8_t seed) {
  return [n = seed](std::span<uint8_t> out) mutable {
    for (uint8_t& o : out) o = static_cast<uint8_t>(n = static_cast<uint8_t>(n * 167 + 13));
  };
}

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_TEST_VECTORS_H_
