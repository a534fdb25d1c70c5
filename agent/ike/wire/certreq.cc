#include "agent/ike/wire/certreq.h"

#include <algorithm>

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

constexpr size_t kSha1Size = 20;  // RFC 7296 section 3.7

}  // namespace

bool CertReqPayload::Accepts(ByteSpan spki_sha1) const {
  if (authorities.empty() || authorities.size() % kSha1Size != 0) return true;
  for (size_t at = 0; at < authorities.size(); at += kSha1Size) {
    if (std::ranges::equal(ByteSpan(authorities).subspan(at, kSha1Size), spki_sha1)) return true;
  }
  return false;
}

absl::StatusOr<CertReqPayload> CertReqPayload::Parse(ByteSpan body) {
  if (body.empty()) return MalformedError("CERTREQ empty");
  CertReqPayload out;
  out.encoding = static_cast<CertEncoding>(body[0]);
  out.authorities.assign(body.begin() + 1, body.end());
  return out;
}

void CertReqPayload::Write(Writer* out) const {
  out->U8(static_cast<uint8_t>(encoding));
  out->Raw(authorities);
}

}  // namespace espalier::ike::wire
