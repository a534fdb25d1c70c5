// IKE_SA_INIT requests. In order, the cheap before the dear, and nothing kept before the cookie holds (IKE-022):
//  1. well-formed, from an initiator, message ID 0
//  2. a repeat of what was answered: the same answer
//  3. a valid cookie, if many are half-open
//  4. limits: of all, and of one address or /64
//  5. the choice of a suite, the key exchange, the answer (IkeInitTask)
#include <utility>

#include "agent/ike/engine_impl.h"
#include "agent/ike/wire/payload_rules.h"

namespace espalier::ike {
namespace {
// Of one IPv4 address or IPv6 /64 under load, at most this share of the half-open limit.
constexpr size_t kShareOfPrefix = 16;
}  // namespace

void EngineImpl::AnswerUnprotected(const Endpoint& local, const Endpoint& remote, const wire::Header& request,
                                   wire::NotifyPayload notify) {
  wire::Header header = request;
  header.from_initiator = !request.from_initiator;
  header.response = true;
  wire::Payloads payloads;
  payloads.Add(std::move(notify));
  absl::StatusOr<Bytes> message = wire::WriteMessage(header, payloads);
  if (!message.ok()) return;
  shared_.counters.Add(Counter::kPacketsOut);
  shared_.host->Send(local, remote, *message);
}

void EngineImpl::OnInitRequest(absl::Time now, const Endpoint& local, const Endpoint& remote, ByteSpan datagram,
                               const wire::Message& message) {
  const wire::Header& header = message.header;
  if (!header.from_initiator || header.spi_r != 0 || header.message_id != 0 || message.encrypted.has_value() ||
      !wire::CheckPayloads(header.exchange, /*response=*/false, message.payloads).ok()) {
    shared_.counters.Add(Counter::kMalformed);
    return;
  }
  if (std::optional<uint64_t> made = half_open_.Find(remote, datagram); made.has_value()) {
    if (IkeSa* sa = FindSa(*made); sa != nullptr) sa->OnInitRepeat();
    return;
  }
  if (half_open_.half_open() >= shared_.config.cookie_threshold) {
    const Bytes& ni = message.payloads.nonce()->data;
    const wire::NotifyPayload* cookie = message.payloads.notify(wire::NotifyType::kCookie);
    if (cookie == nullptr || !cookies_.Check(now, cookie->data, ni, remote, header.spi_i)) {
      shared_.counters.Add(cookie == nullptr ? Counter::kCookiesSent : Counter::kCookiesBad);
      AnswerUnprotected(local, remote, header,
                        wire::NotifyPayload(wire::NotifyType::kCookie, cookies_.Make(now, ni, remote, header.spi_i)));
      return;
    }
    if (half_open_.half_open_of(remote) >= std::max<size_t>(8, shared_.config.half_open_limit / kShareOfPrefix)) {
      shared_.counters.Add(Counter::kHalfOpenRefused);
      return;
    }
  }
  if (half_open_.half_open() >= shared_.config.half_open_limit) {
    // The oldest had the most time to finish.
    shared_.counters.Add(Counter::kHalfOpenRefused);
    if (IkeSa* oldest = FindSa(half_open_.Oldest().value_or(0)); oldest != nullptr) {
      oldest->Close(now, /*tell=*/false, /*failed=*/false, "too many half-open");
      Settle(oldest);
    }
  }
  std::unique_ptr<IkeSa> sa = IkeSa::Answer(&shared_, local, remote, header.spi_i, now);
  IkeSa* made = sa.get();
  if (!made->OnInitRequest(now, datagram, message)) return;
  half_open_.Add(now, remote, datagram, made->own_spi());
  sas_[made->own_spi()] = std::move(sa);
  Settle(made);
}

}  // namespace espalier::ike
