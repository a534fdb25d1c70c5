#include "agent/steering/attachments.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace espalier::steering {
namespace {

constexpr uint32_t kFilterHandle = 0x45535001;  // ours among clsact filters
constexpr uint32_t kFilterPriority = 1;         // before all others

constexpr char kClassicPrefix[] = "clsact_";
constexpr std::pair<Attachments::Place, const char*> kNames[] = {
    {Attachments::Place::kOut, "out_"}, {Attachments::Place::kIn, "in_"}, {Attachments::Place::kDatapath, "datapath_"}};

bool IsEgress(Attachments::Place place) { return place == Attachments::Place::kOut; }

bpf_attach_type TcxPoint(Attachments::Place place) { return IsEgress(place) ? BPF_TCX_EGRESS : BPF_TCX_INGRESS; }

Hook HookOf(Attachments::Place place, bool ethernet) {
  switch (place) {
    case Attachments::Place::kOut:
      return ethernet ? Hook::kLeavingEthernet : Hook::kLeavingBare;
    case Attachments::Place::kIn:
      return ethernet ? Hook::kIncomingEthernet : Hook::kIncomingBare;
    case Attachments::Place::kDatapath:
      break;
  }
  return Hook::kFromDatapath;
}

std::string Describe(int index, Attachments::Place place) {
  char name[IF_NAMESIZE] = "";
  if (if_indextoname(static_cast<unsigned>(index), name) == nullptr) {
    return absl::StrCat("device ", index, IsEgress(place) ? " egress" : " ingress");
  }
  return absl::StrCat(name, IsEgress(place) ? " egress" : " ingress");
}

absl::Status Error(int error, const char* operation, int index, Attachments::Place place) {
  return absl::ErrnoToStatus(error, absl::StrCat("bpf: ", operation, " ", Describe(index, place)));
}

// The device of a tcx link; 0: it is gone; nothing: no tcx link.
std::optional<int> DeviceOfLink(int fd) {
  bpf_link_info info = {};
  __u32 size = sizeof(info);
  if (bpf_link_get_info_by_fd(fd, &info, &size) != 0 || info.type != BPF_LINK_TYPE_TCX) return std::nullopt;
  return static_cast<int>(info.tcx.ifindex);
}

std::optional<__u32> ProgramOfLink(int fd) {
  bpf_link_info info = {};
  __u32 size = sizeof(info);
  if (bpf_link_get_info_by_fd(fd, &info, &size) != 0) return std::nullopt;
  return info.prog_id;
}

__u32 IdOfProgram(int fd) {
  bpf_prog_info info = {};
  __u32 size = sizeof(info);
  return bpf_prog_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
}

// Ids of the programs at a place of this namespace's device, first to last.
std::vector<__u32> ProgramsAt(int index, Attachments::Place place) {
  std::vector<__u32> ids(64);
  LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids.data(), .prog_cnt = static_cast<__u32>(ids.size()));
  if (bpf_prog_query_opts(index, TcxPoint(place), &query) != 0) return {};
  ids.resize(query.prog_cnt);
  return ids;
}

// The link is attached to that device, and that is one of this namespace: another's may have the same index.
bool IsAlive(int fd, int index, Attachments::Place place) {
  if (DeviceOfLink(fd).value_or(0) != index) return false;
  const std::vector<__u32> ids = ProgramsAt(index, place);
  return std::find(ids.begin(), ids.end(), ProgramOfLink(fd).value_or(0)) != ids.end();
}

// File names of a directory.
std::vector<std::string> List(const std::string& directory) {
  std::vector<std::string> names;
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(dir);
  return names;
}

struct Pin {
  int index = 0;
  Attachments::Place place = Attachments::Place::kOut;
  bool classic = false;
};

std::optional<Pin> ParseName(absl::string_view name) {
  Pin pin;
  pin.classic = absl::ConsumePrefix(&name, kClassicPrefix);
  for (const auto& [place, prefix] : kNames) {
    pin.place = place;
    if (absl::ConsumePrefix(&name, prefix))
      return absl::SimpleAtoi(name, &pin.index) ? std::optional(pin) : std::nullopt;
  }
  return std::nullopt;
}

// libbpf refuses these structs unless their padding is zero too, so they are made in place and never copied.
struct ClassicHook {
  ClassicHook(int index, bpf_tc_attach_point point) {
    std::memset(&hook, 0, sizeof(hook));
    std::memset(&filter, 0, sizeof(filter));
    hook.sz = sizeof(hook);
    hook.ifindex = index;
    hook.attach_point = point;
    filter.sz = sizeof(filter);
    filter.handle = kFilterHandle;
    filter.priority = kFilterPriority;
  }
  ClassicHook(const ClassicHook&) = delete;
  ClassicHook& operator=(const ClassicHook&) = delete;

  bpf_tc_hook hook;
  bpf_tc_opts filter;
};

bpf_tc_attach_point ClassicPoint(Attachments::Place place) { return IsEgress(place) ? BPF_TC_EGRESS : BPF_TC_INGRESS; }

// The program of our filter; 0: there is none.
__u32 ClassicProgram(int index, Attachments::Place place) {
  ClassicHook c(index, ClassicPoint(place));
  return bpf_tc_query(&c.hook, &c.filter) == 0 ? c.filter.prog_id : 0;
}

void DetachClassic(int index, Attachments::Place place) {
  ClassicHook c(index, ClassicPoint(place));
  bpf_tc_detach(&c.hook, &c.filter);
}

}  // namespace

Attachments::Attachments(std::string directory, Method method) : directory_(std::move(directory)), method_(method) {
  Adopt();
}

Attachments::~Attachments() {
  for (const auto& [key, attached] : attached_) {
    if (attached.fd >= 0) close(attached.fd);
  }
}

std::string Attachments::Path(const Key& key, bool classic) const {
  std::string path = absl::StrCat(directory_, "/", classic ? kClassicPrefix : "");
  for (const auto& [place, prefix] : kNames) {
    if (place == key.second) absl::StrAppend(&path, prefix, key.first);
  }
  return path;
}

void Attachments::Adopt() {
  for (const std::string& name : List(directory_)) {
    const std::string path = absl::StrCat(directory_, "/", name);
    const std::optional<Pin> pin = ParseName(name);
    const int fd = pin.has_value() ? bpf_obj_get(path.c_str()) : -1;
    if (fd < 0) continue;
    const Key key = {pin->index, pin->place};
    Attached attached = {.fd = fd, .classic = pin->classic};
    const bool alive =
        pin->classic ? ClassicProgram(pin->index, pin->place) == IdOfProgram(fd) : IsAlive(fd, pin->index, pin->place);
    if (pin->classic || !alive) {
      close(fd);
      attached.fd = -1;
    }
    if (!alive) {
      unlink(path.c_str());
      continue;
    }
    attached_[key] = attached;
  }
}

absl::Status Attachments::AttachTcx(const Key& key, int program, Attached* out) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = BPF_F_BEFORE);  // without a relative: before all
  const int fd = bpf_link_create(program, key.first, TcxPoint(key.second), &options);
  if (fd < 0) return Error(errno, "attach (tcx) to", key.first, key.second);
  // Under another name first, so that an older link stays pinned until this one is. (bpffs has no dots in names.)
  const std::string path = Path(key, false), temporary = absl::StrCat(path, "_new");
  unlink(temporary.c_str());
  if (bpf_obj_pin(fd, temporary.c_str()) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status = Error(errno, "pin the link of", key.first, key.second);
    unlink(temporary.c_str());
    close(fd);
    return status;
  }
  *out = {.fd = fd, .classic = false, .current = true};
  return absl::OkStatus();
}

absl::Status Attachments::AttachClassic(const Key& key, int program) {
  ClassicHook c(key.first, ClassicPoint(key.second));
  const bool has_clsact = std::any_of(attached_.begin(), attached_.end(), [&key](const auto& other) {
    return other.first.first == key.first && other.second.classic;
  });
  if (!has_clsact) {
    ClassicHook qdisc(key.first, static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    if (int error = bpf_tc_hook_create(&qdisc.hook); error != 0 && error != -EEXIST) {
      return Error(-error, "add clsact to", key.first, key.second);
    }
  }
  c.filter.prog_fd = program;
  c.filter.flags = BPF_TC_F_REPLACE;
  if (int error = bpf_tc_attach(&c.hook, &c.filter); error != 0) {
    return Error(-error, "attach (clsact) to", key.first, key.second);
  }
  const std::string path = Path(key, true);
  unlink(path.c_str());
  if (bpf_obj_pin(program, path.c_str()) != 0) return Error(errno, "pin the program of", key.first, key.second);
  return absl::OkStatus();
}

absl::Status Attachments::Ensure(const Key& key, bool ethernet, const Loader& loader) {
  const int program = loader.program(HookOf(key.second, ethernet));
  if (auto it = attached_.find(key); it != attached_.end()) {
    Attached& attached = it->second;
    attached.ethernet = ethernet;
    if (attached.classic) {
      const __u32 runs = ClassicProgram(key.first, key.second);
      if (runs != 0 && runs == IdOfProgram(program)) return absl::OkStatus();
      if (absl::Status status = AttachClassic(key, program); !status.ok()) return status;
      attached.current = true;
      return absl::OkStatus();
    }
    if (IsAlive(attached.fd, key.first, key.second)) {
      // A copy that PutFirst() loaded is as good: its maps are the same.
      if (attached.current) return absl::OkStatus();
      LIBBPF_OPTS(bpf_link_update_opts, options);
      if (bpf_link_update(attached.fd, program, &options) != 0) {
        return Error(errno, "replace the program of", key.first, key.second);
      }
      attached.current = true;
      return absl::OkStatus();
    }
    Remove(key);
  }
  if (method_ == Method::kAuto) {
    Attached attached;
    absl::Status status = AttachTcx(key, program, &attached);
    // EINVAL: this kernel has no tcx.
    if (!absl::IsInvalidArgument(status)) {
      if (!status.ok()) return status;
      attached.ethernet = ethernet;
      attached_[key] = attached;
      return absl::OkStatus();
    }
  }
  if (absl::Status status = AttachClassic(key, program); !status.ok()) return status;
  attached_[key] = {.fd = -1, .classic = true, .ethernet = ethernet, .current = true};
  return absl::OkStatus();
}

void Attachments::Remove(const Key& key) {
  auto it = attached_.find(key);
  if (it == attached_.end()) return;
  unlink(Path(key, it->second.classic).c_str());
  if (it->second.classic) {
    DetachClassic(key.first, key.second);
  } else {
    bpf_link_detach(it->second.fd);
    close(it->second.fd);
  }
  attached_.erase(it);
}

absl::Status Attachments::Sync(const std::vector<Device>& devices, int datapath_ifindex,
                               const std::vector<int>& release, const Loader& loader) {
  absl::Status first;
  for (const Device& device : devices) {
    first.Update(Ensure({device.index, Place::kOut}, device.ethernet, loader));
    first.Update(Ensure({device.index, Place::kIn}, device.ethernet, loader));
  }
  if (datapath_ifindex != 0) first.Update(Ensure({datapath_ifindex, Place::kDatapath}, false, loader));

  std::vector<Key> gone;
  for (auto& [key, attached] : attached_) {
    const bool alive =
        attached.classic ? ClassicProgram(key.first, key.second) != 0 : IsAlive(attached.fd, key.first, key.second);
    const bool released = std::find(release.begin(), release.end(), key.first) != release.end() ||
                          (key.second == Place::kDatapath && key.first != datapath_ifindex);
    if (!alive || released) gone.push_back(key);
  }
  for (const Key& key : gone) Remove(key);
  return first;
}

bool Attachments::IsFirst(const Key& key, const Attached& attached) const {
  if (attached.classic) return ClassicProgram(key.first, key.second) != 0;
  const std::vector<__u32> ids = ProgramsAt(key.first, key.second);
  return !ids.empty() && ids[0] == ProgramOfLink(attached.fd).value_or(0);
}

std::vector<std::string> Attachments::NotFirst() const {
  std::vector<std::string> places;
  for (const auto& [key, attached] : attached_) {
    if (!IsFirst(key, attached)) places.push_back(Describe(key.first, key.second));
  }
  return places;
}

absl::Status Attachments::PutFirst(const Loader& fresh) {
  absl::Status first;
  for (auto& [key, attached] : attached_) {
    if (attached.classic || IsFirst(key, attached)) continue;
    Attached moved;
    absl::Status status = AttachTcx(key, fresh.program(HookOf(key.second, attached.ethernet)), &moved);
    if (!status.ok()) {
      first.Update(status);
      continue;
    }
    moved.ethernet = attached.ethernet;
    bpf_link_detach(attached.fd);
    close(attached.fd);
    attached = moved;
  }
  return first;
}

std::vector<int> Attachments::Indices() const {
  std::vector<int> indices;
  for (const auto& [key, attached] : attached_) {
    if (key.second == Place::kOut) indices.push_back(key.first);
  }
  return indices;
}

absl::Status Attachments::DetachAll(const std::string& directory) {
  absl::Status first;
  for (const std::string& name : List(directory)) {
    const std::string path = absl::StrCat(directory, "/", name);
    const std::optional<Pin> pin = ParseName(name);
    const int fd = bpf_obj_get(path.c_str());
    if (fd >= 0 && pin.has_value() && pin->classic) {
      if (ClassicProgram(pin->index, pin->place) == IdOfProgram(fd)) DetachClassic(pin->index, pin->place);
    } else if (fd >= 0 && DeviceOfLink(fd).has_value()) {
      bpf_link_detach(fd);
    }
    if (fd >= 0) close(fd);
    if (unlink(path.c_str()) != 0) first.Update(absl::ErrnoToStatus(errno, absl::StrCat("unlink ", path)));
  }
  return first;
}

}  // namespace espalier::steering
