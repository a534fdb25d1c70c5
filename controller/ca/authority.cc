#include "controller/ca/authority.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/x509/atomic_file.h"
#include "common/x509/spiffe_id.h"

namespace espalier::ca {
namespace {

constexpr size_t kMaxKeyFile = 16384;
constexpr size_t kMaxPemFile = 1 << 20;
constexpr size_t kMaxRevokedFile = 4 << 20;
constexpr absl::Duration kCaLifetime = absl::Hours(24 * 3650);
constexpr absl::Duration kMaxBackdate = absl::Minutes(5);

std::string KeyPath(const std::string& dir) { return dir + "/ca.key"; }
std::string CertificatePath(const std::string& dir) { return dir + "/ca.pem"; }
std::string ExtraAnchorsPath(const std::string& dir) { return dir + "/extra-anchors.pem"; }
std::string RevokedPath(const std::string& dir) { return dir + "/revoked"; }

absl::StatusOr<x509::PrivateKey> LoadOrMakeKey(const std::string& path) {
  absl::StatusOr<std::string> pem = x509::ReadPrivateFile(path, kMaxKeyFile);
  if (pem.ok()) {
    absl::StatusOr<x509::PrivateKey> key = x509::PrivateKey::FromPem(*pem);
    x509::WipeText(&*pem);
    if (!key.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", key.status().message()));
    return key;
  }
  if (!absl::IsNotFound(pem.status())) return pem.status();
  absl::StatusOr<x509::PrivateKey> key = x509::PrivateKey::Generate();
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> text = key->ToPem();
  if (!text.ok()) return text.status();
  absl::Status written = x509::WriteFileAtomically(path, *text, 0600);
  x509::WipeText(&*text);
  if (!written.ok()) return written;
  return key;
}

// The issuing certificate and its intermediates; made where there is none.
absl::StatusOr<std::vector<x509::Certificate>> LoadOrMakeCertificate(const std::string& path,
                                                                     const x509::PrivateKey& key,
                                                                     const AuthorityOptions& options, absl::Time now) {
  absl::StatusOr<std::string> pem = x509::ReadWholeFile(path, kMaxPemFile);
  if (absl::IsNotFound(pem.status())) {
    absl::StatusOr<x509::Certificate> root = x509::MakeRoot(key, absl::StrCat("Espalier CA of ", options.trust_domain),
                                                            now - kMaxBackdate, now + kCaLifetime);
    if (!root.ok()) return root.status();
    if (absl::Status s = x509::WriteFileAtomically(path, root->ToPem(), 0644); !s.ok()) return s;
    LOG(INFO) << "certificate authority made"
              << " subject=\"" << root->Subject() << "\" serial=" << root->Serial();
    return std::vector<x509::Certificate>{*std::move(root)};
  }
  if (!pem.ok()) return pem.status();
  absl::StatusOr<std::vector<x509::Certificate>> chain = x509::Certificate::FromPem(*pem);
  if (!chain.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", chain.status().message()));
  const x509::Certificate& own = chain->front();
  if (!own.IsCa()) return absl::InvalidArgumentError(absl::StrCat(path, ": the first certificate is not a CA's"));
  if (own.SpkiDer() != key.PublicSpkiDer()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the first certificate is not that of ca.key"));
  }
  if (own.NotAfter() <= now) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": the CA's certificate expired ",
                                                      absl::FormatTime(own.NotAfter(), absl::UTCTimeZone()),
                                                      ": put a new one there, and its anchor into extra-anchors.pem"));
  }
  return chain;
}

}  // namespace

Authority::Authority(AuthorityOptions options, x509::Issuer issuer, std::vector<x509::Certificate> intermediates)
    : options_(std::move(options)), issuer_(std::move(issuer)), intermediates_(std::move(intermediates)) {}

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(AuthorityOptions options, absl::Time now) {
  if (absl::Status s = x509::CheckTrustDomain(options.trust_domain); !s.ok()) return s;
  if (options.certificate_lifetime < absl::Seconds(2)) {
    return absl::InvalidArgumentError("the certificate lifetime must be at least 2 s");
  }
  if (absl::Status s = x509::EnsurePrivateDirectory(options.state_dir); !s.ok()) return s;
  absl::StatusOr<x509::PrivateKey> key = LoadOrMakeKey(KeyPath(options.state_dir));
  if (!key.ok()) return key.status();
  absl::StatusOr<std::vector<x509::Certificate>> chain =
      LoadOrMakeCertificate(CertificatePath(options.state_dir), *key, options, now);
  if (!chain.ok()) return chain.status();
  x509::Certificate own = chain->front();
  // A root is never sent (IKE-034); a self-signed certificate stands in the bundle instead.
  std::vector<x509::Certificate> intermediates;
  for (const x509::Certificate& c : *chain) {
    if (!c.IsSelfIssued()) intermediates.push_back(c);
  }
  std::unique_ptr<Authority> out(
      new Authority(std::move(options), x509::Issuer{*std::move(key), std::move(own)}, std::move(intermediates)));
  if (absl::StatusOr<bool> refreshed = out->Refresh(now); !refreshed.ok()) return refreshed.status();
  return out;
}

absl::Time Authority::NotBefore(absl::Time now) const {
  return now - std::min(kMaxBackdate, options_.certificate_lifetime / 10);
}

absl::StatusOr<IssuedCertificate> Authority::IssueNode(ByteSpan csr_der, absl::string_view uid,
                                                       absl::string_view node_name, absl::Time now) {
  absl::StatusOr<x509::KeyPtr> key = x509::VerifyCertificateRequest(csr_der);
  if (!key.ok()) return key.status();
  absl::StatusOr<x509::Certificate> leaf = x509::IssueNodeCertificate(
      issuer_, key->get(), options_.trust_domain, uid, node_name, NotBefore(now), now + options_.certificate_lifetime);
  if (!leaf.ok()) return leaf.status();
  absl::MutexLock lock(&mutex_);
  ++issued_;
  return IssuedCertificate{leaf->ToPem() + x509::ChainToPem(intermediates_),
                           x509::NodeSpiffeId(options_.trust_domain, uid), leaf->Serial(), leaf->NotAfter()};
}

absl::Status Authority::LoadTrust(bool* changed) {
  std::vector<x509::Certificate> anchors;
  if (issuer_.certificate.IsSelfIssued()) anchors.push_back(issuer_.certificate);
  absl::StatusOr<std::string> extra = x509::ReadWholeFile(ExtraAnchorsPath(options_.state_dir), kMaxPemFile);
  if (extra.ok()) {
    absl::StatusOr<std::vector<x509::Certificate>> more = x509::Certificate::FromPem(*extra);
    if (!more.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(ExtraAnchorsPath(options_.state_dir), ": ", more.status().message()));
    }
    anchors.insert(anchors.end(), more->begin(), more->end());
  } else if (!absl::IsNotFound(extra.status())) {
    return extra.status();
  }
  // An operator's intermediate without its root in extra-anchors.pem is an anchor itself.
  if (anchors.empty()) anchors.push_back(issuer_.certificate);

  std::set<std::string> revoked;
  absl::StatusOr<std::string> list = x509::ReadWholeFile(RevokedPath(options_.state_dir), kMaxRevokedFile);
  if (list.ok()) {
    int number = 0;
    for (absl::string_view line : absl::StrSplit(*list, '\n')) {
      ++number;
      line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
      if (line.empty()) continue;
      absl::StatusOr<std::string> serial = x509::NormalizeSerial(line);
      if (!serial.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat(RevokedPath(options_.state_dir), ":", number, ": ", serial.status().message()));
      }
      revoked.insert(*serial);
    }
  } else if (!absl::IsNotFound(list.status())) {
    return list.status();
  }

  std::string bundle = x509::ChainToPem(anchors);
  std::vector<std::string> serials(revoked.begin(), revoked.end());
  if (trust_ != nullptr && bundle == bundle_pem_ && serials == revoked_) return absl::OkStatus();
  absl::StatusOr<x509::TrustStore> trust = x509::TrustStore::Create(bundle, serials);
  if (!trust.ok()) return trust.status();
  if (absl::Status s = x509::WriteFileAtomically(bundle_path(), bundle, 0644); !s.ok()) return s;
  bundle_pem_ = std::move(bundle);
  revoked_ = std::move(serials);
  trust_ = std::make_shared<const x509::TrustStore>(*std::move(trust));
  *changed = true;
  return absl::OkStatus();
}

absl::Status Authority::RenewServer(absl::Time now) {
  if (server_) {
    absl::Duration life = server_->NotAfter() - server_->NotBefore();
    if (now < server_->NotBefore() + life * 2 / 3) return absl::OkStatus();
  }
  absl::StatusOr<x509::PrivateKey> key = x509::PrivateKey::Generate();
  if (!key.ok()) return key.status();
  absl::StatusOr<x509::Certificate> leaf = x509::IssueServerCertificate(
      issuer_, key->get(), {kControllerDnsName}, NotBefore(now), now + options_.certificate_lifetime);
  if (!leaf.ok()) return leaf.status();
  absl::StatusOr<std::string> text = key->ToPem();
  if (!text.ok()) return text.status();
  // One file for both, so that a reader never sees a key of one and a certificate of another.
  std::string both = absl::StrCat(*text, leaf->ToPem(), x509::ChainToPem(intermediates_));
  x509::WipeText(&*text);
  absl::Status written = x509::WriteFileAtomically(server_path(), both, 0600);
  x509::WipeText(&both);
  if (!written.ok()) return written;
  server_ = *std::move(leaf);
  return absl::OkStatus();
}

absl::StatusOr<bool> Authority::Refresh(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  bool changed = false;
  absl::Status trust = LoadTrust(&changed);
  absl::Status server = RenewServer(now);
  if (!trust.ok()) return trust;
  if (!server.ok()) return server;
  return changed;
}

std::shared_ptr<const x509::TrustStore> Authority::trust() const {
  absl::MutexLock lock(&mutex_);
  return trust_;
}

std::string Authority::bundle_pem() const {
  absl::MutexLock lock(&mutex_);
  return bundle_pem_;
}

std::vector<std::string> Authority::revoked() const {
  absl::MutexLock lock(&mutex_);
  return revoked_;
}

absl::Time Authority::server_not_after() const {
  absl::MutexLock lock(&mutex_);
  return server_ ? server_->NotAfter() : absl::InfinitePast();
}

uint64_t Authority::issued() const {
  absl::MutexLock lock(&mutex_);
  return issued_;
}

std::string Authority::bundle_path() const { return options_.state_dir + "/trust-bundle.pem"; }
std::string Authority::server_path() const { return options_.state_dir + "/server.pem"; }

absl::Status Revoke(const std::string& state_dir, absl::string_view serial) {
  absl::StatusOr<std::string> normal = x509::NormalizeSerial(serial);
  if (!normal.ok()) return normal.status();
  std::string path = RevokedPath(state_dir);
  // One write of one line: no other appender and no reader sees half of it.
  int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  std::string line = *normal + "\n";
  ssize_t n = write(fd, line.data(), line.size());
  int error = errno;
  bool synced = fsync(fd) == 0;
  close(fd);
  if (n != static_cast<ssize_t>(line.size()) || !synced)
    return absl::ErrnoToStatus(error, absl::StrCat("write ", path));
  return absl::OkStatus();
}

}  // namespace espalier::ca
