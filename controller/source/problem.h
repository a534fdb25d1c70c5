// What is wrong with somebody's input, in words that a person can act on.
#ifndef ESPALIER_CONTROLLER_SOURCE_PROBLEM_H_
#define ESPALIER_CONTROLLER_SOURCE_PROBLEM_H_

#include <compare>
#include <string>

namespace espalier::source {

enum class Severity {
  kNote,     // nothing is wrong: said once, so that nobody wonders (a kind that is not ours was ignored)
  kWarning,  // works, but not as somebody may expect
  kError,    // something that was written is not in force
};

// Values; compare equal when they say the same. Any text may be empty where it doesn't apply.
struct Problem {
  Severity severity = Severity::kError;
  std::string file;      // path as the source names it
  int document = 0;      // in the file, from 1; 0: the file as a whole
  int line = 0;          // from 1; 0: unknown
  std::string object;    // "EncryptionPolicy/shop/web"
  std::string field;     // "spec.rules[1].ports[0].endPort"
  std::string value;     // as it was written, shortened to 80 characters
  std::string message;   // what is wrong, one sentence without a full stop
  std::string remedy;    // what to do, one sentence without a full stop
  std::string in_force;  // what holds meanwhile ("the version before (generation 3) stays in force")

  // a.yaml:12 (document 2): EncryptionPolicy/shop/web: spec.action: "Encrypt": MESSAGE; REMEDY [IN FORCE]
  std::string ToString() const;

  friend auto operator<=>(const Problem&, const Problem&) = default;
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_PROBLEM_H_
