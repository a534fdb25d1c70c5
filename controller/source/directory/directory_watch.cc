#include "controller/source/directory/directory_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace espalier::source {

absl::StatusOr<std::unique_ptr<DirectoryWatch>> DirectoryWatch::Create(std::string path) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "inotify_init1");
  return std::unique_ptr<DirectoryWatch>(new DirectoryWatch(std::move(path), fd));
}

DirectoryWatch::~DirectoryWatch() { close(fd_); }

absl::Status DirectoryWatch::Attach() {
  constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                               IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
  const int watch = inotify_add_watch(fd_, path_.c_str(), kEvents | IN_ONLYDIR);
  if (watch < 0) return absl::ErrnoToStatus(errno, absl::StrCat("inotify_add_watch ", path_));
  if (watch == watch_) return absl::OkStatus();
  if (watch_ >= 0) {
    inotify_rm_watch(fd_, watch_);
    overflow_ = true;  // another directory now
    writing_.clear();
  }
  watch_ = watch;
  return absl::OkStatus();
}

bool DirectoryWatch::Drain() {
  alignas(inotify_event) char buffer[16384];
  bool any = false;
  while (true) {
    const ssize_t got = read(fd_, buffer, sizeof(buffer));
    if (got <= 0) return any;
    any = true;
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      const char* const name_at = buffer + at + sizeof(event);
      at += static_cast<ssize_t>(sizeof(event) + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        overflow_ = true;
        writing_.clear();
        continue;
      }
      if (event.wd != watch_) continue;
      if ((event.mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
        overflow_ = true;
        writing_.clear();
        if ((event.mask & IN_IGNORED) != 0) watch_ = -1;
        continue;
      }
      if (event.len == 0) continue;
      const std::string name(name_at, strnlen(name_at, event.len));
      touched_.insert(name);
      // A link that is switched ("..data") changes what other names lead to.
      if (name.front() == '.' && (event.mask & (IN_MOVED_TO | IN_CREATE)) != 0) overflow_ = true;
      if ((event.mask & IN_MODIFY) != 0) {
        writing_.insert(name);
      } else if ((event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) != 0) {
        writing_.erase(name);
      }
    }
  }
}

std::set<std::string> DirectoryWatch::TakeTouched() {
  std::set<std::string> out;
  out.swap(touched_);
  return out;
}

bool DirectoryWatch::TakeOverflow() {
  const bool out = overflow_;
  overflow_ = false;
  return out;
}

}  // namespace espalier::source
