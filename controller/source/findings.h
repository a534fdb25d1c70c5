// Collects what is wrong with one object.
#ifndef ESPALIER_CONTROLLER_SOURCE_FINDINGS_H_
#define ESPALIER_CONTROLLER_SOURCE_FINDINGS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/source/problem.h"

namespace espalier::source {

// A value as problems show it: at most 80 characters, control characters replaced.
std::string Shown(absl::string_view value);

class Findings {
 public:
  explicit Findings(absl::string_view object) : object_(object) {}

  void Add(absl::string_view field, absl::string_view value, std::string message, std::string remedy) {
    Problem p;
    p.object = object_;
    p.field = std::string(field);
    p.value = Shown(value);
    p.message = std::move(message);
    p.remedy = std::move(remedy);
    problems_.push_back(std::move(p));
  }
  bool empty() const { return problems_.empty(); }
  std::vector<Problem> Take() { return std::move(problems_); }

 private:
  const std::string object_;
  std::vector<Problem> problems_;
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_FINDINGS_H_
