// Makes equal resources one pointer.
#ifndef ESPALIER_CONTROLLER_COMPILE_INTERNER_H_
#define ESPALIER_CONTROLLER_COMPILE_INTERNER_H_

#include <map>
#include <string>
#include <utility>

#include "controller/compile/compiler.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace espalier::compile {

// Of one group of keys. Begin a pass, Intern everything that exists, End it: what was not named is forgotten.
// Not thread-safe.
class Interner {
 public:
  void Begin() { next_.clear(); }

  // The resource of the last pass if it is equal, else this one.
  ResourcePtr Intern(const std::string& key, v1::Resource resource) {
    std::string text;
    {
      google::protobuf::io::StringOutputStream stream(&text);
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      resource.SerializeToCodedStream(&coded);
    }
    const auto found = known_.find(key);
    Entry& entry = next_[key];
    if (found != known_.end() && found->second.text == text) {
      entry = found->second;
    } else {
      entry = {std::move(text), std::make_shared<const v1::Resource>(std::move(resource))};
    }
    return entry.resource;
  }

  void End() { known_.swap(next_); }

  // What the last pass named. The same map, if the pass before made the same.
  const std::shared_ptr<const ResourceMap>& Map() {
    auto map = std::make_shared<ResourceMap>();
    for (const auto& [key, entry] : known_) map->emplace_hint(map->end(), key, entry.resource);
    if (map_ == nullptr || *map != *map_) map_ = std::move(map);
    return map_;
  }

 private:
  struct Entry {
    std::string text;
    ResourcePtr resource;
  };
  std::map<std::string, Entry> known_, next_;
  std::shared_ptr<const ResourceMap> map_;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_INTERNER_H_
