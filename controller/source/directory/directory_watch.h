// inotify on one directory.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_WATCH_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_WATCH_H_

#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace espalier::source {

// Not thread-safe.
class DirectoryWatch {
 public:
  static absl::StatusOr<std::unique_ptr<DirectoryWatch>> Create(std::string path);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  // Begins to watch, or follows the path to a directory that took its place. Cheap when nothing changed.
  absl::Status Attach();
  int fd() const { return fd_; }  // readable: call Drain

  // Takes all pending events. True if there were any.
  bool Drain();
  // Names for which events came since the last call.
  std::set<std::string> TakeTouched();
  // Events were lost: everything may have changed.
  bool TakeOverflow();
  // Files that were written to and not closed since.
  const std::set<std::string>& writing() const { return writing_; }

 private:
  DirectoryWatch(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
  int watch_ = -1;
  bool overflow_ = false;
  std::set<std::string> touched_, writing_;
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_WATCH_H_
