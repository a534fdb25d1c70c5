#include "controller/identity/address_authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace espalier::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AddressAuthorityTest : public ::testing::Test {
 protected:
  void AddNode(const std::string& name, std::vector<std::string> addresses, std::vector<std::string> cidrs) {
    auto node = std::make_shared<source::Node>();
    node->name = node->uid = name;
    for (const auto& a : addresses) node->internal_ips.push_back(*IpAddress::Parse(a));
    for (const auto& c : cidrs) node->pod_cidrs.push_back(*IpPrefix::Parse(c));
    nodes_[name] = node;
  }
  source::Pod& AddPod(const std::string& name, const std::string& node, std::vector<std::string> addresses) {
    auto pod = std::make_shared<source::Pod>();
    pod->ns = "d";
    pod->name = name;
    pod->uid = absl::StrCat("uid-", name);
    pod->node_name = node;
    for (const auto& a : addresses) pod->pod_ips.push_back(*IpAddress::Parse(a));
    pods_[absl::StrCat("d/", name)] = pod;
    return *pod;
  }
  // "ADDRESS=POD" of all that count; keeps them as the previous ones.
  std::vector<std::string> Assign() {
    source::ObjectStore store;
    store.nodes = std::make_shared<source::Table<source::Node>>(nodes_);
    source::Table<source::Pod> pods(pods_.begin(), pods_.end());
    // Copies, since tests change pods.
    for (auto& [key, pod] : pods) pod = std::make_shared<source::Pod>(*pod);
    store.pods = std::make_shared<source::Table<source::Pod>>(std::move(pods));
    AddressAssignment out = AssignAddresses(store, previous_);
    previous_ = out.addresses;
    problems_.clear();
    for (const auto& p : out.problems) problems_.push_back(absl::StrCat(p.object, " ", p.value, " ", p.message));
    std::vector<std::string> said;
    for (const auto& [address, claim] : out.addresses) {
      said.push_back(absl::StrCat(address.ToString(), "=", claim.pod->name));
      EXPECT_EQ(claim.node->name, claim.pod->node_name);
    }
    return said;
  }

  source::Table<source::Node> nodes_;
  std::map<std::string, std::shared_ptr<source::Pod>> pods_;
  std::map<IpAddress, Claim> previous_;
  std::vector<std::string> problems_;
};

TEST_F(AddressAuthorityTest, InsideTheNodesCidrs) {
  AddNode("n1", {"192.168.1.1"}, {"10.244.1.0/24", "fd00:1::/64"});
  AddNode("n2", {"192.168.1.2"}, {"10.244.2.0/24"});
  AddPod("a", "n1", {"10.244.1.5", "fd00:1::5"});
  AddPod("thief", "n2", {"10.244.1.6"});
  EXPECT_THAT(Assign(), ElementsAre("10.244.1.5=a", "fd00:1::5=a"));
  EXPECT_THAT(
      problems_,
      ElementsAre("Pod/d/thief 10.244.1.6 AddressConflict: is outside of the podCIDRs of its node n2 (10.244.2.0/24)"));
}

TEST_F(AddressAuthorityTest, NodesWithoutCidrs) {
  AddNode("n1", {"192.168.1.1"}, {"10.244.1.0/24"});
  AddNode("free", {"192.168.1.2"}, {});
  AddPod("a", "free", {"10.9.9.9"});
  AddPod("b", "free", {"10.244.1.7"});
  AddPod("six", "n1", {"fd00::7"});  // no podCIDR of that family anywhere
  EXPECT_THAT(Assign(), ElementsAre("10.9.9.9=a", "fd00::7=six"));
  EXPECT_THAT(problems_, ElementsAre("Pod/d/b 10.244.1.7 AddressConflict: is inside of the podCIDRs of node n1"));
}

TEST_F(AddressAuthorityTest, NeverANodesAddressOrNoHosts) {
  AddNode("n1", {"10.244.1.1", "192.168.1.1"}, {"10.244.1.0/24"});
  AddNode("free", {}, {});
  AddPod("a", "n1", {"10.244.1.1"});
  AddPod("b", "free", {"192.168.1.1"});
  AddPod("c", "free", {"127.0.0.1", "0.0.0.0", "fe80::1", "224.0.0.5"});
  EXPECT_THAT(Assign(), IsEmpty());
  EXPECT_THAT(problems_, ElementsAre("Pod/d/a 10.244.1.1 AddressConflict: is the address of node n1",
                                     "Pod/d/b 192.168.1.1 AddressConflict: is the address of node n1",
                                     "Pod/d/c 0.0.0.0 AddressConflict: cannot be a pod's address at all",
                                     "Pod/d/c 127.0.0.1 AddressConflict: cannot be a pod's address at all",
                                     "Pod/d/c 224.0.0.5 AddressConflict: cannot be a pod's address at all",
                                     "Pod/d/c fe80::1 AddressConflict: cannot be a pod's address at all"));
}

TEST_F(AddressAuthorityTest, TwoLivePods) {
  AddNode("n1", {}, {"10.244.1.0/24"});
  AddPod("b", "n1", {"10.244.1.5"});
  EXPECT_THAT(Assign(), ElementsAre("10.244.1.5=b"));
  // Who has it keeps it, even against an earlier name.
  AddPod("a", "n1", {"10.244.1.5"});
  EXPECT_THAT(Assign(), ElementsAre("10.244.1.5=b"));
  EXPECT_THAT(problems_, ElementsAre("Pod/d/a 10.244.1.5 AddressConflict: already belongs to the live pod d/b"));
  // When it finishes the other has it.
  pods_["d/b"]->phase = "Succeeded";
  EXPECT_THAT(Assign(), ElementsAre("10.244.1.5=a"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(AddressAuthorityTest, TwoLivePodsFromTheStart) {
  AddNode("n1", {}, {"10.244.1.0/24"});
  AddPod("a", "n1", {"10.244.1.5"});
  AddPod("b", "n1", {"10.244.1.5"});
  EXPECT_THAT(Assign(), IsEmpty());
  EXPECT_EQ(problems_.size(), 2u);
  EXPECT_EQ(problems_[0], "Pod/d/a 10.244.1.5 AddressConflict: is claimed by the live pod d/b too, and neither has it");
  // But not if only one may have it at all.
  AddNode("n2", {}, {"10.244.2.0/24"});
  pods_["d/b"]->node_name = "n2";
  EXPECT_THAT(Assign(), ElementsAre("10.244.1.5=a"));
}

TEST_F(AddressAuthorityTest, PodsThatHaveNone) {
  AddNode("n1", {"192.168.1.1"}, {"10.244.1.0/24"});
  AddPod("host", "n1", {"192.168.1.1"}).host_network = true;
  AddPod("done", "n1", {"10.244.1.5"}).phase = "Failed";
  AddPod("waiting", "", {"10.244.1.6"});
  AddPod("lost", "gone", {"10.244.1.7"});
  EXPECT_THAT(Assign(), IsEmpty());
  EXPECT_THAT(problems_,
              ElementsAre("Pod/d/lost 10.244.1.7 AddressConflict: is on the node gone, which does not exist"));
}

}  // namespace
}  // namespace espalier::identity
