#include "controller/source/directory/core_object.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "controller/source/findings.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

// Reads fields by path ("spec.nodeName") and collects what is wrong with those it was asked for.
class FieldReader {
 public:
  FieldReader(const Value& root, DecodedObject* out) : root_(root), out_(out) {}

  const Value* At(absl::string_view path) const {
    const Value* v = &root_;
    for (const absl::string_view step : absl::StrSplit(path, '.')) {
      v = v->Find(step);
      if (v == nullptr || v->is_null()) return nullptr;
    }
    return v;
  }

  std::string Text(absl::string_view path) {
    const Value* v = At(path);
    if (v == nullptr) return "";
    return TextOf(*v, path);
  }

  bool Bool(absl::string_view path) {
    const Value* v = At(path);
    if (v == nullptr) return false;
    if (v->kind != Value::Kind::kBool) Add(*v, path, "must be true or false", "write true or false, without quotes");
    return v->boolean;
  }

  Labels Texts(absl::string_view path) {
    Labels out;
    const Value* v = At(path);
    if (v == nullptr) return out;
    if (!v->is_map()) {
      Add(*v, path, absl::StrCat("is ", v->KindName(), ", but must be a mapping of texts"),
          "write \"KEY: VALUE\" below it");
      return out;
    }
    for (const auto& [key, member] : v->members) {
      if (!member.is_null()) out[key] = TextOf(member, absl::StrCat(path, "[", key, "]"));
    }
    return out;
  }

  // Lists of anything; a value that is no list is a problem. Null: absent.
  const std::vector<Value>* List(absl::string_view path) {
    const Value* v = At(path);
    if (v == nullptr) return nullptr;
    if (!v->is_list()) {
      Add(*v, path, absl::StrCat("is ", v->KindName(), ", but must be a list"), "begin each entry with \"- \"");
      return nullptr;
    }
    return &v->items;
  }

  std::string TextOf(const Value& v, absl::string_view path) {
    if (!v.is_text()) {
      Add(v, path, absl::StrCat("is ", v.KindName(), ", but must be text"),
          v.is_list() || v.is_map() ? "write one text" : absl::StrCat("put it in quotes: \"", v.text, "\""));
      return "";
    }
    return v.text;
  }

  void Address(const Value& v, const std::string& path, std::vector<IpAddress>* out) {
    const std::string text = TextOf(v, path);
    if (text.empty() || text == "None") return;
    const auto address = IpAddress::Parse(text);
    if (!address.ok()) {
      Add(v, path, "is not an IP address", "write one like \"10.244.1.2\" or \"fd00::2\"");
    } else if (std::find(out->begin(), out->end(), *address) == out->end()) {
      out->push_back(*address);
    }
  }

  void Prefix(const Value& v, const std::string& path, std::vector<IpPrefix>* out) {
    const std::string text = TextOf(v, path);
    if (text.empty()) return;
    const auto prefix = IpPrefix::Parse(text);
    if (!prefix.ok()) {
      Add(v, path, "is not a CIDR", "write ADDRESS/LENGTH without bits behind the length, like \"10.244.1.0/24\"");
    } else if (std::find(out->begin(), out->end(), *prefix) == out->end()) {
      out->push_back(*prefix);
    }
  }

  void Add(const Value& v, absl::string_view path, std::string message, std::string remedy) {
    Findings one(out_->key.ToString());
    one.Add(path, v.Shown(), std::move(message), std::move(remedy));
    Problem problem = one.Take().front();
    problem.line = v.line;
    out_->problems.push_back(std::move(problem));
  }

 private:
  const Value& root_;
  DecodedObject* const out_;
};

Node ReadNode(FieldReader* in) {
  Node node;
  node.labels = in->Texts("metadata.labels");
  node.annotations = in->Texts("metadata.annotations");
  if (const auto* addresses = in->List("status.addresses")) {
    for (size_t i = 0; i < addresses->size(); ++i) {
      const Value* type = (*addresses)[i].Find("type");
      const Value* address = (*addresses)[i].Find("address");
      if (type == nullptr || type->text != "InternalIP" || address == nullptr) continue;
      in->Address(*address, absl::StrCat("status.addresses[", i, "].address"), &node.internal_ips);
    }
  }
  if (const auto* cidrs = in->List("spec.podCIDRs")) {
    for (size_t i = 0; i < cidrs->size(); ++i) {
      in->Prefix((*cidrs)[i], absl::StrCat("spec.podCIDRs[", i, "]"), &node.pod_cidrs);
    }
  }
  if (const Value* cidr = in->At("spec.podCIDR")) in->Prefix(*cidr, "spec.podCIDR", &node.pod_cidrs);
  return node;
}

Pod ReadPod(FieldReader* in) {
  Pod pod;
  pod.labels = in->Texts("metadata.labels");
  pod.created = in->Text("metadata.creationTimestamp");
  const std::string account = in->Text("spec.serviceAccountName");
  if (!account.empty()) pod.service_account = account;
  pod.node_name = in->Text("spec.nodeName");
  pod.host_network = in->Bool("spec.hostNetwork");
  pod.phase = in->Text("status.phase");
  if (const auto* ips = in->List("status.podIPs")) {
    for (size_t i = 0; i < ips->size(); ++i) {
      if (const Value* ip = (*ips)[i].Find("ip")) {
        in->Address(*ip, absl::StrCat("status.podIPs[", i, "].ip"), &pod.pod_ips);
      }
    }
  }
  if (const Value* ip = in->At("status.podIP")) in->Address(*ip, "status.podIP", &pod.pod_ips);
  return pod;
}

Service ReadService(FieldReader* in) {
  Service service;
  if (const auto* ips = in->List("spec.clusterIPs")) {
    for (size_t i = 0; i < ips->size(); ++i) {
      in->Address((*ips)[i], absl::StrCat("spec.clusterIPs[", i, "]"), &service.cluster_ips);
    }
  }
  if (const Value* ip = in->At("spec.clusterIP")) in->Address(*ip, "spec.clusterIP", &service.cluster_ips);
  return service;
}

}  // namespace

bool IsClusterWide(absl::string_view kind) {
  return kind == "Node" || kind == "Namespace" || kind == "ClusterEncryptionPolicy" || kind == "EncryptionProfile";
}

bool IsCoreKind(absl::string_view kind) {
  return kind == "Node" || kind == "Namespace" || kind == "Pod" || kind == "Service" || kind == "ServiceAccount";
}

void DecodeCoreObject(const Value& value, DecodedObject* out) {
  FieldReader in(value, out);
  const ObjectKey& key = out->key;
  for (Problem& problem : ValidateName(key.ToString(), key.ns, key.name)) {
    problem.line = value.LineOf(problem.field);
    out->problems.push_back(std::move(problem));
  }
  std::string uid = in.Text("metadata.uid");
  if (uid.empty()) uid = DerivedUid(key);
  const auto take = [out, &key, &uid](auto object) {
    object.name = key.name;
    object.uid = uid;
    if (out->problems.empty()) out->object = std::make_shared<const decltype(object)>(std::move(object));
  };
  const auto take_namespaced = [&take, &key](auto object) {
    object.ns = key.ns;
    take(std::move(object));
  };
  if (key.kind == "Node") {
    take(ReadNode(&in));
  } else if (key.kind == "Namespace") {
    Namespace ns;
    ns.labels = in.Texts("metadata.labels");
    take(std::move(ns));
  } else if (key.kind == "Pod") {
    take_namespaced(ReadPod(&in));
  } else if (key.kind == "Service") {
    take_namespaced(ReadService(&in));
  } else {
    take_namespaced(ServiceAccount());
  }
}

}  // namespace espalier::source
