// Reassembly: IKE-071, and IKE-080's header as if not fragmented.
#include "agent/ike/wire/reassembler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "agent/ike/wire/header.h"
#include "agent/ike/wire/test_octets.h"

namespace espalier::ike::wire {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

Bytes Prefix() {
  Bytes out;
  Writer w(&out);
  WriteHeader({.spi_i = 1, .spi_r = 2, .exchange = ExchangeType::kIkeIntermediate, .message_id = 1}, PayloadType::kSkf,
              999, &w);
  w.U8(static_cast<uint8_t>(PayloadType::kKe));
  w.U8(0x15);  // RESERVED, as a peer may set it
  w.U16(971);
  return out;
}

OpenedFragment Fragment(uint16_t number, uint16_t total, size_t size = 10) {
  OpenedFragment f;
  f.number = number;
  f.total = total;
  f.chunk = Bytes(size, static_cast<uint8_t>(number));
  if (number == 1) {
    f.first_inner = PayloadType::kKe;
    f.clear_prefix = Prefix();
  }
  return f;
}

TEST(ReassemblerTest, AnyOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<uint16_t> order(9);
    std::iota(order.begin(), order.end(), uint16_t{1});
    std::shuffle(order.begin(), order.end(), random);
    Reassembler r;
    std::optional<OpenedMessage> whole;
    for (uint16_t n : order) {
      ASSERT_FALSE(whole.has_value());
      whole = r.Add(kStart, Fragment(n, 9, n));
    }
    ASSERT_TRUE(whole.has_value());
    EXPECT_EQ(whole->first_inner, PayloadType::kKe);
    Bytes expected;
    for (uint8_t n = 1; n <= 9; ++n) expected.insert(expected.end(), n, n);
    EXPECT_EQ(whole->inner, expected);
    EXPECT_EQ(r.fragments(), 0u);
  }
}

TEST(ReassemblerTest, Ike071WhatIsDropped) {
  Reassembler r;
  EXPECT_FALSE(r.Wants(0, 3));
  EXPECT_FALSE(r.Wants(4, 3));
  EXPECT_FALSE(r.Wants(0, 0));
  EXPECT_FALSE(r.Wants(1, 65535)) << "our cap";
  EXPECT_TRUE(r.Wants(1, 1)) << "1/1 is accepted";
  EXPECT_FALSE(r.Add(kStart, Fragment(2, 3)).has_value());
  EXPECT_FALSE(r.Wants(2, 3)) << "duplicate";
  EXPECT_FALSE(r.Wants(1, 2)) << "a total below what is kept";
  EXPECT_TRUE(r.Wants(2, 4)) << "a larger total";
  EXPECT_FALSE(r.Add(kStart, Fragment(2, 3)).has_value());
  EXPECT_FALSE(r.Add(kStart, Fragment(1, 2)).has_value());
  EXPECT_FALSE(r.Add(kStart, Fragment(0, 3)).has_value());
  EXPECT_EQ(r.fragments(), 1u);
}

TEST(ReassemblerTest, Ike071LargerTotalStartsOver) {
  Reassembler r;
  r.Add(kStart, Fragment(1, 2));
  EXPECT_FALSE(r.Add(kStart, Fragment(1, 3)).has_value());
  EXPECT_EQ(r.fragments(), 1u);
  EXPECT_FALSE(r.Add(kStart, Fragment(2, 2)).has_value());
  EXPECT_FALSE(r.Add(kStart, Fragment(2, 3)).has_value());
  const auto whole = r.Add(kStart, Fragment(3, 3));
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->inner.size(), 30u);
}

TEST(ReassemblerTest, Ike071Caps) {
  Reassembler r({.fragments = 4, .octets = 100, .age = absl::Seconds(10)});
  EXPECT_FALSE(r.Wants(1, 5));
  r.Add(kStart, Fragment(1, 4, 60));
  EXPECT_FALSE(r.Add(kStart, Fragment(2, 4, 41)).has_value());
  EXPECT_EQ(r.fragments(), 0u) << "the set is dropped";
  EXPECT_EQ(r.octets(), 0u);
  r.Add(kStart, Fragment(1, 2));
  EXPECT_FALSE(r.Expired(kStart + absl::Seconds(9)));
  EXPECT_TRUE(r.Expired(kStart + absl::Seconds(10)));
  EXPECT_FALSE(r.Add(kStart + absl::Seconds(10), Fragment(2, 2)).has_value()) << "the first is too old";
  EXPECT_EQ(r.fragments(), 1u);
}

TEST(ReassemblerTest, Ike080HeaderAsIfNotFragmented) {
  Reassembler r;
  r.Add(kStart, Fragment(2, 2, 7));
  const auto whole = r.Add(kStart, Fragment(1, 2, 5));
  ASSERT_TRUE(whole.has_value());
  // Type SK, RESERVED of fragment 1, both lengths without IV, padding and ICV.
  EXPECT_EQ(whole->int_auth_header, Hex("0000000000000001 0000000000000002 2e 20 2b 00 00000001 0000002c"
                                        "22 15 0010"));
}

TEST(IntAuthHeaderTest, ClearPayloadBeforeSkf) {
  Bytes prefix;
  Writer w(&prefix);
  WriteHeader({.spi_i = 1, .spi_r = 2}, PayloadType::kVendorId, 0, &w);
  w.Raw(Hex("35 00 0006 aabb  22 00 0000"));
  const Bytes a = IntAuthHeader(prefix, 3);
  EXPECT_EQ(a[16], static_cast<uint8_t>(PayloadType::kVendorId));
  EXPECT_EQ(Bytes(a.begin() + 28, a.end()), Hex("2e 00 0006 aabb  22 00 0007"));
  EXPECT_EQ(a[27], 28 + 6 + 4 + 3);
}

}  // namespace
}  // namespace espalier::ike::wire
