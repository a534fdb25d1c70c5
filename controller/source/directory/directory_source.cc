#include "controller/source/directory/directory_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "absl/log/log.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "controller/source/directory/directory_files.h"
#include "controller/source/directory/directory_watch.h"

namespace espalier::source {
namespace {

constexpr absl::Duration kQuiet = absl::Milliseconds(20);      // after the last event
constexpr absl::Duration kPatience = absl::Milliseconds(200);  // after the first
constexpr absl::Duration kMissing = absl::Milliseconds(60);    // an editor renames the old file before it makes the new
constexpr absl::Duration kCompare = absl::Seconds(1);          // looking without being told
constexpr absl::Duration kWritingIsNews = absl::Seconds(1);    // after that a file that stays open is a problem
constexpr size_t kLargestFile = 10 << 20;

// What shows that a file is another than before.
struct Signature {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified = 0, changed = 0;  // ns

  friend bool operator==(const Signature&, const Signature&) = default;
};

Signature SignatureOf(const struct stat& s) {
  constexpr int64_t kSecond = 1'000'000'000;
  return {s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec * kSecond + s.st_mtim.tv_nsec,
          s.st_ctim.tv_sec * kSecond + s.st_ctim.tv_nsec};
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  // Not blocking: somebody may have put a FIFO here.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open");
  std::string text;
  struct stat s;
  absl::Status status;
  if (fstat(fd, &s) != 0) {
    status = absl::ErrnoToStatus(errno, "fstat");
  } else if (!S_ISREG(s.st_mode)) {
    status = absl::InvalidArgumentError("not a regular file");
  }
  char buffer[65536];
  while (status.ok()) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = absl::ErrnoToStatus(errno, "read");
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kLargestFile) status = absl::InvalidArgumentError("larger than 10 MiB");
  }
  close(fd);
  if (!status.ok()) return status;
  return text;
}

class DirectorySource : public Source {
 public:
  explicit DirectorySource(DirectoryOptions options) : options_(std::move(options)) {}
  ~DirectorySource() override { Stop(); }

  absl::Status Start(std::function<void(Update)> on_update) override {
    if (thread_.joinable() || watch_ != nullptr) return absl::FailedPreconditionError("started before");
    on_update_ = std::move(on_update);
    absl::StatusOr<std::unique_ptr<DirectoryWatch>> watch = DirectoryWatch::Create(options_.path);
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    // Watch first, read then: what changes in between is seen.
    absl::Status status = watch_->Attach();
    if (!status.ok()) return status;
    stop_fd_ = eventfd(0, EFD_CLOEXEC);
    if (stop_fd_ < 0) return absl::ErrnoToStatus(errno, "eventfd");
    Scan(absl::Now());
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Stop() override {
    if (thread_.joinable()) {
      const uint64_t one = 1;
      if (write(stop_fd_, &one, sizeof(one)) != sizeof(one)) LOG(ERROR) << "directory source: eventfd write failed";
      thread_.join();
    }
    if (stop_fd_ >= 0) close(stop_fd_);
    stop_fd_ = -1;
  }

  std::string Name() const override { return absl::StrCat("directory ", options_.path); }

 private:
  void Run() {
    std::optional<absl::Time> first_event, last_event;
    absl::Time compare_at = absl::Now() + kCompare;
    while (true) {
      absl::Time until = compare_at;
      if (last_event.has_value()) until = std::min(*last_event + kQuiet, *first_event + kPatience);
      if (rescan_at_.has_value()) until = std::min(until, *rescan_at_);
      const int64_t ms = std::max<int64_t>(0, absl::ToInt64Milliseconds(until - absl::Now() + absl::Microseconds(999)));
      pollfd fds[2] = {{watch_->fd(), POLLIN, 0}, {stop_fd_, POLLIN, 0}};
      if (poll(fds, 2, static_cast<int>(std::min<int64_t>(ms, absl::ToInt64Milliseconds(kCompare)))) < 0 &&
          errno != EINTR) {
        LOG(ERROR) << absl::StrCat("directory source stops: poll failed, errno ", errno);
        return;
      }
      if ((fds[1].revents & POLLIN) != 0) return;
      const absl::Time now = absl::Now();
      if (watch_->Drain()) {
        last_event = now;
        if (!first_event.has_value()) first_event = now;
      }
      const bool settled = last_event.has_value() && (now >= *last_event + kQuiet || now >= *first_event + kPatience);
      // A clock that was set back must not stop the looking.
      const bool compare = now >= compare_at || compare_at - now > kCompare;
      if (!settled && !compare && !(rescan_at_.has_value() && now >= *rescan_at_)) continue;
      first_event.reset();
      last_event.reset();
      rescan_at_.reset();
      compare_at = now + kCompare;
      Scan(now);
    }
  }

  // Reads what changed and reports. 1. list; 2. read what is new; 3. look whether somebody writes to what was read, and
  // if so forget it; 4. merge; 5. report if anything is different.
  void Scan(absl::Time now) {
    std::optional<Problem> of_directory;
    const absl::Status attached = watch_->Attach();
    std::map<std::string, Signature> found;
    const absl::Status listed = List(&found);
    if (!attached.ok() || !listed.ok()) {
      Problem p;
      p.file = options_.path;
      p.message = absl::StrCat("cannot be read: ", (!listed.ok() ? listed : attached).message());
      p.remedy = "make the directory readable for the controller";
      p.in_force = "everything stays in force as it was";
      of_directory = std::move(p);
    }
    if (listed.ok()) ReadAll(found, now);
    Report(std::move(of_directory));
  }

  absl::Status List(std::map<std::string, Signature>* found) const {
    DIR* const dir = opendir(options_.path.c_str());
    if (dir == nullptr) return absl::ErrnoToStatus(errno, "opendir");
    errno = 0;
    while (const dirent* entry = readdir(dir)) {
      if (!IsObjectFile(entry->d_name)) continue;
      struct stat s;
      if (fstatat(dirfd(dir), entry->d_name, &s, 0) != 0) {
        // Gone since, or a link that leads nowhere.
        if (fstatat(dirfd(dir), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0) (*found)[entry->d_name] = Signature();
      } else if (!S_ISDIR(s.st_mode)) {
        (*found)[entry->d_name] = SignatureOf(s);
      }
      errno = 0;
    }
    const absl::Status status = errno == 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, "readdir");
    closedir(dir);
    return status;
  }

  void ReadAll(const std::map<std::string, Signature>& found, absl::Time now) {
    const std::set<std::string> touched = watch_->TakeTouched();
    const bool all = watch_->TakeOverflow();
    std::map<std::string, absl::StatusOr<std::string>> texts;
    for (const auto& [name, signature] : found) {
      const auto known = signatures_.find(name);
      const bool same = known != signatures_.end() && known->second == signature;
      if (same && !all && !touched.contains(name)) continue;
      texts.emplace(name, ReadFile(absl::StrCat(options_.path, "/", name)));
    }
    // Its event is queued before a write returns: what was read half-written is known to be so now.
    watch_->Drain();
    for (auto& [name, text] : texts) {
      if (watch_->writing().contains(name)) {
        OnWriting(name, now);
        continue;
      }
      writing_since_.erase(name);
      signatures_[name] = found.at(name);
      if (text.ok()) {
        files_.Put(name, *text);
      } else if (found.at(name) == Signature() && absl::IsNotFound(text.status())) {
        files_.PutUnreadable(name, Severity::kError, "is a link to a file that does not exist",
                             "restore the file, or remove the link to remove its objects");
      } else if (!absl::IsNotFound(text.status())) {
        files_.PutUnreadable(name, Severity::kError, absl::StrCat("cannot be read: ", text.status().message()),
                             "make it a regular file of at most 10 MiB that the controller may read");
      }
    }
    for (const auto& [name, since] : std::map<std::string, absl::Time>(writing_since_)) {
      if (watch_->writing().contains(name)) OnWriting(name, now);
    }
    RemoveMissing(found, now);
  }

  // Not read until it is closed; after a while that is worth telling.
  void OnWriting(const std::string& name, absl::Time now) {
    signatures_.erase(name);
    const absl::Time since = writing_since_.emplace(name, now).first->second;
    if (now < since + kWritingIsNews) {
      RescanAt(since + kWritingIsNews);
    } else {
      files_.PutUnreadable(name, Severity::kWarning, "is open for writing, and is read when it is closed",
                           "let whoever writes it finish");
    }
  }

  void RemoveMissing(const std::map<std::string, Signature>& found, absl::Time now) {
    for (const std::string& name : files_.names()) {
      if (found.contains(name)) {
        missing_since_.erase(name);
        continue;
      }
      const absl::Time since = missing_since_.emplace(name, now).first->second;
      if (now < since + kMissing && since <= now) {
        RescanAt(since + kMissing);
        continue;
      }
      files_.Remove(name);
      missing_since_.erase(name);
      writing_since_.erase(name);
      signatures_.erase(name);
    }
  }

  void RescanAt(absl::Time at) { rescan_at_ = rescan_at_.has_value() ? std::min(*rescan_at_, at) : at; }

  void Report(std::optional<Problem> of_directory) {
    Update update = files_.Merge();
    if (of_directory.has_value()) update.problems.insert(update.problems.begin(), *std::move(of_directory));
    if (reported_ && update.objects == last_objects_ && update.problems == last_problems_) return;
    const std::set<Problem> told(last_problems_.begin(), last_problems_.end());
    for (const Problem& problem : update.problems) {
      if (told.contains(problem)) continue;
      if (problem.severity == Severity::kNote) {
        LOG(INFO) << "manifest note: " << problem.ToString();
      } else {
        LOG(WARNING) << "manifest problem: " << problem.ToString();
      }
    }
    reported_ = true;
    last_objects_ = update.objects;
    last_problems_ = update.problems;
    on_update_(std::move(update));
  }

  const DirectoryOptions options_;
  std::function<void(Update)> on_update_;
  std::unique_ptr<DirectoryWatch> watch_;
  int stop_fd_ = -1;
  std::thread thread_;
  // Everything below belongs to Start() until the thread runs, and then to the thread.
  DirectoryFiles files_;
  std::map<std::string, Signature> signatures_;
  std::map<std::string, absl::Time> missing_since_, writing_since_;
  std::optional<absl::Time> rescan_at_;
  bool reported_ = false;
  std::shared_ptr<const ObjectStore> last_objects_;
  std::vector<Problem> last_problems_;
};

}  // namespace

std::unique_ptr<Source> MakeDirectorySource(DirectoryOptions options) {
  return std::make_unique<DirectorySource>(std::move(options));
}

}  // namespace espalier::source
