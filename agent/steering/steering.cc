// Order of things, all on the control thread:
//   1 Create: the maps under pin_dir (a predecessor's, if their layout is ours) and our programs on them
//   2 ... and its attachments: they get our programs at once, unless our maps are new and a predecessor's policy is
//   still
//     in force with its own; then at the first Program()
//   3 Program: maps first (tables.h), then devices, of which the snapshot may have taught more
//   4 Reconcile: at every change that netlink tells of
// The agent's end changes nothing: maps and attachments are pinned.
#include "agent/steering/steering.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/steering/attachments.h"
#include "agent/steering/bpf_map.h"
#include "agent/steering/devices.h"
#include "agent/steering/inventory.h"
#include "agent/steering/loader.h"
#include "agent/steering/tables.h"
#include "bpf/espalier_shared.h"

namespace espalier::steering {
namespace {

constexpr char kLinks[] = "links";
constexpr char kMaps[] = "maps_";

// IANA's port of VXLAN (RFC 7348), and Linux's own, older default, which flannel uses; IANA's of Geneve (RFC 8926).
constexpr uint16_t kVxlanPorts[] = {4789, 8472};
constexpr uint16_t kGenevePort = 6081;

struct CounterName {
  const char* name;
};
constexpr CounterName kCounters[] = {
#define X(symbol, number, name, help) {name},
    ESPALIER_COUNTERS(X)
#undef X
};
static_assert(std::size(kCounters) == ESPALIER_COUNTER_COUNT);

std::string MapsDirectory(const std::string& pin_dir) { return absl::StrCat(pin_dir, "/", kMaps, ESPALIER_LAYOUT); }

absl::Status MakeDirectories(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return absl::ErrnoToStatus(errno, absl::StrCat("mkdir ", part));
    if (at == std::string::npos) return absl::OkStatus();
  }
}

absl::Status CheckBpffs(const std::string& path) {
  struct statfs fs;
  if (statfs(path.c_str(), &fs) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("statfs ", path));
  if (static_cast<unsigned long>(fs.f_type) != BPF_FS_MAGIC) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not on a bpffs: mount one there (mount -t bpf bpf DIR) that outlives the agent"));
  }
  return absl::OkStatus();
}

std::vector<std::string> List(const std::string& directory) {
  std::vector<std::string> names;
  DIR* dir = opendir(directory.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(dir);
  return names;
}

// A directory of pins, one deep.
absl::Status RemovePins(const std::string& directory) {
  absl::Status first;
  for (const std::string& name : List(directory)) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (unlink(path.c_str()) != 0) first.Update(absl::ErrnoToStatus(errno, absl::StrCat("unlink ", path)));
  }
  if (rmdir(directory.c_str()) != 0 && errno != ENOENT) {
    first.Update(absl::ErrnoToStatus(errno, absl::StrCat("rmdir ", directory)));
  }
  return first;
}

IpAddress AddressOf(const espalier_event& event, const __u8 (&octets)[16]) {
  if (event.family == 6) return IpAddress::V6(std::span<const uint8_t, 16>(octets, 16));
  return IpAddress::V4(std::span<const uint8_t, 4>(octets, 4));
}

class SteeringImpl final : public Steering {
 public:
  static absl::StatusOr<std::unique_ptr<Steering>> Make(Options options);
  ~SteeringImpl() override {
    if (ring_ != nullptr) ring_buffer__free(ring_);
  }

  absl::Status Program(const policy::Snapshot& snapshot, const std::vector<IpPrefix>& pod_cidrs_of_self) override;
  absl::Status SetTunnelReady(uint32_t node_id, bool ready) override;
  std::vector<uint32_t> TakeWanted() override;
  int netlink_fd() const override { return watch_->fd(); }
  absl::Status Reconcile() override;
  int event_fd() const override { return ring_buffer__epoll_fd(ring_); }
  void Poll(const std::function<void(const Event&)>& on_event) override;
  std::vector<std::string> devices() const override { return device_names_; }
  std::vector<std::string> alarms() const override { return alarms_; }
  std::map<std::string, Count> Counters() override;

 private:
  explicit SteeringImpl(Options options)
      : options_(std::move(options)), attachments_(absl::StrCat(options_.pin_dir, "/", kLinks)) {}

  absl::Status WriteSettings();
  static int OnEvent(void* self, void* data, size_t size);

  Options options_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<Loader> moved_;  // a second copy of the programs, where the first could not be put first
  std::unique_ptr<Tables> tables_;
  Attachments attachments_;
  std::unique_ptr<ChangeWatch> watch_;
  ring_buffer* ring_ = nullptr;
  const std::function<void(const Event&)>* on_event_ = nullptr;  // while Poll() runs
  Surroundings surroundings_;
  bool waits_for_policy_ = false;  // a predecessor's attachments use other maps than ours, which are still empty
  std::vector<std::string> device_names_;
  std::vector<std::string> alarms_;
};

absl::StatusOr<std::unique_ptr<Steering>> SteeringImpl::Make(Options options) {
  const std::string links = absl::StrCat(options.pin_dir, "/", kLinks), maps = MapsDirectory(options.pin_dir);
  for (const std::string& directory : {links, maps}) {
    if (absl::Status status = MakeDirectories(directory); !status.ok()) return status;
  }
  if (absl::Status status = CheckBpffs(options.pin_dir); !status.ok()) return status;
  std::unique_ptr<SteeringImpl> s(new SteeringImpl(std::move(options)));
  auto loader = Loader::Load(maps);
  if (!loader.ok()) return loader.status();
  s->loader_ = *std::move(loader);
  s->tables_ = std::make_unique<Tables>(s->loader_.get());
  if (absl::Status status = s->WriteSettings(); !status.ok()) return status;
  // The tunnels of a predecessor ended with it.
  BpfMap<uint32_t, espalier_tunnel> tunnels(s->loader_->map("tunnels"), "tunnels");
  if (absl::Status status = tunnels.Clear(); !status.ok()) return status;
  s->ring_ = ring_buffer__new(s->loader_->map("events"), OnEvent, s.get(), nullptr);
  if (s->ring_ == nullptr) return absl::ErrnoToStatus(errno, "bpf: ring buffer of events");
  auto watch = ChangeWatch::Open();
  if (!watch.ok()) return watch.status();
  s->watch_ = *std::move(watch);
  s->waits_for_policy_ = !s->attachments_.empty() && !s->tables_->programmed();
  if (absl::Status status = s->Reconcile(); !status.ok()) return status;
  return s;
}

absl::Status SteeringImpl::WriteSettings() {
  espalier_settings settings = {.datapath_ifindex = static_cast<__u32>(options_.datapath_ifindex),
                                .vxlan_ports = {},
                                .geneve_port = kGenevePort,
                                .reserved = 0};
  std::copy(std::begin(kVxlanPorts), std::end(kVxlanPorts), settings.vxlan_ports);
  return BpfMap<uint32_t, espalier_settings>(loader_->map("settings"), "settings").Update(0, settings);
}

absl::Status SteeringImpl::Program(const policy::Snapshot& snapshot, const std::vector<IpPrefix>& pod_cidrs_of_self) {
  absl::Status status = tables_->Program(Flatten(snapshot.ipcache(), snapshot.rows(), pod_cidrs_of_self));
  if (!status.ok()) return status;
  surroundings_ = Surroundings::Of(snapshot.ipcache(), pod_cidrs_of_self);
  const bool first = std::exchange(waits_for_policy_, false);
  status = Reconcile();
  if (first && status.ok()) {
    // Nothing runs on a predecessor's maps of another layout any more.
    for (const std::string& name : List(options_.pin_dir)) {
      const std::string path = absl::StrCat(options_.pin_dir, "/", name);
      if (absl::StartsWith(name, kMaps) && path != MapsDirectory(options_.pin_dir)) status.Update(RemovePins(path));
    }
  }
  return status;
}

absl::Status SteeringImpl::SetTunnelReady(uint32_t node_id, bool ready) {
  BpfMap<uint32_t, espalier_tunnel> tunnels(loader_->map("tunnels"), "tunnels");
  if (!ready) return tunnels.Remove({node_id});
  return tunnels.Update(node_id, espalier_tunnel{.ready = 1});
}

std::vector<uint32_t> SteeringImpl::TakeWanted() {
  BpfMap<uint32_t, uint32_t> wanted(loader_->map("wanted"), "wanted");
  std::vector<uint32_t> nodes = wanted.Keys();
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (absl::Status status = wanted.Remove(nodes); !status.ok()) LOG(WARNING) << "steering wanted " << status;
  return nodes;
}

absl::Status SteeringImpl::Reconcile() {
  watch_->Drain();
  auto inventory = TakeInventory();
  if (!inventory.ok()) return inventory.status();
  std::vector<std::string> alarms;
  std::vector<Device> devices;
  if (options_.devices.empty()) {
    devices = ChooseDevices(*inventory, surroundings_, options_.datapath_ifindex);
  } else {
    devices = DevicesByName(*inventory, options_.devices);
    for (const std::string& name : options_.devices) {
      if (std::none_of(devices.begin(), devices.end(), [&](const Device& d) { return d.name == name; })) {
        alarms.push_back(absl::StrCat("device ", name, " is not there"));
      }
    }
  }
  // A device that was chosen once keeps its programs for its life: a route that is gone for a moment opens nothing. But
  // not when a new look at the mesh shows that it leads to our own pods only.
  std::vector<int> release;
  for (const int index : attachments_.Indices()) {
    auto is = [index](const auto& d) { return d.index == index; };
    if (std::any_of(devices.begin(), devices.end(), is)) continue;
    const auto link = std::find_if(inventory->links.begin(), inventory->links.end(), is);
    if (link == inventory->links.end()) continue;
    if (LeadsHome(*inventory, surroundings_, index)) {
      release.push_back(index);
    } else {
      devices.push_back({.index = index, .name = link->name, .ethernet = link->ethernet});
    }
  }

  if (devices.empty() && options_.devices.empty() && !surroundings_.node_addresses.empty()) {
    alarms.push_back("no device found by which traffic leaves the node");
  }

  absl::Status status;
  if (!waits_for_policy_) {
    status = attachments_.Sync(devices, options_.datapath_ifindex, release, *loader_);
    if (!status.ok()) alarms.push_back(absl::StrCat("not attached: ", status.message()));
    if (!attachments_.NotFirst().empty()) {
      // A program can be attached once to a place, so another copy of it goes first, and then the old one is taken off.
      auto fresh = Loader::Load(MapsDirectory(options_.pin_dir));
      absl::Status moved = fresh.status();
      if (fresh.ok()) moved = attachments_.PutFirst(**fresh);
      if (fresh.ok()) moved_ = *std::move(fresh);
      if (!moved.ok()) status.Update(moved);
      for (const std::string& place : attachments_.NotFirst()) {
        alarms.push_back(absl::StrCat("another program comes before ours: ", place));
      }
    }
  } else {
    alarms.push_back("a predecessor's policy is in force until this agent has one");
  }
  std::vector<std::string> names;
  for (const Device& device : devices) names.push_back(device.name);
  std::sort(names.begin(), names.end());
  if (names != device_names_) {
    for (const std::string& name : names) LOG(INFO) << "steering device " << name;
  }
  for (const std::string& alarm : alarms) {
    if (std::find(alarms_.begin(), alarms_.end(), alarm) == alarms_.end()) LOG(WARNING) << "steering alarm " << alarm;
  }
  device_names_ = std::move(names);
  alarms_ = std::move(alarms);
  return status;
}

int SteeringImpl::OnEvent(void* self, void* data, size_t size) {
  const auto* on_event = static_cast<SteeringImpl*>(self)->on_event_;
  if (on_event == nullptr || size < sizeof(espalier_event)) return 0;
  espalier_event e;
  std::memcpy(&e, data, sizeof(e));
  char device[IF_NAMESIZE] = "";
  Event event;
  event.reason = e.reason < std::size(kCounters) ? kCounters[e.reason].name : absl::StrCat(e.reason);
  event.device = if_indextoname(e.ifindex, device) != nullptr ? std::string(device) : absl::StrCat(e.ifindex);
  event.egress = e.egress != 0;
  event.flow = {.source = AddressOf(e, e.source),
                .destination = AddressOf(e, e.destination),
                .protocol = e.protocol,
                .source_port = e.source_port,
                .destination_port = e.destination_port};
  event.source_identity = e.source_identity;
  event.destination_identity = e.destination_identity;
  (*on_event)(event);
  return 0;
}

void SteeringImpl::Poll(const std::function<void(const Event&)>& on_event) {
  on_event_ = &on_event;
  ring_buffer__consume(ring_);
  on_event_ = nullptr;
}

std::map<std::string, Steering::Count> SteeringImpl::Counters() {
  std::map<std::string, Count> out;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return out;
  std::vector<espalier_count> each(static_cast<size_t>(cpus));
  const int fd = loader_->map("counters");
  for (uint32_t i = 0; i < std::size(kCounters); ++i) {
    Count& sum = out[kCounters[i].name];
    if (bpf_map_lookup_elem(fd, &i, each.data()) != 0) continue;
    for (const espalier_count& c : each) {
      sum.packets += c.packets;
      sum.bytes += c.bytes;
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Steering>> Steering::Create(Options options) {
  return SteeringImpl::Make(std::move(options));
}

absl::Status Steering::Detach(const std::string& pin_dir) {
  const std::string links = absl::StrCat(pin_dir, "/", kLinks);
  absl::Status first = Attachments::DetachAll(links);
  for (const std::string& name : List(pin_dir)) {
    if (name == kLinks || absl::StartsWith(name, kMaps)) first.Update(RemovePins(absl::StrCat(pin_dir, "/", name)));
  }
  if (rmdir(pin_dir.c_str()) != 0 && errno != ENOENT && errno != EBUSY) {  // busy: a bpffs is mounted just there
    first.Update(absl::ErrnoToStatus(errno, absl::StrCat("rmdir ", pin_dir)));
  }
  return first;
}

}  // namespace espalier::steering
