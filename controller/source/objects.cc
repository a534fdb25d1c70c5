#include "controller/source/objects.h"

#include "absl/strings/str_cat.h"

namespace espalier::source {

std::string ObjectKey::ToString() const {
  return ns.empty() ? absl::StrCat(kind, "/", name) : absl::StrCat(kind, "/", ns, "/", name);
}

ObjectStore::ObjectStore()
    : nodes(std::make_shared<const Table<Node>>()),
      namespaces(std::make_shared<const Table<Namespace>>()),
      pods(std::make_shared<const Table<Pod>>()),
      services(std::make_shared<const Table<Service>>()),
      service_accounts(std::make_shared<const Table<ServiceAccount>>()),
      policies(std::make_shared<const Table<v1alpha1::EncryptionPolicy>>()),
      cluster_policies(std::make_shared<const Table<v1alpha1::ClusterEncryptionPolicy>>()),
      profiles(std::make_shared<const Table<v1alpha1::EncryptionProfile>>()) {}

std::string TableKey(absl::string_view ns, absl::string_view name) {
  return ns.empty() ? std::string(name) : absl::StrCat(ns, "/", name);
}

}  // namespace espalier::source
