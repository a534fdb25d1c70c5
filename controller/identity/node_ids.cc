#include "controller/identity/node_ids.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "controller/identity/stable_hash.h"

namespace espalier::identity {
namespace {

constexpr uint32_t kCandidates = 1024;  // then the next free number

}  // namespace

const std::map<std::string, uint32_t>& NodeIdAllocator::Assign(const std::set<std::string>& uids) {
  std::erase_if(ids_, [&uids](const auto& entry) { return !uids.contains(entry.first); });
  std::set<uint32_t> taken;
  for (const auto& [uid, id] : ids_) taken.insert(id);
  std::map<StableHash, const std::string*> added;  // by hash: the order in which they choose
  for (const std::string& uid : uids) {
    if (!ids_.contains(uid)) added[HashOf(uid)] = &uid;
  }
  for (const auto& [hash, uid] : added) {
    if (taken.size() >= kMaxId) break;
    uint32_t id = 0;
    uint32_t candidate = 0;
    do {
      id = FoldHash(hash, candidate++, 1, kMaxId + 1);
    } while (taken.contains(id) && candidate < kCandidates);
    while (taken.contains(id)) id = id < kMaxId ? id + 1 : 1;
    taken.insert(id);
    ids_.emplace(*uid, id);
  }
  return ids_;
}

std::string NodeIdAllocator::Save() const {
  std::string out;
  for (const auto& [uid, id] : ids_) absl::StrAppend(&out, id, " ", uid, "\n");
  return out;
}

absl::Status NodeIdAllocator::Load(absl::string_view text) {
  std::map<std::string, uint32_t> ids;
  std::set<uint32_t> taken;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    uint32_t id = 0;
    if (!absl::SimpleAtoi(parts.first, &id) || id == 0 || id > kMaxId || parts.second.empty() ||
        !taken.insert(id).second || !ids.emplace(std::string(parts.second), id).second) {
      return absl::InvalidArgumentError(absl::StrCat("node ids, line ", number, ": not \"ID UID\", or given twice"));
    }
  }
  ids_ = std::move(ids);
  return absl::OkStatus();
}

}  // namespace espalier::identity
