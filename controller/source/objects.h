// The objects that the controller reads, whether they come from Kubernetes or from a directory: of the core kinds what
// Espalier needs, of its own kinds the API's messages.
#ifndef ESPALIER_CONTROLLER_SOURCE_OBJECTS_H_
#define ESPALIER_CONTROLLER_SOURCE_OBJECTS_H_

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ip.h"
#include "espalier/v1alpha1/types.pb.h"

namespace espalier::source {

using Labels = std::map<std::string, std::string>;

// Which object. ToString: "EncryptionPolicy/NAMESPACE/NAME", or "Node/NAME" for kinds without a namespace.
struct ObjectKey {
  std::string kind;
  std::string ns;  // empty: a cluster-wide kind
  std::string name;

  std::string ToString() const;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

struct Node {
  std::string name;
  std::string uid;
  Labels labels;
  Labels annotations;
  std::vector<IpAddress> internal_ips;  // status.addresses of type InternalIP, in order
  std::vector<IpPrefix> pod_cidrs;      // spec.podCIDRs, or spec.podCIDR

  friend bool operator==(const Node&, const Node&) = default;
};

struct Namespace {
  std::string name;
  std::string uid;
  Labels labels;

  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Pod {
  std::string ns;
  std::string name;
  std::string uid;
  Labels labels;
  std::string service_account = "default";
  std::string node_name;           // empty: not scheduled yet
  std::vector<IpAddress> pod_ips;  // status.podIPs, or status.podIP
  bool host_network = false;
  std::string phase;    // Pending, Running, Succeeded, Failed, Unknown, or empty
  std::string created;  // metadata.creationTimestamp (RFC 3339, sorts as text), or empty

  // Succeeded or Failed: its addresses are free for others.
  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
  friend bool operator==(const Pod&, const Pod&) = default;
};

struct Service {
  std::string ns;
  std::string name;
  std::string uid;
  std::vector<IpAddress> cluster_ips;

  friend bool operator==(const Service&, const Service&) = default;
};

struct ServiceAccount {
  std::string ns;
  std::string name;
  std::string uid;

  friend bool operator==(const ServiceAccount&, const ServiceAccount&) = default;
};

// By "NAMESPACE/NAME", or NAME for cluster-wide kinds.
template <typename T>
using Table = std::map<std::string, std::shared_ptr<const T>>;
template <typename T>
using TablePtr = std::shared_ptr<const Table<T>>;

// An immutable snapshot of all objects; cheap to copy. A table that did not change between two snapshots is the same
// pointer, and so is an object that did not change: comparing pointers is enough to see what changed. Tables are never
// null. Every object in it has passed validation.
struct ObjectStore {
  ObjectStore();

  TablePtr<Node> nodes;
  TablePtr<Namespace> namespaces;
  TablePtr<Pod> pods;
  TablePtr<Service> services;
  TablePtr<ServiceAccount> service_accounts;
  TablePtr<v1alpha1::EncryptionPolicy> policies;
  TablePtr<v1alpha1::ClusterEncryptionPolicy> cluster_policies;
  TablePtr<v1alpha1::EncryptionProfile> profiles;
};

// The key under which a table holds an object.
std::string TableKey(absl::string_view ns, absl::string_view name);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_OBJECTS_H_
