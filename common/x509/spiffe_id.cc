#include "common/x509/spiffe_id.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace espalier::x509 {
namespace {

constexpr size_t kMaxId = 2048;          // SPIFFE-ID section 2.3
constexpr size_t kMaxTrustDomain = 255;  // SPIFFE-ID section 2.3
constexpr absl::string_view kScheme = "spiffe://";

absl::Status CheckSegment(absl::string_view segment) {
  if (segment.empty()) return absl::InvalidArgumentError("SPIFFE id: an empty path segment");
  if (segment == "." || segment == "..") return absl::InvalidArgumentError("SPIFFE id: a relative path segment");
  for (char c : segment) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_') {
      return absl::InvalidArgumentError("SPIFFE id: the path has a character outside letters, digits, '.', '-', '_'");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTrustDomain(absl::string_view text) {
  if (text.empty()) return absl::InvalidArgumentError("SPIFFE id: no trust domain");
  if (text.size() > kMaxTrustDomain) return absl::InvalidArgumentError("SPIFFE id: the trust domain is too long");
  for (char c : text) {
    if (!absl::ascii_islower(static_cast<unsigned char>(c)) && !absl::ascii_isdigit(static_cast<unsigned char>(c)) &&
        c != '.' && c != '-' && c != '_') {
      return absl::InvalidArgumentError("SPIFFE id: the trust domain has a character outside a-z, 0-9, '.', '-', '_'");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNodeUid(absl::string_view text) {
  if (text.size() > 253) return absl::InvalidArgumentError("SPIFFE id: the node's UID is too long");
  return CheckSegment(text);
}

absl::StatusOr<SpiffeId> SpiffeId::Parse(absl::string_view text) {
  if (text.size() > kMaxId) return absl::InvalidArgumentError("SPIFFE id: longer than 2048 octets");
  if (!absl::ConsumePrefix(&text, kScheme)) return absl::InvalidArgumentError("SPIFFE id: does not begin spiffe://");
  size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return absl::InvalidArgumentError("SPIFFE id: no path");
  SpiffeId out{std::string(text.substr(0, slash)), std::string(text.substr(slash))};
  if (absl::Status s = CheckTrustDomain(out.trust_domain); !s.ok()) return s;
  for (absl::string_view segment : absl::StrSplit(text.substr(slash + 1), '/')) {
    if (absl::Status s = CheckSegment(segment); !s.ok()) return s;
  }
  return out;
}

absl::StatusOr<std::string> SpiffeId::NodeUid() const {
  absl::string_view uid = path;
  if (!absl::ConsumePrefix(&uid, "/node/") || absl::StrContains(uid, '/')) {
    return absl::InvalidArgumentError("SPIFFE id: the path is not a node's (/node/UID)");
  }
  return std::string(uid);
}

std::string NodeSpiffeId(absl::string_view trust_domain, absl::string_view uid) {
  return absl::StrCat(kScheme, trust_domain, "/node/", uid);
}

}  // namespace espalier::x509
