#include "agent/steering/loader.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "bpf/espalier.skel.h"
#include "bpf/espalier_shared.h"

namespace espalier::steering {
namespace {

int LogLibbpf(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  int n = vsnprintf(line, sizeof(line), format, arguments);
  if (n > 0 && static_cast<size_t>(n) < sizeof(line) && line[n - 1] == '\n') line[n - 1] = '\0';
  LOG(WARNING) << "libbpf " << line;
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Loader>> Loader::Load(const std::string& map_dir) {
  libbpf_set_print(LogLibbpf);
  LIBBPF_OPTS(bpf_object_open_opts, options);
  if (!map_dir.empty()) options.pin_root_path = map_dir.c_str();
  espalier_bpf* skeleton = espalier_bpf::open(&options);
  if (skeleton == nullptr) return absl::ErrnoToStatus(errno, "bpf: open the embedded object");
  std::unique_ptr<Loader> loader(new Loader(skeleton));
  if (map_dir.empty()) {
    bpf_map* map;
    bpf_object__for_each_map(map, skeleton->obj) bpf_map__set_pin_path(map, nullptr);
  }
  if (int error = espalier_bpf::load(skeleton); error != 0) {
    std::string what = absl::StrCat("bpf: load programs, maps in ", map_dir.empty() ? "memory" : map_dir);
    // EINVAL from a map that is there already: libbpf found another type or size.
    if (error == -EINVAL && !map_dir.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(what, ": refused, or pinned maps have another layout than ", ESPALIER_LAYOUT, " (see the log)"));
    }
    return absl::ErrnoToStatus(-error, what);
  }
  return loader;
}

Loader::~Loader() { espalier_bpf::destroy(skeleton_); }

int Loader::program(Hook hook) const {
  switch (hook) {
    case Hook::kLeavingEthernet:
      return bpf_program__fd(skeleton_->progs.leaving_ethernet);
    case Hook::kLeavingBare:
      return bpf_program__fd(skeleton_->progs.leaving_bare);
    case Hook::kIncomingEthernet:
      return bpf_program__fd(skeleton_->progs.incoming_ethernet);
    case Hook::kIncomingBare:
      return bpf_program__fd(skeleton_->progs.incoming_bare);
    case Hook::kFromDatapath:
      return bpf_program__fd(skeleton_->progs.from_datapath);
  }
  return -1;
}

int Loader::map(absl::string_view name) const {
  return bpf_object__find_map_fd_by_name(skeleton_->obj, std::string(name).c_str());
}

}  // namespace espalier::steering
