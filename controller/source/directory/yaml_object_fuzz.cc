// Any text as a manifest: no crash, memory within the limits, and whatever is taken as valid passes validation again.
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "controller/source/directory/directory_files.h"
#include "controller/source/validate.h"

namespace {

template <typename Table>
void CheckValid(const Table& table) {
  for (const auto& [key, object] : table) {
    if (!espalier::source::Validate(*object).empty() || object->metadata().name().empty()) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using espalier::source::Update;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  espalier::source::DirectoryFiles files;
  files.Put("a.yaml", text);
  const Update first = files.Merge();
  // The first half as another version of the same file, and then the whole again.
  files.Put("a.yaml", text.substr(0, size / 2));
  const Update half = files.Merge();
  for (const Update* update : {&first, &half}) {
    CheckValid(*update->objects->policies);
    CheckValid(*update->objects->cluster_policies);
    CheckValid(*update->objects->profiles);
    for (const auto& problem : update->problems) {
      if (problem.ToString().empty() || problem.file.empty()) abort();
    }
  }
  return 0;
}
