// Access to one BPF map with typed keys and values: many entries a system call where the kernel can.
// Does not own the descriptor. Errors name the operation, the map and errno.
#ifndef ESPALIER_AGENT_STEERING_BPF_MAP_H_
#define ESPALIER_AGENT_STEERING_BPF_MAP_H_

#include <bpf/bpf.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace espalier::steering {

template <typename Key, typename Value>
class BpfMap {
 public:
  BpfMap(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  absl::Status Update(const Key& key, const Value& value) {
    if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) != 0) return Error("update");
    return absl::OkStatus();
  }

  absl::Status Update(const std::vector<Key>& keys, const std::vector<Value>& values) {
    size_t done = 0;
    if (keys.size() > 1) {
      LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = BPF_ANY);
      __u32 count = static_cast<__u32>(keys.size());
      if (bpf_map_update_batch(fd_, keys.data(), values.data(), &count, &options) == 0) return absl::OkStatus();
      if (!Unsupported(errno)) return Error("update batch");
    }
    for (; done < keys.size(); ++done) {
      if (absl::Status status = Update(keys[done], values[done]); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // What is not there is not an error.
  absl::Status Remove(const std::vector<Key>& keys) {
    if (keys.size() > 1) {
      LIBBPF_OPTS(bpf_map_batch_opts, options);
      __u32 count = static_cast<__u32>(keys.size());
      if (bpf_map_delete_batch(fd_, keys.data(), &count, &options) == 0) return absl::OkStatus();
      if (!Unsupported(errno) && errno != ENOENT) return Error("delete batch");
    }
    for (const Key& key : keys) {
      if (bpf_map_delete_elem(fd_, &key) != 0 && errno != ENOENT) return Error("delete");
    }
    return absl::OkStatus();
  }

  // Every key, as far as nobody else writes meanwhile.
  std::vector<Key> Keys() const {
    std::vector<Key> keys;
    Key key;
    while (bpf_map_get_next_key(fd_, keys.empty() ? nullptr : &keys.back(), &key) == 0) keys.push_back(key);
    return keys;
  }

  absl::Status Clear() { return Remove(Keys()); }

  std::optional<Value> Get(const Key& key) const {
    Value value;
    if (bpf_map_lookup_elem(fd_, &key, &value) != 0) return std::nullopt;
    return value;
  }

 private:
  static bool Unsupported(int error) { return error == EINVAL || error == ENOTSUP || error == 524 /* ENOTSUPP */; }
  absl::Status Error(const char* operation) const {
    return absl::ErrnoToStatus(errno, absl::StrCat("bpf: ", operation, " of map ", name_));
  }

  int fd_;
  std::string name_;
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_BPF_MAP_H_
