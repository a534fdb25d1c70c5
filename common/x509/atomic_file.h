// Small files that must be whole or absent: keys, certificates, tokens, the cached view.
#ifndef ESPALIER_COMMON_X509_ATOMIC_FILE_H_
#define ESPALIER_COMMON_X509_ATOMIC_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace espalier::x509 {

// Writes `content` beside `path` with the given mode, syncs it and renames it over `path`: a reader sees the old or the
// new content, also after a power cut. On an error the old file is untouched and nothing is left behind. The message
// carries operation, path and errno; ResourceExhausted where the disk is full.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, mode_t mode);

// The content of a file of at most `limit` octets. NotFound, or FailedPrecondition above the limit.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t limit);

// As ReadWholeFile, but refuses (PermissionDenied) a file that group or others can read or write. For keys. The caller
// wipes what it gets.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path, size_t limit);

// Makes a folder (not its parents) with mode 0700, or checks that an existing one is not open to others.
absl::Status EnsurePrivateDirectory(const std::string& path);

// Overwrites a text that held a key.
void WipeText(std::string* text);

}  // namespace espalier::x509

#endif  // ESPALIER_COMMON_X509_ATOMIC_FILE_H_
