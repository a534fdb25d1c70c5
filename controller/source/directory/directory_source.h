// Objects from a directory of YAML files: what `kubectl apply -f DIR` takes (not its subdirectories).
//
// Files: *.yaml, *.yml, *.json (names that begin with a dot are skipped), each with one or more documents, a document
// being an object or a `kind: List`. Symbolic links are followed, so a mounted ConfigMap works.
//
// What is in force:
//  - a file that cannot be read, or does not parse, or is empty though it had objects, keeps the objects it had (all of
//    them: a file is taken whole or not at all); an object that is invalid keeps its last valid version. Each is a
//    Problem that says so;
//  - a file that is deleted takes its objects along;
//  - of two objects of one name, that of the lexically first file (in it, of the first document) is in force;
//  - a file that somebody has open for writing is read when they close it.
//
// Thread: one of its own, inside this class. It waits for inotify, lets changes settle (20 ms after the last, at most
// 200 ms after the first), reads what changed and calls on_update. Once a second it also compares names, sizes, inodes
// and times, which finds what inotify cannot see (a link's target elsewhere, a directory made anew, network file
// systems). Start() reads for the first time on the caller's thread.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_SOURCE_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_SOURCE_H_

#include <functional>
#include <memory>
#include <string>

#include "controller/source/source.h"

namespace espalier::source {

struct DirectoryOptions {
  std::string path;  // must exist when Start() is called
};

std::unique_ptr<Source> MakeDirectorySource(DirectoryOptions options);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_DIRECTORY_SOURCE_H_
