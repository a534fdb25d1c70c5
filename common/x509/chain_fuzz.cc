// Peers' certificate chains: octets of a CERT payload sequence, each certificate prefixed by its length (2 octets).
// Bare DER works too. The anchor is a fixed test root, so that corpus entries keep their meaning.
#include <cstdlib>

#include "absl/time/time.h"
#include "common/bytes.h"
#include "common/x509/certificate.h"
#include "common/x509/chain.h"
#include "common/x509/fuzz_anchor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using espalier::ByteSpan;
  static const espalier::x509::TrustStore* trust = [] {
    auto store = espalier::x509::TrustStore::Create(espalier::x509::kFuzzAnchorPem, {"01"});
    if (!store.ok()) abort();
    return new espalier::x509::TrustStore(*std::move(store));
  }();
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::vector<espalier::Bytes> chain;
  espalier::Reader reader(ByteSpan(data, size));
  while (reader.remaining() > 0 && chain.size() < 16) {
    uint16_t length = 0;
    ByteSpan der;
    if (!reader.U16(&length) || !reader.Take(length, &der)) break;
    chain.emplace_back(der.begin(), der.end());
  }
  if (chain.empty()) chain.emplace_back(data, data + size);
  (void)espalier::x509::ValidateNodeChain(*trust, "cluster.local", chain, now);
  for (const espalier::Bytes& der : chain) {
    auto certificate = espalier::x509::Certificate::FromDer(der);
    if (!certificate.ok()) continue;
    (void)certificate->Subject();
    (void)certificate->Serial();
    (void)certificate->DnsNames();
    (void)certificate->NotBefore();
  }
  (void)espalier::x509::VerifyCertificateRequest(ByteSpan(data, size));
  return 0;
}
