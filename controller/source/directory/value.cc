#include "controller/source/directory/value.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace espalier::source {
namespace {

void AppendQuoted(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendJson(const Value& v, std::string* out) {
  switch (v.kind) {
    case Value::Kind::kNull:
      out->append("null");
      return;
    case Value::Kind::kBool:
      out->append(v.boolean ? "true" : "false");
      return;
    case Value::Kind::kInteger:
      absl::StrAppend(out, v.integer);
      return;
    case Value::Kind::kFloat:
      if (std::isfinite(v.number)) {
        absl::StrAppendFormat(out, "%.17g", v.number);
      } else {
        AppendQuoted(v.text, out);
      }
      return;
    case Value::Kind::kText:
      AppendQuoted(v.text, out);
      return;
    case Value::Kind::kList: {
      out->push_back('[');
      for (size_t i = 0; i < v.items.size(); ++i) {
        if (i > 0) out->push_back(',');
        AppendJson(v.items[i], out);
      }
      out->push_back(']');
      return;
    }
    case Value::Kind::kMap: {
      out->push_back('{');
      bool first = true;
      for (const auto& [key, member] : v.members) {
        if (member.is_null()) continue;
        if (!first) out->push_back(',');
        first = false;
        AppendQuoted(key, out);
        out->push_back(':');
        AppendJson(member, out);
      }
      out->push_back('}');
      return;
    }
  }
}

}  // namespace

Value::Value() = default;
Value::~Value() = default;
Value::Value(const Value&) = default;
Value::Value(Value&&) noexcept = default;
Value& Value::operator=(const Value&) = default;
Value& Value::operator=(Value&&) noexcept = default;

const Value* Value::Find(absl::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

int Value::LineOf(absl::string_view field) const {
  const Value* at = this;
  while (!field.empty()) {
    const Value* next = nullptr;
    if (field.front() == '[') {
      const absl::string_view index = field.substr(1, field.find(']') - 1);
      field.remove_prefix(std::min(field.size(), index.size() + 2));
      size_t i = 0;
      next = at->is_map()                                          ? at->Find(index)
             : absl::SimpleAtoi(index, &i) && i < at->items.size() ? &at->items[i]
                                                                   : nullptr;
    } else {
      const size_t end = std::min(field.size(), field.find_first_of(".["));
      next = at->Find(field.substr(0, end));
      field.remove_prefix(end);
    }
    if (next == nullptr) break;
    at = next;
    absl::ConsumePrefix(&field, ".");
  }
  return at->line;
}

absl::string_view Value::KindName() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInteger:
    case Kind::kFloat:
      return "a number";
    case Kind::kText:
      return "text";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a mapping";
  }
  return "nothing";
}

std::string Value::Shown() const { return is_list() ? "[...]" : is_map() ? "{...}" : text; }

std::string Value::ToJson() const {
  std::string out;
  AppendJson(*this, &out);
  return out;
}

}  // namespace espalier::source
