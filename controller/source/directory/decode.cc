#include "controller/source/directory/decode.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "controller/source/directory/core_object.h"
#include "controller/source/directory/message.h"
#include "controller/source/findings.h"
#include "controller/source/nearest.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

constexpr char kOurGroup[] = "espalier.io";
constexpr char kOurVersion[] = "espalier.io/v1alpha1";

const std::vector<std::string>& OurKinds() {
  static const auto* const kKinds =
      new std::vector<std::string>{"EncryptionPolicy", "ClusterEncryptionPolicy", "EncryptionProfile"};
  return *kKinds;
}

// Fields of Kubernetes' ObjectMeta that mean nothing to Espalier.
bool IsOtherMetadata(absl::string_view name) {
  static constexpr absl::string_view kNames[] = {
      "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
      "finalizers",        "generateName",      "managedFields",
      "ownerReferences",   "selfLink",
  };
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// The object as our message has it: without status (kubectl apply does not set it either) and others' metadata.
Value Trimmed(const Value& value, const ObjectKey& key) {
  Value out = value;
  std::erase_if(out.members, [](const auto& member) { return member.first == "status"; });
  for (auto& [name, member] : out.members) {
    if (name != "metadata") continue;
    std::erase_if(member.members, [](const auto& m) { return IsOtherMetadata(m.first) || m.first == "namespace"; });
    if (key.ns.empty()) continue;
    Value ns;
    ns.kind = Value::Kind::kText;
    ns.line = member.line;
    ns.text = key.ns;
    member.members.emplace_back("namespace", std::move(ns));
  }
  return out;
}

template <typename Message>
void DecodeOurs(const Value& value, DecodedObject* out) {
  auto message = std::make_shared<Message>();
  out->problems = ToMessage(Trimmed(value, out->key), out->key.ToString(), message.get());
  if (!out->problems.empty()) return;
  if (message->metadata().uid().empty()) message->mutable_metadata()->set_uid(DerivedUid(out->key));
  out->problems = Validate(*message);
  for (Problem& problem : out->problems) problem.line = value.LineOf(problem.field);
  if (out->problems.empty()) out->object = std::shared_ptr<const Message>(std::move(message));
}

class Decoder {
 public:
  explicit Decoder(DecodedFile* out) : out_(out) {}

  void Object(const Value& v, int document) {
    if (!v.is_map()) {
      Refuse(v, document, "", v.Shown(), absl::StrCat("is ", v.KindName(), ", not an object"),
             "write apiVersion, kind and metadata");
      return;
    }
    const std::string version = Text(v, "apiVersion");
    const std::string kind = Text(v, "kind");
    if (version.empty() || kind.empty()) {
      Refuse(v, document, version.empty() ? "apiVersion" : "kind", "", "is missing",
             absl::StrCat("write apiVersion (\"", kOurVersion, "\" or \"v1\") and kind"));
      return;
    }
    const bool ours = version == kOurVersion;
    const std::string list_of =
        std::string(absl::string_view(kind).substr(0, kind.size() - std::min<size_t>(4, kind.size())));
    if (absl::EndsWith(kind, "List") &&
        ((version == "v1" && (list_of.empty() || IsCoreKind(list_of))) || (ours && IsOurs(list_of)))) {
      List(v, document, version, list_of);
      return;
    }
    if (!ours && (absl::StartsWith(version, absl::StrCat(kOurGroup, "/")) || version == kOurGroup)) {
      Refuse(v, document, "apiVersion", version, "is not a version that this controller knows",
             absl::StrCat("write \"", kOurVersion, "\""));
      return;
    }
    if (ours && !IsOurs(kind)) {
      Refuse(v, document, "kind", kind, "is not a kind of Espalier's", WriteOneOf(kind, OurKinds()));
      return;
    }
    if (IsOurs(kind) && !ours) {
      Refuse(v, document, "apiVersion", version, absl::StrCat("does not have the kind ", kind),
             absl::StrCat("write \"", kOurVersion, "\""));
      return;
    }
    if (!ours && (version != "v1" || !IsCoreKind(kind))) {
      ++out_->ignored[absl::StrCat(version, " ", kind)];
      return;
    }
    Known(v, document, kind, ours);
  }

 private:
  static bool IsOurs(absl::string_view kind) {
    return std::find(OurKinds().begin(), OurKinds().end(), kind) != OurKinds().end();
  }

  static std::string Text(const Value& v, absl::string_view key) {
    const Value* member = v.Find(key);
    return member != nullptr && member->is_text() ? member->text : "";
  }

  void Refuse(const Value& v, int document, std::string field, absl::string_view value, std::string message,
              std::string remedy) {
    Problem p;
    p.document = document;
    p.line = v.line;
    p.field = std::move(field);
    p.value = Shown(value);
    p.message = std::move(message);
    p.remedy = std::move(remedy);
    out_->problems.push_back(std::move(p));
    out_->whole = false;
  }

  // Items of a typed list may leave out apiVersion and kind.
  void List(const Value& v, int document, const std::string& version, const std::string& list_of) {
    const Value* items = v.Find("items");
    if (items == nullptr || items->is_null()) return;
    if (!items->is_list()) {
      Refuse(*items, document, "items", items->Shown(), absl::StrCat("is ", items->KindName(), ", but must be a list"),
             "begin each object with \"- \"");
      return;
    }
    for (const Value& item : items->items) {
      if (list_of.empty() || !item.is_map() || item.Find("kind") != nullptr) {
        Object(item, document);
        continue;
      }
      Value typed = item;
      for (const auto& [key, text] : {std::pair<std::string, std::string>{"apiVersion", version}, {"kind", list_of}}) {
        std::erase_if(typed.members, [&key](const auto& m) { return m.first == key; });
        Value member;
        member.kind = Value::Kind::kText;
        member.text = text;
        member.line = item.line;
        typed.members.emplace_back(key, std::move(member));
      }
      Object(typed, document);
    }
  }

  void Known(const Value& v, int document, const std::string& kind, bool ours) {
    const Value* meta = v.Find("metadata");
    const Value* name = meta == nullptr ? nullptr : meta->Find("name");
    if (name == nullptr || !name->is_text() || name->text.empty()) {
      Refuse(meta == nullptr ? v : *meta, document, "metadata.name", name == nullptr ? "" : name->Shown(),
             name == nullptr ? absl::StrCat("is missing from this ", kind)
                             : absl::StrCat("is ", name->KindName(), ", but must be text"),
             "write metadata: {name: NAME}; put it in quotes if it is a number");
      return;
    }
    const Value* ns = meta->Find("namespace");
    if (ns != nullptr && !ns->is_null() && !ns->is_text()) {
      Refuse(*ns, document, "metadata.namespace", ns->Shown(),
             absl::StrCat("is ", ns->KindName(), ", but must be text"), "put it in quotes");
      return;
    }
    DecodedObject object;
    object.key = {kind, "", name->text};
    if (!IsClusterWide(kind)) object.key.ns = ns == nullptr || ns->text.empty() || ns->is_null() ? "default" : ns->text;
    object.document = document;
    object.line = v.line;
    if (!ours) {
      DecodeCoreObject(v, &object);
    } else if (kind == "EncryptionPolicy") {
      DecodeOurs<v1alpha1::EncryptionPolicy>(v, &object);
    } else if (kind == "ClusterEncryptionPolicy") {
      DecodeOurs<v1alpha1::ClusterEncryptionPolicy>(v, &object);
    } else {
      DecodeOurs<v1alpha1::EncryptionProfile>(v, &object);
    }
    for (Problem& problem : object.problems) {
      problem.document = document;
      if (problem.line == 0) problem.line = object.line;
    }
    out_->objects.push_back(std::move(object));
  }

  DecodedFile* const out_;
};

}  // namespace

DecodedFile DecodeFile(absl::string_view text, const YamlLimits& limits) {
  DecodedFile out;
  const YamlResult yaml = ParseYaml(text, limits);
  if (!yaml.ok) {
    Problem p;
    p.document = yaml.document;
    p.line = yaml.line;
    p.message = yaml.error;
    p.remedy = yaml.remedy;
    out.whole = false;
    out.problems.push_back(std::move(p));
    return out;
  }
  Decoder decoder(&out);
  for (const auto& document : yaml.documents) decoder.Object(document.value, document.number);
  if (!out.whole) {
    // The others' problems are still worth saying.
    for (DecodedObject& object : out.objects) {
      for (Problem& problem : object.problems) out.problems.push_back(std::move(problem));
    }
    out.objects.clear();
  }
  return out;
}

std::string DerivedUid(const ObjectKey& key) {
  const std::string name = absl::StrCat("espalier.io/", key.kind, "/", key.ns, "/", key.name);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(name.data(), name.size(), digest, &size, EVP_sha256(), nullptr);
  // RFC 9562, section 5.8: version 8 is for hashes of one's own choice; its variant bits are 10.
  digest[6] = static_cast<unsigned char>((digest[6] & 0x0f) | 0x80);
  digest[8] = static_cast<unsigned char>((digest[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), 16));
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4), "-",
                      hex.substr(20, 12));
}

}  // namespace espalier::source
