// A mesh in a few lines, for tests.
#ifndef ESPALIER_CONTROLLER_COMPILE_TEST_MESH_H_
#define ESPALIER_CONTROLLER_COMPILE_TEST_MESH_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/compile/compiler.h"
#include "google/protobuf/util/json_util.h"

namespace espalier::compile {

class TestMesh {
 public:
  TestMesh() { input.mesh.trust_domain = "t"; }

  void AddNode(const std::string& name, const std::string& address, const std::string& cidr) {
    auto node = std::make_shared<source::Node>();
    node->name = name;
    node->uid = absl::StrCat("uid-", name);
    node->internal_ips.push_back(*IpAddress::Parse(address));
    node->pod_cidrs.push_back(*IpPrefix::Parse(cidr));
    nodes[name] = std::move(node);
    nodes_changed = true;
  }
  void AddPod(const std::string& name, const std::string& node, const std::string& address, const std::string& app) {
    auto pod = std::make_shared<source::Pod>();
    pod->ns = "shop";
    pod->name = name;
    pod->uid = absl::StrCat("uid-", name);
    pod->node_name = node;
    pod->labels = {{"app", app}};
    pod->pod_ips.push_back(*IpAddress::Parse(address));
    pods[absl::StrCat("shop/", name)] = std::move(pod);
    pods_changed = true;
  }
  // In force at once; `spec` is JSON.
  void AddPolicy(const std::string& name, const std::string& spec, v1::Stage stage = v1::STAGE_ENFORCE) {
    auto definition = std::make_shared<PolicyDefinition>();
    definition->name = absl::StrCat("EncryptionPolicy/shop/", name);
    definition->ns = "shop";
    definition->generation = 1;
    (void)google::protobuf::util::JsonStringToMessage(spec, &definition->spec);
    input.policies.push_back({definition->name, definition, stage, 0, false});
    ++input.stages_revision;
  }

  std::shared_ptr<const CompiledMesh> Compile() {
    auto store = input.objects == nullptr ? source::ObjectStore() : *input.objects;
    if (nodes_changed) store.nodes = std::make_shared<source::Table<source::Node>>(nodes);
    if (pods_changed) store.pods = std::make_shared<source::Table<source::Pod>>(pods);
    nodes_changed = pods_changed = false;
    input.objects = std::make_shared<source::ObjectStore>(std::move(store));
    return compiler.Compile(input);
  }

  Compiler compiler;
  CompileInput input;
  source::Table<source::Node> nodes;
  source::Table<source::Pod> pods;
  bool nodes_changed = false, pods_changed = false;
};

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_TEST_MESH_H_
