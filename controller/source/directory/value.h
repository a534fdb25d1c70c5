// A document's value: what JSON can say, and where it stood.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_VALUE_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_VALUE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace espalier::source {

struct Value {
  enum class Kind { kNull, kBool, kInteger, kFloat, kText, kList, kMap };

  // Out of line, where Value is complete: it holds vectors of itself.
  Value();
  ~Value();
  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;

  Kind kind = Kind::kNull;
  int line = 0;  // from 1
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;  // kFloat
  std::string text;   // every scalar as it was written
  std::vector<Value> items;
  std::vector<std::pair<std::string, Value>> members;  // in order; keys are unique

  bool is_null() const { return kind == Kind::kNull; }
  bool is_map() const { return kind == Kind::kMap; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_text() const { return kind == Kind::kText; }
  // Null if this is no map or has no such member.
  const Value* Find(absl::string_view key) const;
  // The line of the field that a problem names ("spec.rules[0].peers[1].cidr", "spec.podSelector.matchLabels[app]"), or
  // of the nearest one around it that exists.
  int LineOf(absl::string_view field) const;
  // What it is, for messages: "a list", "a number".
  absl::string_view KindName() const;
  // Of a scalar the text, else "[...]" or "{...}".
  std::string Shown() const;
  // Compact JSON. Null members are left out, as the API server does.
  std::string ToJson() const;
};

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_VALUE_H_
