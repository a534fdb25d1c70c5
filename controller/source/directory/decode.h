// A file's text to objects.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DECODE_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DECODE_H_

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/source/directory/yaml.h"
#include "controller/source/objects.h"
#include "controller/source/problem.h"

namespace espalier::source {

using AnyObject = std::variant<std::monostate, std::shared_ptr<const Node>, std::shared_ptr<const Namespace>,
                               std::shared_ptr<const Pod>, std::shared_ptr<const Service>,
                               std::shared_ptr<const ServiceAccount>, std::shared_ptr<const v1alpha1::EncryptionPolicy>,
                               std::shared_ptr<const v1alpha1::ClusterEncryptionPolicy>,
                               std::shared_ptr<const v1alpha1::EncryptionProfile>>;

struct DecodedObject {
  ObjectKey key;
  int document = 0;
  int line = 0;
  AnyObject object;               // monostate: refused, and problems say why
  std::vector<Problem> problems;  // without file and in_force
};

struct DecodedFile {
  // False: the file is no YAML, or holds a document of which one cannot even say which object it is (no kind, no name,
  // a kind that Espalier doesn't have). Then `problems` says why and there are no objects.
  bool whole = true;
  std::vector<DecodedObject> objects;  // in the file's order
  std::vector<Problem> problems;
  std::map<std::string, int> ignored;  // kinds of others ("apps/v1 Deployment"), and how many of each
};

// Objects of core kinds and of espalier.io/v1alpha1, each in a document of its own or in a List. A namespace that is
// missing is "default", a UID that is missing is made from kind and name. Pure.
DecodedFile DecodeFile(absl::string_view text, const YamlLimits& limits = {});

// The UID of an object that has none: a UUID of version 8 (RFC 9562), the hash of kind, namespace and name, always the
// same.
std::string DerivedUid(const ObjectKey& key);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DECODE_H_
