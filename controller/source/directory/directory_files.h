// Which objects of a directory's files are in force: the rules of directory_source.h, without any I/O.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_FILES_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_FILES_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/source/directory/decode.h"
#include "controller/source/source.h"

namespace espalier::source {

// Is this the name of a file that the source reads?
bool IsObjectFile(absl::string_view name);

// Not thread-safe.
class DirectoryFiles {
 public:
  // `name` is the file's name in problems; their lexical order is the order of precedence.
  void Put(const std::string& name, absl::string_view text);
  // It is there but has no text for us: it keeps the objects it had, and this is the problem.
  void PutUnreadable(const std::string& name, Severity severity, std::string message, std::string remedy);
  void Remove(const std::string& name);
  std::set<std::string> names() const;

  // What is in force now. Objects and tables that did not change since the last call are the same pointers.
  Update Merge();

 private:
  struct File {
    bool read = false;        // a text was ever taken
    std::string text_digest;  // of the last text, taken or refused
    std::vector<DecodedObject> objects;
    std::vector<Problem> problems;  // of the file as a whole
    std::map<std::string, int> ignored;
  };
  // The place that a key was first seen at in a merge.
  struct Place {
    std::string file;
    int document = 0;
  };
  class Merger;

  std::map<std::string, File> files_;
  std::map<ObjectKey, AnyObject> in_force_;
  std::map<ObjectKey, int> generations_;
  bool dirty_ = true;
  Update last_;
  std::shared_ptr<const ObjectStore> store_ = std::make_shared<const ObjectStore>();
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_FILES_H_
