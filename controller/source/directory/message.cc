#include "controller/source/directory/message.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "controller/source/findings.h"
#include "controller/source/nearest.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace espalier::source {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Compares a value with a message's descriptor.
class Matcher {
 public:
  explicit Matcher(absl::string_view object) : object_(object) {}

  void Message(const Value& v, const Descriptor& type, const std::string& path) {
    if (!v.is_map()) {
      Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be a mapping"), "write its fields below it, indented");
      return;
    }
    for (const auto& [name, member] : v.members) {
      const std::string at = path.empty() ? name : absl::StrCat(path, ".", name);
      const FieldDescriptor* field = Find(type, name);
      if (field == nullptr) {
        std::vector<std::string> names;
        for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->json_name());
        Add(member, at, "is not a field that exists here", WriteOneOf(name, names));
      } else if (!member.is_null()) {
        Field(member, *field, at);
      }
    }
  }

  std::vector<Problem> Take() { return std::move(problems_); }

 private:
  void Add(const Value& v, const std::string& path, std::string message, std::string remedy) {
    Problem p;
    p.object = object_;
    p.line = v.line;
    p.field = path;
    p.value = Shown(v.Shown());
    p.message = std::move(message);
    p.remedy = std::move(remedy);
    problems_.push_back(std::move(p));
  }

  // By its JSON name alone: protobuf would also take the proto's own, which Kubernetes does not.
  static const FieldDescriptor* Find(const Descriptor& type, const std::string& name) {
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->json_name() == name) return type.field(i);
    }
    return nullptr;
  }

  void Field(const Value& v, const FieldDescriptor& field, const std::string& path) {
    if (field.is_map()) {
      if (!v.is_map()) {
        Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be a mapping of texts"),
            "write \"KEY: VALUE\" below it");
        return;
      }
      const FieldDescriptor& of_value = *field.message_type()->map_value();
      for (const auto& [key, member] : v.members) {
        if (!member.is_null()) Single(member, of_value, absl::StrCat(path, "[", key, "]"));
      }
    } else if (field.is_repeated()) {
      if (!v.is_list()) {
        Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be a list"), "begin each entry with \"- \"");
        return;
      }
      for (size_t i = 0; i < v.items.size(); ++i) {
        const std::string at = absl::StrCat(path, "[", i, "]");
        if (v.items[i].is_null()) {
          Add(v.items[i], at, "is empty", "write the entry, or remove its \"-\"");
        } else {
          Single(v.items[i], field, at);
        }
      }
    } else {
      Single(v, field, path);
    }
  }

  void Single(const Value& v, const FieldDescriptor& field, const std::string& path) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Message(v, *field.message_type(), path);
        return;
      case FieldDescriptor::CPPTYPE_STRING:
        if (!v.is_text()) {
          const bool scalar = !v.is_list() && !v.is_map();
          Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be text"),
              scalar ? absl::StrCat("put it in quotes: \"", v.text, "\"") : "write one text");
        }
        return;
      case FieldDescriptor::CPPTYPE_INT32:
        if (v.kind != Value::Kind::kInteger) {
          Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be a whole number"),
              v.is_text() ? "write digits, without quotes" : "write digits");
        } else if (v.integer < std::numeric_limits<int32_t>::min() || v.integer > std::numeric_limits<int32_t>::max()) {
          Add(v, path, "is out of range", "write a smaller number");
        }
        return;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (v.kind != Value::Kind::kBool) {
          Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be a boolean"), "write true or false");
        }
        return;
      default:
        Add(v, path, "has a type that YAML objects do not use", "remove it");
        return;
    }
  }

  const std::string object_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> ToMessage(const Value& value, absl::string_view object, google::protobuf::Message* message) {
  Matcher matcher(object);
  matcher.Message(value, *message->GetDescriptor(), "");
  std::vector<Problem> problems = matcher.Take();
  if (!problems.empty()) return problems;
  const std::string json = value.ToJson();
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), message, options);
  if (!status.ok()) {
    Findings findings(object);
    findings.Add("", "", absl::StrCat("does not fit its kind: ", std::string(status.message())),
                 "compare it with docs/policy-guide.md");
    problems = findings.Take();
  }
  return problems;
}

}  // namespace espalier::source
