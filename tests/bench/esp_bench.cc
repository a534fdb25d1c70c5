// Sealing and opening one ESP packet, beside the bare cipher of ipsec-mb.
#include <intel-ipsec-mb.h>

#include <cstring>
#include <vector>

#include "agent/esp/inbound_sa.h"
#include "agent/esp/outbound_sa.h"
#include "benchmark/benchmark.h"

namespace espalier::esp {
namespace {

ike::EspSa Sa(EspSuite suite) {
  ike::EspSa sa;
  sa.spi = 0x01020304;
  sa.suite = suite;
  sa.key = Secret(KeyMaterialSize(suite));
  return sa;
}

void Seal(benchmark::State& state, EspSuite suite) {
  const size_t size = static_cast<size_t>(state.range(0));
  auto sa = *OutboundSa::Create(Sa(suite));
  std::vector<uint8_t> in(size + kTrailerMax), out(SealedSize(size));
  for (auto _ : state) benchmark::DoNotOptimize(sa->Seal(in.data(), size, kNextIpv4, out.data()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}

void Open(benchmark::State& state, EspSuite suite) {
  const size_t size = static_cast<size_t>(state.range(0));
  auto out = *OutboundSa::Create(Sa(suite));
  auto in = *InboundSa::Create(Sa(suite));
  constexpr size_t kPackets = 1024;  // sealed beforehand, opened once
  std::vector<uint8_t> inner(size + kTrailerMax), opened(size + 64);
  std::vector<std::vector<uint8_t>> packets(kPackets, std::vector<uint8_t>(SealedSize(size)));
  size_t at = kPackets;
  Opened result;
  for (auto _ : state) {
    if (at == kPackets) {
      state.PauseTiming();
      for (auto& p : packets) out->Seal(inner.data(), size, kNextIpv4, p.data());
      at = 0;
      state.ResumeTiming();
    }
    if (in->Open(packets[at++], opened.data(), &result) != OpenResult::kOk) state.SkipWithError("not opened");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}

void Raw(benchmark::State& state, bool decrypt) {
  const size_t size = static_cast<size_t>(state.range(0));
  IMB_MGR* manager = alloc_mb_mgr(0);
  init_mb_mgr_auto(manager, nullptr);
  alignas(64) gcm_key_data key;
  gcm_context_data context;
  const uint8_t zero[32] = {};
  IMB_AES128_GCM_PRE(manager, zero, &key);
  std::vector<uint8_t> in(size), out(size);
  uint8_t tag[16];
  for (auto _ : state) {
    if (decrypt) {
      IMB_AES128_GCM_DEC(manager, &key, &context, out.data(), in.data(), size, zero, zero, 12, tag, 16);
    } else {
      IMB_AES128_GCM_ENC(manager, &key, &context, out.data(), in.data(), size, zero, zero, 12, tag, 16);
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
  free_mb_mgr(manager);
}

#define SIZES Arg(64)->Arg(576)->Arg(1400)
BENCHMARK_CAPTURE(Raw, aes_gcm_128_encrypt, false)->SIZES;
BENCHMARK_CAPTURE(Seal, aes_gcm_128, EspSuite::kAesGcm128)->SIZES;
BENCHMARK_CAPTURE(Raw, aes_gcm_128_decrypt, true)->SIZES;
BENCHMARK_CAPTURE(Open, aes_gcm_128, EspSuite::kAesGcm128)->SIZES;
BENCHMARK_CAPTURE(Seal, aes_gcm_256, EspSuite::kAesGcm256)->SIZES;
BENCHMARK_CAPTURE(Open, aes_gcm_256, EspSuite::kAesGcm256)->SIZES;
BENCHMARK_CAPTURE(Seal, chacha20_poly1305, EspSuite::kChaCha20Poly1305)->SIZES;
BENCHMARK_CAPTURE(Open, chacha20_poly1305, EspSuite::kChaCha20Poly1305)->SIZES;

}  // namespace
}  // namespace espalier::esp

BENCHMARK_MAIN();
