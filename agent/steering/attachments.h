// Our programs on devices: attached, first in line, and pinned, so that they stay when the agent dies.
//
// Under the directory, on a bpffs, each attachment is one file, "out_INDEX", "in_INDEX" or "datapath_INDEX": the tcx
// link itself. Kernels without tcx (before 6.6) get clsact filters; these stay by themselves, and the file,
// "clsact_..." then, is the program. A change of program or place is make before break: the new one runs before the old
// one goes.
//
// Not thread-safe. Works on the network namespace of the calling thread.
#ifndef ESPALIER_AGENT_STEERING_ATTACHMENTS_H_
#define ESPALIER_AGENT_STEERING_ATTACHMENTS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/steering/devices.h"
#include "agent/steering/loader.h"

namespace espalier::steering {

class Attachments {
 public:
  enum class Place { kOut, kIn, kDatapath };
  enum class Method { kAuto, kClassic };

  // `directory` exists. Takes over what is pinned there; its programs go on until Sync() replaces them.
  explicit Attachments(std::string directory, Method method = Method::kAuto);
  ~Attachments();
  Attachments(const Attachments&) = delete;
  Attachments& operator=(const Attachments&) = delete;

  bool empty() const { return attached_.empty(); }

  // Every device of `devices` has both programs, the datapath's device (index 0: none) its own, and they are
  // `loader`'s; attachments to devices that are gone are forgotten. A device that is no longer among `devices` keeps
  // its programs, unless `release` names its index. Goes on after an error and returns the first.
  absl::Status Sync(const std::vector<Device>& devices, int datapath_ifindex, const std::vector<int>& release,
                    const Loader& loader);

  // Where another program comes before ours: device and direction, in words.
  std::vector<std::string> NotFirst() const;
  // Puts ours first there, by means of `fresh`: another copy of the programs on the same maps.
  absl::Status PutFirst(const Loader& fresh);

  // Indices of devices with an attachment.
  std::vector<int> Indices() const;

  // Detaches and unpins all of `directory`, whoever made it.
  static absl::Status DetachAll(const std::string& directory);

 private:
  using Key = std::pair<int, Place>;
  struct Attached {
    int fd = -1;  // tcx: the link, owned
    bool classic = false;
    bool ethernet = true;
    bool current = false;  // runs a program of ours, not of a predecessor
  };

  std::string Path(const Key& key, bool classic) const;
  void Adopt();
  absl::Status Ensure(const Key& key, bool ethernet, const Loader& loader);
  absl::Status AttachTcx(const Key& key, int program, Attached* out);
  absl::Status AttachClassic(const Key& key, int program);
  void Remove(const Key& key);
  bool IsFirst(const Key& key, const Attached& attached) const;

  std::string directory_;
  Method method_;
  std::map<Key, Attached> attached_;
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_ATTACHMENTS_H_
