#include "controller/ca/join_tokens.h"

#include <dirent.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/x509/atomic_file.h"
#include "common/x509/openssl.h"

namespace espalier::ca {
namespace {

constexpr size_t kTokenOctets = 32;
constexpr size_t kMaxTokenText = 128;
constexpr size_t kMaxTokenFile = 4096;

struct Token {
  std::string node;
  absl::Time expires;
};

absl::StatusOr<Token> ReadToken(const std::string& path) {
  absl::StatusOr<std::string> text = x509::ReadWholeFile(path, kMaxTokenFile);
  if (!text.ok()) return text.status();
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("node") || !json["node"].is_string() || !json.contains("expires") ||
      !json["expires"].is_number_integer()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a token's record"));
  }
  return Token{json["node"].get<std::string>(), absl::FromUnixSeconds(json["expires"].get<int64_t>())};
}

}  // namespace

std::string JoinTokens::Path(absl::string_view token) const {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), hash.data());
  return absl::StrCat(
      Folder(), "/", absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(hash.data()), hash.size())),
      ".json");
}

absl::StatusOr<std::string> JoinTokens::Create(absl::string_view node_name, absl::Duration ttl, absl::Time now) {
  if (node_name.empty() || node_name.size() > 253) {
    return absl::InvalidArgumentError("a node's name has 1 to 253 characters");
  }
  if (ttl < absl::Seconds(1)) return absl::InvalidArgumentError("a token must be valid for at least 1 s");
  if (absl::Status s = x509::EnsurePrivateDirectory(state_dir_); !s.ok()) return s;
  if (absl::Status s = x509::EnsurePrivateDirectory(Folder()); !s.ok()) return s;
  std::array<uint8_t, kTokenOctets> octets{};
  if (RAND_bytes(octets.data(), octets.size()) != 1) return x509::OpenSslError("drawing a token");
  std::string token =
      absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(octets.data()), octets.size()));
  nlohmann::json json = {{"node", std::string(node_name)}, {"expires", absl::ToUnixSeconds(now + ttl)}};
  if (absl::Status s = x509::WriteFileAtomically(Path(token), json.dump() + "\n", 0600); !s.ok()) return s;
  return token;
}

absl::Status JoinTokens::Check(absl::string_view token, absl::string_view node_name, absl::Time now) const {
  if (token.empty() || token.size() > kMaxTokenText) return absl::UnauthenticatedError("no such join token");
  absl::StatusOr<Token> found = ReadToken(Path(token));
  if (absl::IsNotFound(found.status())) {
    return absl::UnauthenticatedError("the join token is unknown or was used already: make a new one");
  }
  if (!found.ok()) return absl::InternalError(found.status().message());
  if (found->expires <= now) return absl::UnauthenticatedError("the join token has expired: make a new one");
  if (absl::string_view(found->node) != node_name) {
    return absl::PermissionDeniedError("the join token is another node's");
  }
  return absl::OkStatus();
}

absl::Status JoinTokens::Claim(absl::string_view token, absl::string_view node_name, absl::Time now) {
  if (absl::Status s = Check(token, node_name, now); !s.ok()) return s;
  std::string path = Path(token);
  if (unlink(path.c_str()) == 0) return absl::OkStatus();
  if (errno == ENOENT) return absl::UnauthenticatedError("the join token was used already: make a new one");
  return absl::ErrnoToStatus(errno, absl::StrCat("unlink ", path));
}

int JoinTokens::RemoveExpired(absl::Time now) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(Folder().c_str()), closedir);
  if (folder == nullptr) return 0;
  int removed = 0;
  while (const dirent* entry = readdir(folder.get())) {
    if (!absl::EndsWith(entry->d_name, ".json")) continue;
    std::string path = absl::StrCat(Folder(), "/", entry->d_name);
    absl::StatusOr<Token> token = ReadToken(path);
    if (token.ok() && token->expires <= now && unlink(path.c_str()) == 0) ++removed;
  }
  return removed;
}

}  // namespace espalier::ca
