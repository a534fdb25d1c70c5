// What follows from pods, nodes and namespaces alone: identities, addresses, who is where.
#ifndef ESPALIER_CONTROLLER_COMPILE_POD_FACTS_H_
#define ESPALIER_CONTROLLER_COMPILE_POD_FACTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controller/compile/compiler.h"
#include "controller/compile/interner.h"
#include "controller/compile/resolve.h"
#include "controller/identity/address_authority.h"
#include "controller/identity/node_ids.h"

namespace espalier::compile {

struct PodFacts {
  std::map<std::string, uint32_t> node_ids;  // by UID
  Identities identities;                     // of all live pods
  std::map<IpAddress, identity::Claim> addresses;
  std::shared_ptr<const ResourceMap> address_resources;     // "address/..."
  std::shared_ptr<const ResourceMap> identity_resources;    // "identity/..."
  std::map<uint32_t, std::set<std::string>> nodes_of;       // UIDs of the nodes that have pods of an identity
  std::map<uint32_t, uint32_t> pods_of;                     // how many pods have it
  std::map<std::string, std::set<uint32_t>> identities_on;  // by the node's UID
  std::map<std::string, uint32_t> pods_on;                  // with an address, by the node's UID
  std::vector<source::Problem> problems;
};

// Makes PodFacts, again only when pods, nodes or namespaces changed. Not thread-safe.
class PodFactsMaker {
 public:
  // The same pointer as long as nothing changed.
  std::shared_ptr<const PodFacts> Make(const source::ObjectStore& objects);
  identity::NodeIdAllocator& node_ids() { return allocator_; }

 private:
  identity::NodeIdAllocator allocator_;
  Interner address_interner_, identity_interner_;
  source::TablePtr<source::Pod> pods_;
  source::TablePtr<source::Node> nodes_;
  source::TablePtr<source::Namespace> namespaces_;
  std::shared_ptr<const PodFacts> facts_;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_POD_FACTS_H_
