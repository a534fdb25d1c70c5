// From objects to what each node is told: identities, addresses, node ids, and policies with their selectors resolved.
//
// A node's view has two halves. The common half is the same for every node and shared between them: nodes, addresses of
// all pods (an address that a node doesn't know is dropped, so it has to know all), exemptions, the profile. The own
// half is what concerns this node: the mesh resource with its own id, the policies that have one of its pods on either
// side, and the identities of its pods (policies name others by number alone: a node need not know their labels).
// Policy and identity resources are shared too.
#ifndef ESPALIER_CONTROLLER_COMPILE_COMPILER_H_
#define ESPALIER_CONTROLLER_COMPILE_COMPILER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "controller/compile/stages.h"
#include "controller/source/objects.h"
#include "controller/source/problem.h"
#include "espalier/v1/view.pb.h"

namespace espalier::compile {

// By key, as view.proto says ("node/7", "address/10.244.1.2", "mesh").
using ResourcePtr = std::shared_ptr<const v1::Resource>;
using ResourceMap = std::map<std::string, ResourcePtr>;

// What the mesh resource holds and objects don't say.
struct MeshFacts {
  std::string trust_domain;
  std::string trust_bundle_pem;
  std::vector<std::string> revoked_serials;       // hex, lower case
  std::vector<std::string> controller_addresses;  // "192.0.2.1:7443", "[2001:db8::1]:7443"
  std::vector<IpPrefix> cluster_cidrs;            // pod networks beyond the nodes' podCIDRs; usually empty

  friend bool operator==(const MeshFacts&, const MeshFacts&) = default;
};

// What a node's agent said of itself when it connected.
struct AgentFacts {
  uint64_t boot_id = 0;
  bool mlkem = false;

  friend bool operator==(const AgentFacts&, const AgentFacts&) = default;
};

struct CompileInput {
  std::shared_ptr<const source::ObjectStore> objects;  // not null
  MeshFacts mesh;
  std::map<std::string, AgentFacts> agents;  // by the node's UID; keep them when an agent goes away
  std::vector<ActivePolicy> policies;        // Stages::Current()
  uint64_t stages_revision = 0;              // Stages::revision()
};

// One node's view. Immutable, cheap to copy; halves that are equal in two compiles are the same pointers. No key is in
// both.
struct NodeView {
  std::shared_ptr<const ResourceMap> common;
  std::shared_ptr<const ResourceMap> own;

  size_t size() const { return common->size() + own->size(); }
  // Everything in one map, copied: for tests and tools.
  std::map<std::string, v1::Resource> Resources() const;
};

// Whom a policy (by its definition's name) concerns.
struct PolicyScope {
  std::set<std::string> nodes;         // UIDs whose view has it
  uint32_t selected_pods = 0;          // live pods with an identity among the subjects
  std::vector<std::string> conflicts;  // policies of the same priority that answer differently for some flow
};

struct MeshNode {
  std::string name;
  std::string uid;
  uint32_t id = 0;
  uint32_t pods = 0;  // with an address
};

// The whole compile. Immutable; safe to read from any thread.
class CompiledMesh {
 public:
  virtual ~CompiledMesh() = default;

  virtual uint64_t stages_revision() const = 0;
  virtual const std::map<std::string, MeshNode>& nodes() const = 0;  // by name
  // NotFound: no such node.
  virtual absl::StatusOr<NodeView> View(const std::string& node_name) const = 0;
  virtual const std::map<std::string, PolicyScope>& scopes() const = 0;
  // Of addresses, nodes and policies (what the source found wrong is not among them).
  virtual const std::vector<source::Problem>& problems() const = 0;
};

// Remembers its last compile: what did not change is not made again, and is the same pointer. Not thread-safe.
class Compiler {
 public:
  Compiler();
  ~Compiler();

  std::shared_ptr<const CompiledMesh> Compile(const CompileInput& input);

  // The node ids, for the next start (identity/node_ids.h). Load before the first Compile.
  std::string SaveNodeIds() const;
  absl::Status LoadNodeIds(absl::string_view text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_COMPILER_H_
