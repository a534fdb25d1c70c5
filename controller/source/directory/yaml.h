// YAML (and with it JSON) text to values, as kubectl reads it: YAML 1.1 scalars, anchors, merge keys, several
// documents. Refuses what kubectl refuses (a key twice in one mapping, keys that are no scalars) and what could exhaust
// memory. yaml-cpp's exceptions end here.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_YAML_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_YAML_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/source/directory/value.h"

namespace espalier::source {

struct YamlLimits {
  size_t octets = 10 << 20;      // of the text
  size_t depth = 64;             // of nested lists and mappings, aliases followed
  size_t values = 1'000'000;     // in all documents, each use of an alias counted in full
  size_t alias_values = 50'000;  // of these, those that aliases made
  size_t documents = 50'000;
};

struct YamlResult {
  bool ok = true;
  // Documents that hold something, with their number in the file (from 1; empty ones count too).
  struct Document {
    int number = 0;
    Value value;
  };
  std::vector<Document> documents;  // empty if not ok
  int line = 0;                     // of the error
  int document = 0;                 // likewise
  std::string error;                // what is wrong, and
  std::string remedy;
};

YamlResult ParseYaml(absl::string_view text, const YamlLimits& limits = {});

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_YAML_H_
