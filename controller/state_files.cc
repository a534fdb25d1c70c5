#include "controller/state_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/x509/atomic_file.h"

namespace espalier {
namespace {

constexpr size_t kMaxStateFile = size_t{64} << 20;

}  // namespace

StateFiles::~StateFiles() {
  if (lock_ >= 0) close(lock_);
}

absl::Status StateFiles::Lock() {
  std::string path = folder_ + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno == EWOULDBLOCK) return absl::FailedPreconditionError(absl::StrCat("another controller uses ", folder_));
  return absl::ErrnoToStatus(errno, absl::StrCat("flock ", path));
}

absl::StatusOr<std::string> StateFiles::Load(const std::string& name, std::string* known) {
  absl::StatusOr<std::string> text = x509::ReadWholeFile(folder_ + "/" + name, kMaxStateFile);
  if (absl::IsNotFound(text.status())) return std::string();
  if (text.ok()) *known = *text;
  return text;
}

absl::Status StateFiles::Save(const std::string& name, const std::string& text, std::string* known) {
  if (text == *known) return absl::OkStatus();
  if (absl::Status s = x509::WriteFileAtomically(folder_ + "/" + name, text, 0600); !s.ok()) return s;
  *known = text;
  return absl::OkStatus();
}

absl::StatusOr<AgentFactsByUid> StateFiles::LoadAgents() {
  absl::StatusOr<std::string> text = Load("agents.json", &agents_);
  if (!text.ok()) return text.status();
  AgentFactsByUid out;
  if (text->empty()) return out;
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return absl::DataLossError(absl::StrCat(folder_, "/agents.json is not a JSON object"));
  for (const auto& [uid, facts] : json.items()) {
    compile::AgentFacts one;
    if (!facts.is_object() || !facts.contains("boot_id") || !facts["boot_id"].is_string() || !facts.contains("mlkem") ||
        !facts["mlkem"].is_boolean() || !absl::SimpleAtoi(facts["boot_id"].get<std::string>(), &one.boot_id)) {
      return absl::DataLossError(absl::StrCat(folder_, "/agents.json: a record is malformed"));
    }
    one.mlkem = facts["mlkem"].get<bool>();
    out[uid] = one;
  }
  return out;
}

absl::Status StateFiles::SaveAgents(const AgentFactsByUid& agents) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [uid, facts] : agents) {
    json[uid] = {{"boot_id", absl::StrCat(facts.boot_id)}, {"mlkem", facts.mlkem}};
  }
  return Save("agents.json", json.dump(1) + "\n", &agents_);
}

}  // namespace espalier
