// A chain of payloads as a value: what is parsed from a message and what is written into one.
#ifndef ESPALIER_AGENT_IKE_WIRE_PAYLOADS_H_
#define ESPALIER_AGENT_IKE_WIRE_PAYLOADS_H_

#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ike/wire/auth.h"
#include "agent/ike/wire/cert.h"
#include "agent/ike/wire/certreq.h"
#include "agent/ike/wire/delete.h"
#include "agent/ike/wire/id.h"
#include "agent/ike/wire/ke.h"
#include "agent/ike/wire/nonce.h"
#include "agent/ike/wire/notify.h"
#include "agent/ike/wire/sa.h"
#include "agent/ike/wire/ts.h"
#include "agent/ike/wire/types.h"
#include "common/bytes.h"

namespace espalier::ike::wire {

// Vendor ID, CP, EAP and types nobody registered: skipped by their length, kept for who wants to look (IKE-006,
// IKE-016). The content is the peer's: escape and bound it before it goes anywhere.
struct OpaquePayload {
  Bytes body;
  friend bool operator==(const OpaquePayload&, const OpaquePayload&) = default;
};

using PayloadBody = std::variant<OpaquePayload, SaPayload, KePayload, IdPayload, CertPayload, CertReqPayload,
                                 AuthPayload, NoncePayload, NotifyPayload, DeletePayload, TsPayload>;

struct Payload {
  PayloadType type = PayloadType::kNone;
  PayloadBody body;
  friend bool operator==(const Payload&, const Payload&) = default;
};

// A payload that may appear once is there at most once in what ParsePayloads returns (IKE-007).
class Payloads {
 public:
  // Appends. The type must be that of the body (CHECKed: only our own code builds messages).
  void Add(PayloadType type, PayloadBody body);
  void Add(SaPayload v) { Add(PayloadType::kSa, std::move(v)); }
  void Add(KePayload v) { Add(PayloadType::kKe, std::move(v)); }
  void AddIdI(IdPayload v) { Add(PayloadType::kIdI, std::move(v)); }
  void AddIdR(IdPayload v) { Add(PayloadType::kIdR, std::move(v)); }
  void Add(CertPayload v) { Add(PayloadType::kCert, std::move(v)); }
  void Add(CertReqPayload v) { Add(PayloadType::kCertReq, std::move(v)); }
  void Add(AuthPayload v) { Add(PayloadType::kAuth, std::move(v)); }
  void Add(NoncePayload v) { Add(PayloadType::kNonce, std::move(v)); }
  void Add(NotifyPayload v) { Add(PayloadType::kNotify, std::move(v)); }
  void Add(DeletePayload v) { Add(PayloadType::kDelete, std::move(v)); }
  void AddTsI(TsPayload v) { Add(PayloadType::kTsI, std::move(v)); }
  void AddTsR(TsPayload v) { Add(PayloadType::kTsR, std::move(v)); }

  // Null where it is absent. Pointers live as long as this object is not changed.
  const SaPayload* sa() const { return First<SaPayload>(PayloadType::kSa); }
  const KePayload* ke() const { return First<KePayload>(PayloadType::kKe); }
  const IdPayload* id_i() const { return First<IdPayload>(PayloadType::kIdI); }
  const IdPayload* id_r() const { return First<IdPayload>(PayloadType::kIdR); }
  const AuthPayload* auth() const { return First<AuthPayload>(PayloadType::kAuth); }
  const NoncePayload* nonce() const { return First<NoncePayload>(PayloadType::kNonce); }
  const TsPayload* ts_i() const { return First<TsPayload>(PayloadType::kTsI); }
  const TsPayload* ts_r() const { return First<TsPayload>(PayloadType::kTsR); }
  const NotifyPayload* notify(NotifyType type) const;  // the first of this type
  bool has(NotifyType type) const { return notify(type) != nullptr; }
  const NotifyPayload* first_error() const;  // the first notify below 16384
  bool has(PayloadType type) const;

  // All of a kind that may repeat, in their order.
  std::vector<const NotifyPayload*> notifies() const { return All<NotifyPayload>(); }
  std::vector<const NotifyPayload*> notifies(NotifyType type) const;
  std::vector<const CertPayload*> certs() const { return All<CertPayload>(); }
  std::vector<const CertReqPayload*> certreqs() const { return All<CertReqPayload>(); }
  std::vector<const DeletePayload*> deletes() const { return All<DeletePayload>(); }

  const std::vector<Payload>& list() const { return list_; }
  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  PayloadType first_type() const { return list_.empty() ? PayloadType::kNone : list_.front().type; }

  friend bool operator==(const Payloads&, const Payloads&) = default;

 private:
  template <typename T>
  const T* First(PayloadType type) const {
    for (const Payload& p : list_) {
      if (p.type == type) return std::get_if<T>(&p.body);
    }
    return nullptr;
  }
  template <typename T>
  std::vector<const T*> All() const {
    std::vector<const T*> out;
    for (const Payload& p : list_) {
      if (const T* t = std::get_if<T>(&p.body)) out.push_back(t);
    }
    return out;
  }

  std::vector<Payload> list_;
};

inline constexpr size_t kMaxPayloads = 64;  // ours (IKE-005)

// The inner chain of an opened SK payload, ending exactly at the end of `chain`. SK and SKF inside are malformed, too
// many payloads or a doubled single one are as well; an unknown payload with the critical bit is kCritical.
absl::StatusOr<Payloads> ParsePayloads(PayloadType first, ByteSpan chain);

// The chain's octets, in the order added; the next-payload field of the last is 0. Fails where one payload would pass
// 65,535 octets.
absl::StatusOr<Bytes> WritePayloads(const Payloads& payloads);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_PAYLOADS_H_
