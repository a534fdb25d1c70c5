#include "agent/control/identity_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/x509/atomic_file.h"

namespace espalier::control {
namespace {

constexpr size_t kMaxIdentityFile = 128 * 1024;
constexpr size_t kMaxBundleFile = 1 << 20;

}  // namespace

absl::Status IdentityStore::Prepare() const { return x509::EnsurePrivateDirectory(state_dir_); }

absl::StatusOr<Identity> IdentityStore::LoadIdentity() const {
  absl::StatusOr<std::string> text = x509::ReadPrivateFile(IdentityPath(), kMaxIdentityFile);
  if (!text.ok()) return text.status();
  absl::StatusOr<x509::PrivateKey> key = x509::PrivateKey::FromPem(*text);
  absl::StatusOr<std::vector<x509::Certificate>> chain = x509::Certificate::FromPem(*text);
  x509::WipeText(&*text);
  if (!key.ok()) return absl::DataLossError(absl::StrCat(IdentityPath(), ": ", key.status().message()));
  if (!chain.ok()) return absl::DataLossError(absl::StrCat(IdentityPath(), ": ", chain.status().message()));
  if (chain->front().SpkiDer() != key->PublicSpkiDer()) {
    return absl::DataLossError(absl::StrCat(IdentityPath(), ": the key is not the certificate's"));
  }
  return Identity{*std::move(key), *std::move(chain)};
}

absl::Status IdentityStore::SaveIdentity(const Identity& identity) const {
  absl::StatusOr<std::string> key = identity.key.ToPem();
  if (!key.ok()) return key.status();
  std::string text = absl::StrCat(*key, identity.chain_pem());
  x509::WipeText(&*key);
  absl::Status written = x509::WriteFileAtomically(IdentityPath(), text, 0600);
  x509::WipeText(&text);
  return written;
}

absl::StatusOr<std::string> IdentityStore::LoadBundle() const {
  return x509::ReadWholeFile(BundlePath(), kMaxBundleFile);
}

absl::Status IdentityStore::SaveBundle(const std::string& pem) const {
  return x509::WriteFileAtomically(BundlePath(), pem, 0644);
}

}  // namespace espalier::control
