// What a stranger or a hostile peer can send: a datagram as it comes, and the inside of a sealed one. The first octet
// of an input chooses:
//   even: the rest is a datagram. If it has an SK or SKF, its body is also taken as if it had been opened.
//   odd: the next octet is the first payload type, the rest an inner chain.
#include <algorithm>
#include <cstdlib>

#include "agent/ike/crypto/aead.h"
#include "agent/ike/crypto/sealed_message.h"
#include "agent/ike/wire/error.h"
#include "agent/ike/wire/message.h"
#include "agent/ike/wire/payload_rules.h"
#include "agent/ike/wire/proposal_rules.h"
#include "agent/ike/wire/reassembler.h"

namespace espalier::ike {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// Whatever was read can be written, and reads the same again.
void CheckRoundTrip(const wire::Payloads& payloads) {
  const auto octets = wire::WritePayloads(payloads);
  Require(octets.ok());
  const auto again = wire::ParsePayloads(payloads.first_type(), *octets);
  if (again.ok()) Require(again->size() == payloads.size());
}

void CheckRules(const wire::Payloads& payloads) {
  for (uint8_t exchange = 30; exchange < 50; ++exchange) {
    for (bool response : {false, true}) {
      (void)wire::CheckPayloads(static_cast<wire::ExchangeType>(exchange), response, payloads);
    }
  }
  const wire::SaPayload* sa = payloads.sa();
  if (sa == nullptr) return;
  (void)wire::NumbersRunFromOne(*sa);
  for (const wire::Proposal& p : sa->proposals) {
    for (wire::ProtocolId protocol : {wire::ProtocolId::kIke, wire::ProtocolId::kAh, wire::ProtocolId::kEsp}) {
      const auto usable = wire::UsableProposal(p, {.protocol = protocol});
      if (usable.has_value()) Require(usable->transforms.size() <= p.transforms.size());
    }
    (void)wire::AdditionalKeyExchangesDiffer(p);
    (void)wire::IsChoiceOf(p, *sa);
    (void)crypto::SuiteOf(p);
  }
}

void ReadChain(wire::PayloadType first, ByteSpan chain) {
  const auto payloads = wire::ParsePayloads(first, chain);
  if (!payloads.ok()) {
    const wire::Fault fault = wire::FaultOf(payloads.status());
    Require(fault == wire::Fault::kMalformed || fault == wire::Fault::kCritical);
    return;
  }
  Require(payloads->size() <= wire::kMaxPayloads);
  CheckRoundTrip(*payloads);
  CheckRules(*payloads);
}

// Fragments cut from the body, in the order and with the numbers that its octets say.
void Reassemble(ByteSpan octets) {
  wire::Reassembler reassembler({.fragments = 16, .octets = 2000, .age = absl::Seconds(30)});
  Reader r(octets);
  absl::Time now = absl::FromUnixSeconds(1);
  while (r.remaining() >= 4) {
    uint8_t number = 0, total = 0, size = 0, wait = 0;
    r.U8(&number);
    r.U8(&total);
    r.U8(&size);
    r.U8(&wait);
    ByteSpan chunk;
    r.Take(std::min<size_t>(size, r.remaining()), &chunk);
    now += absl::Seconds(wait);
    wire::OpenedFragment f;
    f.number = number;
    f.total = total;
    f.chunk.assign(chunk.begin(), chunk.end());
    f.first_inner = wire::PayloadType::kNotify;
    f.clear_prefix.assign(octets.begin(), octets.begin() + static_cast<ptrdiff_t>(std::min<size_t>(octets.size(), 40)));
    const auto whole = reassembler.Add(now, std::move(f));
    Require(reassembler.octets() <= 2000 && reassembler.fragments() < 16);
    if (whole.has_value()) ReadChain(whole->first_inner, whole->inner);
  }
}

void ReadDatagram(ByteSpan datagram) {
  const auto message = wire::ParseMessage(datagram);
  const Bytes answer = wire::MajorVersionAnswer(datagram);
  if (!message.ok()) {
    Require(answer.empty() || wire::FaultOf(message.status()) == wire::Fault::kMajorVersion);
    return;
  }
  if (!message->encrypted.has_value()) {
    CheckRoundTrip(message->payloads);
    CheckRules(message->payloads);
    return;
  }
  const wire::EncryptedPayload& e = *message->encrypted;
  Require(e.body_offset + e.body_size == datagram.size());
  static const crypto::Aead* const aead =
      new crypto::Aead(*crypto::Aead::Create(EspSuite::kAesGcm128, Bytes(20, 0x5a)));
  // Nobody guesses an ICV.
  Require(!crypto::OpenMessage(datagram, *message, *aead).ok());
  Require(!crypto::OpenFragment(datagram, *message, *aead).ok());
  const ByteSpan body = datagram.subspan(e.body_offset);
  ReadChain(e.first_inner, body);
  Reassemble(body);
  (void)wire::IntAuthHeader(datagram.first(e.body_offset), body.size());
}

}  // namespace
}  // namespace espalier::ike

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace espalier;
  if (size < 2) return 0;
  const ByteSpan input(data, size);
  if (input[0] % 2 == 0) {
    ike::ReadDatagram(input.subspan(1));
  } else {
    ike::ReadChain(static_cast<ike::wire::PayloadType>(input[1]), input.subspan(2));
  }
  return 0;
}
