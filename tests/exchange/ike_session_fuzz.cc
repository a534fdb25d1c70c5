// A peer with a valid certificate that knows the keys of its IKE SA and lies: whatever it seals, the engine neither
// crashes nor keeps more than its limits, and an honest view of it is closed at the end.
//
// Input: octet 0 the stage at which lying begins (before AUTH, or after); then records: operation, exchange, message ID
// offset, first payload type, length, that many octets of inner payloads.
#include <cstdlib>
#include <random>

#include "absl/log/globals.h"
#include "agent/ike/crypto/auth_data.h"
#include "agent/ike/crypto/key_exchange.h"
#include "agent/ike/crypto/key_material.h"
#include "agent/ike/crypto/sealed_message.h"
#include "agent/ike/crypto/signature.h"
#include "agent/ike/engine.h"
#include "agent/ike/sa/proposals.h"
#include "agent/ike/sa/traffic_selectors.h"
#include "agent/ike/wire/message.h"
#include "tests/exchange/node_identity.h"

namespace espalier::ike {
namespace {

const Endpoint kOurs{*IpAddress::Parse("192.0.2.1"), 4500};
const Endpoint kLiar{*IpAddress::Parse("192.0.2.2"), 4500};

class QuietHost : public Host {
 public:
  std::vector<Bytes> out;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  int installed = 0;

  void Send(const Endpoint&, const Endpoint&, ByteSpan m) override { out.emplace_back(m.begin(), m.end()); }
  void Random(std::span<uint8_t> o) override {
    for (uint8_t& b : o) b = static_cast<uint8_t>(random_());
  }
  absl::Time WallNow() override { return now; }
  absl::Status InstallInbound(EspSa) override {
    ++installed;
    return absl::OkStatus();
  }
  absl::Status InstallOutbound(EspSa) override { return absl::OkStatus(); }
  void RemoveInbound(PeerId, uint32_t) override { --installed; }
  void RemoveOutbound(PeerId, uint32_t) override {}
  absl::StatusOr<Proof> Authenticate(const std::vector<Bytes>& chain, ByteSpan id) override {
    absl::StatusOr<Proof> proof = CheckCertificate(chain.front(), id);
    if (proof.ok()) proof->not_after = absl::InfiniteFuture();
    return proof;
  }
  std::vector<Bytes> LocalChain() override { return {NodeIdentity::Make(1).certificate}; }
  Bytes LocalKeyId() override {
    std::string id = SpiffeIdOf(1);
    return Bytes(id.begin(), id.end());
  }
  absl::StatusOr<Bytes> Sign(ByteSpan data) override { return SignWith(NodeIdentity::Make(1), data); }
  Bytes TrustAnchorHashes() override { return Bytes(20, 7); }
  void OnPeerEvent(PeerId, absl::string_view, absl::string_view) override {}

 private:
  std::mt19937_64 random_{1};
};

// The liar's end of one IKE SA, as its initiator.
class Liar {
 public:
  Liar(Engine* engine, QuietHost* host) : engine_(engine), host_(host) {}

  bool Init() {
    Config config;
    config.post_quantum = false;
    ke_ = *crypto::KeyExchange::Create(wire::ke::kX25519, [this](std::span<uint8_t> o) { host_->Random(o); });
    ni_.assign(32, 5);
    wire::Payloads p;
    p.Add(IkeOffer(config, PostQuantum::kNever, 0));
    ByteSpan value = ke_->public_value();
    p.Add(wire::KePayload{wire::ke::kX25519, Bytes(value.begin(), value.end())});
    p.Add(wire::NoncePayload{ni_});
    p.Add(wire::NotifyPayload::HashAlgorithms(crypto::SupportedHashes()));
    p.Add(wire::NotifyPayload(wire::NotifyType::kFragmentationSupported));
    wire::Header h;
    h.spi_i = spi_i_;
    h.exchange = wire::ExchangeType::kIkeSaInit;
    h.from_initiator = true;
    init_ = *wire::WriteMessage(h, p);
    Deliver(init_);
    if (host_->out.empty()) return false;
    absl::StatusOr<wire::Message> answer = wire::ParseMessage(host_->out.back());
    if (!answer.ok() || answer->payloads.sa() == nullptr) return false;
    spi_r_ = answer->header.spi_r;
    nr_ = answer->payloads.nonce()->data;
    suite_ = *crypto::SuiteOf(answer->payloads.sa()->proposals[0]);
    absl::StatusOr<Secret> shared = ke_->Finish(answer->payloads.ke()->data);
    Secret seed = crypto::InitialSkeyseed(suite_.prf, ni_, nr_, *shared);
    keys_ = crypto::DeriveIkeKeys(suite_.prf, suite_.aead, seed, ni_, nr_, spi_i_, spi_r_);
    seal_ = std::make_unique<crypto::Aead>(*crypto::Aead::Create(suite_.aead, keys_.ei.span()));
    return true;
  }

  void Auth() {
    Config config;
    config.post_quantum = false;
    NodeIdentity self = NodeIdentity::Make(2);
    wire::IdPayload id(wire::IdType::kKeyId,
                       ByteSpan(reinterpret_cast<const uint8_t*>(self.spiffe_id.data()), self.spiffe_id.size()));
    wire::Payloads p;
    p.AddIdI(id);
    p.Add(wire::CertPayload{wire::CertEncoding::kX509Signature, self.certificate});
    Bytes octets = crypto::SignedOctets(suite_.prf, init_, nr_, keys_.pi, id.body, {});
    p.Add(wire::AuthPayload{wire::AuthMethod::kDigitalSignature, crypto::EcdsaSha256AuthData(*SignWith(self, octets))});
    p.Add(EspOffer(config, PostQuantum::kNever, 0x1000, false));
    p.AddTsI(wire::TsPayload{AllTraffic()});
    p.AddTsR(wire::TsPayload{AllTraffic()});
    Bytes inner = *wire::WritePayloads(p);
    Send(wire::ExchangeType::kIkeAuth, false, next_id_++, p.first_type(), inner);
  }

  void Send(wire::ExchangeType exchange, bool response, uint32_t id, wire::PayloadType first, ByteSpan inner) {
    wire::Header h;
    h.spi_i = spi_i_;
    h.spi_r = spi_r_;
    h.exchange = exchange;
    h.from_initiator = true;
    h.response = response;
    h.message_id = id;
    absl::StatusOr<crypto::SealedMessage> sealed =
        crypto::SealMessage(h, first, inner, *seal_, &iv_, {.fragmentation = true, .max_message = 600});
    if (!sealed.ok()) return;
    for (const Bytes& d : sealed->datagrams) Deliver(d);
  }

  uint32_t next_id_ = 1;

 private:
  void Deliver(const Bytes& d) { engine_->OnDatagram(host_->now, kOurs, kLiar, d); }

  Engine* engine_;
  QuietHost* host_;
  uint64_t spi_i_ = 0x1111111111111111, spi_r_ = 0;
  Bytes ni_, nr_, init_;
  crypto::IkeSuite suite_;
  crypto::IkeKeys keys_;
  std::unique_ptr<crypto::KeyExchange> ke_;
  std::unique_ptr<crypto::Aead> seal_;
  uint64_t iv_ = 1;
};

void Run(ByteSpan data) {
  Reader in(data);
  uint8_t stage = 0;
  in.U8(&stage);
  QuietHost host;
  Config config;
  config.self = 1;
  config.post_quantum = false;
  std::unique_ptr<Engine> engine = Engine::Create(config, &host);
  Peer peer;
  peer.id = 2;
  peer.name = "liar";
  std::string id = SpiffeIdOf(2);
  peer.key_id.assign(id.begin(), id.end());
  peer.local = kOurs;
  peer.remote = kLiar;
  engine->SetPeers(host.now, {peer}, {});
  Liar liar(engine.get(), &host);
  if (!liar.Init()) std::abort();
  if (stage % 4 != 0) liar.Auth();
  for (int records = 0; records < 64 && in.remaining() > 0; ++records) {
    uint8_t operation = 0, exchange = 0, offset = 0, first = 0;
    uint16_t size = 0;
    ByteSpan inner;
    in.U8(&operation);
    in.U8(&exchange);
    in.U8(&offset);
    in.U8(&first);
    in.U16(&size);
    if (!in.ok()) break;
    in.Take(std::min<size_t>(size % 2048, in.remaining()), &inner);
    constexpr uint8_t kExchanges[] = {35, 36, 37, 43, 44};
    auto type = static_cast<wire::ExchangeType>(kExchanges[exchange % 5]);
    switch (operation % 8) {
      case 0:
        engine->RekeyChild(host.now, 2);
        break;
      case 1:
        engine->RekeyIke(host.now, 2);
        break;
      case 2:
        engine->Acquire(host.now, 2);
        break;
      case 3:
        host.now += absl::Seconds(offset);
        for (int i = 0; i < 1000 && engine->NextDeadline() <= host.now; ++i) engine->OnTimer(host.now);
        if (engine->NextDeadline() <= host.now) std::abort();
        break;
      case 4:
      case 5: {
        // An answer to a request of the engine's, if there is one.
        if (host.out.empty()) break;
        wire::Header h = wire::ParseHeader(host.out.back()).value_or(wire::Header());
        liar.Send(h.exchange, true, h.message_id, static_cast<wire::PayloadType>(first), inner);
        break;
      }
      default:
        liar.Send(type, false, liar.next_id_++ + offset % 2, static_cast<wire::PayloadType>(first), inner);
        break;
    }
    if (host.installed > 40) std::abort();
    if (host.out.size() > 64) host.out.erase(host.out.begin(), host.out.end() - 8);
  }
  // All that it caused ends.
  engine->SetPeers(host.now, {}, {});
  for (int i = 0; i < 1000 && engine->NextDeadline() != absl::InfiniteFuture(); ++i) {
    host.now = std::max(host.now, engine->NextDeadline());
    engine->OnTimer(host.now);
  }
  if (host.installed != 0 || engine->NextDeadline() != absl::InfiniteFuture()) std::abort();
}

}  // namespace
}  // namespace espalier::ike

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::SetMinLogLevel(absl::LogSeverityAtLeast::kFatal);
  espalier::ike::Run({data, size});
  return 0;
}
