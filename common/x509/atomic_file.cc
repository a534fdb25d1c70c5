#include "common/x509/atomic_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace espalier::x509 {
namespace {

absl::Status Error(absl::string_view operation, absl::string_view path, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(absl::StrCat(operation, " ", path, ": no space left on the device"));
  }
  return absl::ErrnoToStatus(error, absl::StrCat(operation, " ", path));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, absl::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error("write", path, errno);
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0) return Error("fsync", path, errno);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Read(const std::string& path, size_t limit, bool private_only) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return Error("open", path, errno);
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return Error("stat", path, errno);
  if (private_only && (st.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "%s is open to others (mode %04o): a private key in it may be known; make it mode 0600, or better "
        "replace the key",
        path, st.st_mode & 0777));
  }
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error("read", path, errno);
    if (n == 0) break;
    if (out.size() + static_cast<size_t>(n) > limit) {
      return absl::FailedPreconditionError(absl::StrCat(path, " is larger than ", limit, " octets"));
    }
    if (private_only) out.reserve(limit);  // no reallocation, so that no copy of a key stays behind
    out.append(buffer, static_cast<size_t>(n));
  }
  if (private_only) OPENSSL_cleanse(buffer, sizeof(buffer));
  return out;
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, mode_t mode) {
  std::string temporary = absl::StrCat(path, ".new.XXXXXX");
  Fd fd(mkostemp(temporary.data(), O_CLOEXEC));  // made with mode 0600
  if (fd.get() < 0) return Error("create", temporary, errno);
  absl::Status status = WriteAll(fd.get(), content, temporary);
  if (status.ok() && fchmod(fd.get(), mode) != 0) status = Error("chmod", temporary, errno);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = Error("rename to", path, errno);
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Fd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) fsync(directory.get());  // best effort: the content itself is already safe
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t limit) { return Read(path, limit, false); }

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path, size_t limit) { return Read(path, limit, true); }

absl::Status EnsurePrivateDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno != EEXIST) return Error("mkdir", path, errno);
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return Error("stat", path, errno);
  if (!S_ISDIR(st.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, " is not a folder"));
  if ((st.st_mode & 022) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, " can be written by others: make it mode 0700"));
  }
  return absl::OkStatus();
}

void WipeText(std::string* text) {
  OPENSSL_cleanse(text->data(), text->size());
  text->clear();
}

}  // namespace espalier::x509
