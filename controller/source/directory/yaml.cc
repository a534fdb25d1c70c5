#include "controller/source/directory/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace espalier::source {
namespace {

// Ends a parse from inside yaml-cpp's callbacks; caught in ParseYaml.
struct Refusal {
  int line;
  std::string error, remedy;
};

bool OneOf(absl::string_view text, std::initializer_list<absl::string_view> choices) {
  return std::find(choices.begin(), choices.end(), text) != choices.end();
}

// YAML 1.1: 12, -12, 0x1f, 0o17, 017, 0b1, 1_000.
bool ParseInteger(absl::string_view text, int64_t* out) {
  std::string digits = absl::StrReplaceAll(text, {{"_", ""}});
  absl::string_view rest = digits;
  if (text.empty() || text.front() == '_') return false;
  const bool negative = absl::ConsumePrefix(&rest, "-");
  if (!negative) absl::ConsumePrefix(&rest, "+");
  if (rest.empty() || !absl::ascii_isdigit(rest.front())) return false;
  int base = 10;
  if (absl::ConsumePrefix(&rest, "0x")) {
    base = 16;
  } else if (absl::ConsumePrefix(&rest, "0b")) {
    base = 2;
  } else if (absl::ConsumePrefix(&rest, "0o") || (rest.size() > 1 && absl::ConsumePrefix(&rest, "0"))) {
    base = 8;
  }
  uint64_t magnitude = 0;
  if (rest.empty()) return false;
  for (const char c : rest) {
    const int digit = absl::ascii_isdigit(c)    ? c - '0'
                      : absl::ascii_isxdigit(c) ? absl::ascii_tolower(c) - 'a' + 10
                                                : 99;
    if (digit >= base) return false;
    if (magnitude > (std::numeric_limits<int64_t>::max() - digit) / static_cast<uint64_t>(base)) return false;
    magnitude = magnitude * base + digit;
  }
  *out = negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  return true;
}

bool ParseFloat(absl::string_view text, double* out) {
  if (OneOf(text, {".inf", ".Inf", ".INF", "+.inf", "-.inf"})) {
    *out = text.front() == '-' ? -HUGE_VAL : HUGE_VAL;
    return true;
  }
  if (OneOf(text, {".nan", ".NaN", ".NAN"})) {
    *out = std::nan("");
    return true;
  }
  const bool shaped = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(c) || c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+';
  });
  return shaped && std::any_of(text.begin(), text.end(), absl::ascii_isdigit) && absl::SimpleAtod(text, out);
}

// The type of a scalar without quotes.
void Resolve(Value* v) {
  const std::string& t = v->text;
  if (OneOf(t, {"", "~", "null", "Null", "NULL"})) {
    v->kind = Value::Kind::kNull;
  } else if (OneOf(t, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})) {
    v->kind = Value::Kind::kBool;
    v->boolean = true;
  } else if (OneOf(t, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})) {
    v->kind = Value::Kind::kBool;
  } else if (ParseInteger(t, &v->integer)) {
    v->kind = Value::Kind::kInteger;
  } else if (ParseFloat(t, &v->number)) {
    v->kind = Value::Kind::kFloat;
  } else {
    v->kind = Value::Kind::kText;
  }
}

// Builds values from yaml-cpp's events.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const YamlLimits& limits) : limits_(limits) {}

  // The document's value. Anchors end with their document.
  Value TakeDocument() {
    anchors_.clear();
    Value out = std::move(root_);
    root_ = Value();
    return out;
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Add(NewValue(mark), anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Value v = NewValue(mark);
    v.text = text;
    if (tag == "?" || tag.empty()) {
      Resolve(&v);
    } else if (tag == "!" || tag == "tag:yaml.org,2002:str") {
      v.kind = Value::Kind::kText;
    } else if (OneOf(tag, {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
                           "tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp"})) {
      Resolve(&v);
    } else {
      throw Refusal{v.line, absl::StrCat("has the tag ", tag), "remove the tag"};
    }
    Add(std::move(v), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Refusal{mark.line + 1, "an alias stands inside the value that it names", "write the value out"};
    }
    alias_values_ += found->second.count;
    values_ += found->second.count;
    CheckCount(mark.line + 1);
    if (alias_values_ > limits_.alias_values) {
      throw Refusal{mark.line + 1, absl::StrCat("aliases make more than ", limits_.alias_values, " values"),
                    "write the values out, or split the file"};
    }
    if (open_.size() + found->second.depth > limits_.depth) TooDeep(mark.line + 1);
    Add(Value(found->second.value), 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, Value::Kind::kList, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, Value::Kind::kMap, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Anchored {
    Value value;
    size_t count = 1, depth = 0;
  };
  // A list or mapping that is being read.
  struct Frame {
    Value value;
    YAML::anchor_t anchor = 0;
    bool have_key = false;
    std::string key;
    int key_line = 0;
    std::set<std::string> keys;
    std::vector<Value> merged;  // of "<<" keys
  };

  static size_t Count(const Value& v) {
    size_t n = 1;
    for (const Value& item : v.items) n += Count(item);
    for (const auto& member : v.members) n += Count(member.second);
    return n;
  }
  static size_t Depth(const Value& v) {
    size_t deepest = 0;
    for (const Value& item : v.items) deepest = std::max(deepest, Depth(item));
    for (const auto& member : v.members) deepest = std::max(deepest, Depth(member.second));
    return deepest + (v.is_list() || v.is_map() ? 1 : 0);
  }

  [[noreturn]] void TooDeep(int line) const {
    throw Refusal{line, absl::StrCat("nests deeper than ", limits_.depth, " levels"), "write it flatter"};
  }

  void CheckCount(int line) const {
    if (values_ > limits_.values) {
      throw Refusal{line, absl::StrCat("has more than ", limits_.values, " values"), "split the file"};
    }
  }

  Value NewValue(const YAML::Mark& mark) {
    ++values_;
    CheckCount(mark.line + 1);
    Value v;
    v.line = mark.line + 1;
    return v;
  }

  void Open(const YAML::Mark& mark, Value::Kind kind, YAML::anchor_t anchor) {
    Frame frame;
    frame.value = NewValue(mark);
    frame.value.kind = kind;
    frame.anchor = anchor;
    if (open_.size() + 1 > limits_.depth) TooDeep(frame.value.line);
    open_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(open_.back());
    open_.pop_back();
    // YAML 1.1 merge: what the mapping says itself wins, then the first of several.
    for (Value& from : frame.merged) {
      for (auto& member : from.members) {
        if (frame.keys.insert(member.first).second) frame.value.members.push_back(std::move(member));
      }
    }
    Add(std::move(frame.value), frame.anchor);
  }

  void Merge(Frame* frame, Value v) {
    if (v.is_list()) {
      for (Value& item : v.items) Merge(frame, std::move(item));
    } else if (v.is_map()) {
      frame->merged.push_back(std::move(v));
    } else {
      throw Refusal{v.line, "\"<<\" is followed by something that is not a mapping",
                    "name a mapping, or remove \"<<\""};
    }
  }

  void Add(Value v, YAML::anchor_t anchor) {
    if (anchor != 0) {  // kept beside the document, so it counts
      const size_t count = Count(v);
      values_ += count;
      CheckCount(v.line);
      anchors_[anchor] = Anchored{v, count, Depth(v)};
    }
    if (open_.empty()) {
      root_ = std::move(v);
      return;
    }
    Frame& frame = open_.back();
    if (frame.value.is_list()) {
      frame.value.items.push_back(std::move(v));
      return;
    }
    if (!frame.have_key) {
      if (v.is_list() || v.is_map()) {
        throw Refusal{v.line, "a mapping's key is a list or a mapping itself",
                      "write a name as the key; a \"{{\" of a template needs to be filled in first"};
      }
      frame.have_key = true;
      frame.key = v.text;
      frame.key_line = v.line;
      return;
    }
    frame.have_key = false;
    if (frame.key == "<<") {
      Merge(&frame, std::move(v));
      return;
    }
    if (!frame.keys.insert(frame.key).second) {
      throw Refusal{frame.key_line, absl::StrCat("the key \"", frame.key, "\" stands twice in one mapping"),
                    "remove one of the two"};
    }
    frame.value.members.emplace_back(std::move(frame.key), std::move(v));
  }

  const YamlLimits limits_;
  size_t values_ = 0, alias_values_ = 0;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::vector<Frame> open_;
  Value root_;
};

bool IsValidUtf8(absl::string_view s) {
  for (size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const size_t length = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    if (length == 0 || i + length > s.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(s[i + k]) & 0xc0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

YamlResult ParseYaml(absl::string_view text, const YamlLimits& limits) {
  YamlResult result;
  int document = 0;
  const auto fail = [&result, &document](int line, std::string error, std::string remedy) {
    result.ok = false;
    result.documents.clear();
    result.line = line;
    result.document = document;
    result.error = std::move(error);
    result.remedy = std::move(remedy);
  };
  if (text.size() > limits.octets) {
    fail(0, absl::StrCat("is larger than ", limits.octets, " octets"), "split the file");
    return result;
  }
  if (!IsValidUtf8(text) || text.find('\0') != absl::string_view::npos) {
    fail(0, "is not text in UTF-8", "save it as UTF-8");
    return result;
  }
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(limits);
    for (document = 1; parser.HandleNextDocument(builder); ++document) {
      if (static_cast<size_t>(document) > limits.documents) {
        fail(0, absl::StrCat("has more than ", limits.documents, " documents"), "split the file");
        return result;
      }
      Value value = builder.TakeDocument();
      if (!value.is_null()) result.documents.push_back({document, std::move(value)});
    }
  } catch (const Refusal& refusal) {
    fail(refusal.line, refusal.error, refusal.remedy);
  } catch (const YAML::Exception& e) {
    fail(e.mark.is_null() ? 0 : e.mark.line + 1, absl::StrCat("is not YAML: ", e.msg),
         "check the indentation and quotes around this line; a half-written file is read again when it is complete");
  } catch (const std::exception& e) {
    fail(0, absl::StrCat("cannot be read as YAML: ", e.what()), "check the file's syntax");
  }
  return result;
}

}  // namespace espalier::source
