// An outbound and an inbound SA together: what opens, what doesn't, and what a packet looks like in between.
#include <openssl/evp.h>

#include "agent/esp/inbound_sa.h"
#include "agent/esp/octets.h"
#include "agent/esp/outbound_sa.h"
#include "agent/esp/testing/packets.h"
#include "gtest/gtest.h"

namespace espalier::esp {
namespace {

using testing::Hex;

ike::EspSa Sa(EspSuite suite = EspSuite::kAesGcm128, bool esn = true) {
  ike::EspSa sa;
  sa.peer = 7;
  sa.spi = 0x01020304;
  sa.suite = suite;
  sa.esn = esn;
  sa.key = Secret(KeyMaterialSize(suite));
  for (size_t i = 0; i < sa.key.size(); ++i) sa.key.mutable_span()[i] = static_cast<uint8_t>(0x80 + i);
  return sa;
}

Bytes Seal(OutboundSa* sa, Bytes inner, uint8_t next = kNextIpv4) {
  const size_t size = inner.size();
  inner.resize(size + kTrailerMax);
  Bytes out(SealedSize(size) + 1, 0xee);
  const size_t sealed = sa->Seal(inner.data(), size, next, out.data());
  EXPECT_TRUE(sealed == 0 || sealed == SealedSize(size)) << sealed;
  EXPECT_EQ(out.back(), 0xee) << "wrote past its size";
  out.resize(sealed);
  return out;
}

OpenResult Open(InboundSa* sa, ByteSpan packet, Bytes* inner = nullptr, Opened* opened = nullptr) {
  Bytes out(InboundSa::PlainSize(packet.size()) + 1, 0xee);
  Opened local;
  if (opened == nullptr) opened = &local;
  const OpenResult result = sa->Open(packet, out.data(), opened);
  EXPECT_EQ(out.back(), 0xee) << "wrote past its size";
  if (inner != nullptr && result == OpenResult::kOk) inner->assign(out.begin(), out.begin() + opened->size);
  return result;
}

// An ESP packet whose plaintext (trailer included) is the test's own.
Bytes Craft(const ike::EspSa& sa, uint64_t sequence, const Bytes& plain) {
  Bytes out(kEspHeaderSize + kIvSize + plain.size() + kIcvSize);
  Store32(out.data(), sa.spi);
  Store32(out.data() + 4, static_cast<uint32_t>(sequence));
  Store64(out.data() + 8, sequence);
  uint8_t aad[12];
  Store32(aad, sa.spi);
  Store64(aad + 4, sequence);
  (*Aead::Create(sa.suite, sa.key.span()))
      ->Seal(out.data() + 8, aad, 12, plain.data(), plain.size(), out.data() + 16, out.data() + 16 + plain.size());
  return out;
}

TEST(SaTest, WhatIsSealedOpens) {
  for (const EspSuite suite : {EspSuite::kAesGcm128, EspSuite::kAesGcm256, EspSuite::kChaCha20Poly1305}) {
    for (const bool esn : {false, true}) {
      auto out = *OutboundSa::Create(Sa(suite, esn));
      auto in = *InboundSa::Create(Sa(suite, esn));
      for (size_t size = 0; size < 1600; size += size < 100 ? 1 : 53) {
        const Bytes inner(size, static_cast<uint8_t>(size));
        const Bytes packet = Seal(out.get(), inner, size % 2 ? kNextIpv6 : kNextIpv4);
        EXPECT_EQ(Load32(&packet[0]), 0x01020304u);
        EXPECT_EQ(Load32(&packet[4]), out->sequence());
        EXPECT_EQ(packet.size() % 4, 0u);
        Bytes back;
        Opened opened;
        ASSERT_EQ(Open(in.get(), packet, &back, &opened), OpenResult::kOk) << size;
        EXPECT_EQ(back, inner);
        EXPECT_EQ(opened.next_header, size % 2 ? kNextIpv6 : kNextIpv4);
        EXPECT_EQ(opened.sequence, out->sequence());
      }
    }
  }
}

// RFC 7634 appendix A: another implementation's packet.
TEST(SaTest, OpensTheExampleOfTheRfc) {
  auto in = *InboundSa::Create(Sa(EspSuite::kChaCha20Poly1305, false));
  const Bytes packet =
      Hex("0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d528"
          "44eb61"
          "aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0"
          "f7b11b"
          "369907e1ad43");
  Bytes inner;
  ASSERT_EQ(Open(in.get(), packet, &inner), OpenResult::kOk);
  EXPECT_EQ(inner.size(), 84u);
  EXPECT_EQ(Load16(&inner[2]), 84);
  EXPECT_EQ(in->sequence(), 5u);
}

// RFC 4106 sections 3.1, 4 and 5, computed with OpenSSL from their text: nonce = salt | IV, AAD = SPI | ESN.
TEST(SaTest, FormatIsThatOfTheRfc) {
  for (const bool esn : {false, true}) {
    const ike::EspSa sa = Sa(EspSuite::kAesGcm256, esn);
    auto out = *OutboundSa::Create(sa, esn ? 0x5'0000'0007 : 7);
    const Bytes packet = Seal(out.get(), Bytes(21, 0xab));
    ASSERT_EQ(packet.size(), 8u + 8 + 24 + 16);
    EXPECT_EQ(ByteSpan(packet)[7], 7);
    Bytes nonce(sa.key.span().begin() + 32, sa.key.span().end());
    nonce.insert(nonce.end(), packet.begin() + 8, packet.begin() + 16);
    const Bytes aad = esn ? Hex("010203040000000500000007") : Hex("0102030400000007");
    Bytes plain(24), tag(packet.end() - 16, packet.end());
    EVP_CIPHER_CTX* c = EVP_CIPHER_CTX_new();
    int n = 0;
    EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), nullptr, sa.key.span().data(), nonce.data());
    EVP_DecryptUpdate(c, nullptr, &n, aad.data(), static_cast<int>(aad.size()));
    EVP_DecryptUpdate(c, plain.data(), &n, packet.data() + 16, 24);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, tag.data());
    EXPECT_EQ(EVP_DecryptFinal_ex(c, plain.data() + n, &n), 1);
    EVP_CIPHER_CTX_free(c);
    Bytes want(21, 0xab);
    for (const uint8_t trailer : {1, 1, 4}) want.push_back(trailer);
    EXPECT_EQ(plain, want);
  }
}

TEST(SaTest, AForgedPacketChangesNothing) {
  auto out = *OutboundSa::Create(Sa());
  auto in = *InboundSa::Create(Sa());
  const Bytes good = Seal(out.get(), Bytes(40, 1));
  for (size_t i = 4; i < good.size(); ++i) {
    if (i >= 4 && i < 8) continue;  // the number: below
    Bytes forged = good;
    forged[i] ^= 1;
    EXPECT_EQ(Open(in.get(), forged), OpenResult::kIcv) << i;
    EXPECT_EQ(in->sequence(), 0u);
  }
  Bytes far = good;
  Store32(&far[4], 0x7fffffff);
  EXPECT_EQ(Open(in.get(), far), OpenResult::kIcv) << "a forged number moves no window";
  EXPECT_EQ(in->sequence(), 0u);
  EXPECT_EQ(Open(in.get(), good), OpenResult::kOk);
  EXPECT_EQ(Open(in.get(), good), OpenResult::kReplay);
}

TEST(SaTest, AnyOrderWithinTheWindowOnce) {
  auto out = *OutboundSa::Create(Sa());
  auto in = *InboundSa::Create(Sa());
  std::vector<Bytes> packets;
  for (int i = 0; i < 4097; ++i) packets.push_back(Seal(out.get(), Bytes(20, 2)));
  EXPECT_EQ(Open(in.get(), packets[4096]), OpenResult::kOk);
  EXPECT_EQ(Open(in.get(), packets[0]), OpenResult::kIcv) << "left of the window: taken for one of the next 2^32";
  for (int i = 4095; i >= 1; --i) ASSERT_EQ(Open(in.get(), packets[i]), OpenResult::kOk) << i;
  for (int i = 4095; i >= 1; --i) ASSERT_EQ(Open(in.get(), packets[i]), OpenResult::kReplay) << i;
}

TEST(SaTest, LeftOfTheWindowWithoutExtendedNumbers) {
  auto out = *OutboundSa::Create(Sa(EspSuite::kAesGcm128, false));
  auto in = *InboundSa::Create(Sa(EspSuite::kAesGcm128, false));
  const Bytes first = Seal(out.get(), Bytes(20, 2)), second = Seal(out.get(), Bytes(20, 2));
  for (int i = 0; i < 4094; ++i) Seal(out.get(), Bytes(20, 2));
  ASSERT_EQ(Open(in.get(), Seal(out.get(), Bytes(20, 2))), OpenResult::kOk);
  EXPECT_EQ(Open(in.get(), first), OpenResult::kReplay);
  EXPECT_EQ(Open(in.get(), second), OpenResult::kOk);
}

TEST(SaTest, ExtendedNumbersAcross32Bits) {
  auto in = *InboundSa::Create(Sa());
  ASSERT_EQ(Open(in.get(), Seal((*OutboundSa::Create(Sa(), 0xffff'e000)).get(), Bytes(20))), OpenResult::kOk);
  auto out = *OutboundSa::Create(Sa(), 0xffff'fff0);
  Bytes late;
  for (int i = 0; i < 64; ++i) {
    const Bytes packet = Seal(out.get(), Bytes(20, 3));
    if (i == 3) {
      late = packet;
    } else {
      ASSERT_EQ(Open(in.get(), packet), OpenResult::kOk) << i;
    }
  }
  EXPECT_EQ(in->sequence(), 0x1'0000'002fu);
  EXPECT_EQ(Open(in.get(), late), OpenResult::kOk) << "of the earlier subspace";
  EXPECT_EQ(Open(in.get(), late), OpenResult::kReplay);
}

TEST(SaTest, NumbersNeverCycle) {
  auto narrow = *OutboundSa::Create(Sa(EspSuite::kAesGcm128, false), 0xffff'ffff);
  EXPECT_FALSE(Seal(narrow.get(), Bytes(20)).empty());
  EXPECT_TRUE(Seal(narrow.get(), Bytes(20)).empty());
  EXPECT_TRUE(Seal(narrow.get(), Bytes(20)).empty());
  EXPECT_TRUE(narrow->exhausted());
  EXPECT_EQ(narrow->sequence(), 0xffff'ffffu);
  auto wide = *OutboundSa::Create(Sa(), UINT64_MAX);
  EXPECT_FALSE(Seal(wide.get(), Bytes(20)).empty());
  EXPECT_TRUE(Seal(wide.get(), Bytes(20)).empty());
  EXPECT_TRUE(wide->exhausted());
}

TEST(SaTest, PaddingIsBoundedAndChecked) {
  const ike::EspSa sa = Sa();
  auto in = *InboundSa::Create(Sa());
  uint64_t sequence = 0;
  for (size_t padding = 0; padding <= 255; ++padding) {
    Bytes plain((8 - (padding + 2) % 4) % 4 + 20, 0x45);
    const size_t size = plain.size();
    for (size_t i = 1; i <= padding; ++i) plain.push_back(static_cast<uint8_t>(i));
    plain.push_back(static_cast<uint8_t>(padding));
    plain.push_back(kNextIpv4);
    Bytes inner;
    if (plain.size() % 4 == 0) {
      ASSERT_EQ(Open(in.get(), Craft(sa, ++sequence, plain), &inner), OpenResult::kOk) << padding;
      EXPECT_EQ(inner.size(), size);
    }
    if (padding > 0) {
      plain[size + padding / 2] ^= 1;
      EXPECT_EQ(Open(in.get(), Craft(sa, ++sequence, plain)), OpenResult::kMalformed) << padding;
    }
  }
  EXPECT_EQ(Open(in.get(), Craft(sa, ++sequence, Hex("010203040506ff04"))), OpenResult::kMalformed)
      << "more padding than there is packet";
  EXPECT_EQ(in->sequence(), sequence) << "but it was authentic: its number is used";
}

TEST(SaTest, NextHeaders) {
  const ike::EspSa sa = Sa();
  auto in = *InboundSa::Create(Sa());
  for (int next = 0; next < 256; ++next) {
    const OpenResult want = next == 4 || next == 41 ? OpenResult::kOk
                            : next == 59            ? OpenResult::kDummy
                                                    : OpenResult::kMalformed;
    Bytes plain(22, 0x45);
    plain.push_back(0);
    plain.push_back(static_cast<uint8_t>(next));
    EXPECT_EQ(Open(in.get(), Craft(sa, static_cast<uint64_t>(next) + 1, plain)), want) << next;
  }
}

TEST(SaTest, ShortPacketsAreRefused) {
  auto out = *OutboundSa::Create(Sa());
  auto in = *InboundSa::Create(Sa());
  const Bytes good = Seal(out.get(), Bytes(40, 1));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(Open(in.get(), ByteSpan(good).first(size)), OpenResult::kOk) << size;
  }
  EXPECT_EQ(Open(in.get(), good), OpenResult::kOk);
}

TEST(SaTest, WhatCannotBeAnSa) {
  ike::EspSa sa = Sa();
  sa.spi = 255;
  EXPECT_FALSE(OutboundSa::Create(sa).ok());
  EXPECT_FALSE(InboundSa::Create(sa).ok());
  sa.spi = 256;
  EXPECT_TRUE(InboundSa::Create(sa).ok());
  for (const uint32_t window : {0u, 31u, 4097u}) {
    sa.replay_window = window;
    EXPECT_FALSE(InboundSa::Create(sa).ok()) << window;
  }
  EXPECT_FALSE(OutboundSa::Create(Sa(), 0).ok());
}

TEST(SaTest, SizesToTheOctet) {
  for (size_t space = 0; space < 3000; ++space) {
    const size_t inner = MaxInnerSize(space);
    if (inner == 0) {
      EXPECT_LT(space, SealedSize(1));
      continue;
    }
    EXPECT_LE(SealedSize(inner), space);
    EXPECT_GT(SealedSize(inner + 1), space);
  }
}

}  // namespace
}  // namespace espalier::esp
