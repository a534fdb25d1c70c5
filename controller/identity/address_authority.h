// Which address belongs to which pod. A kubelet that was broken into can write any address into a pod's status; so an
// address counts only if its node may give it out.
//
// An address of a pod counts if all of these hold:
//  1. the pod is scheduled to a node that exists, does not use the host's network, and has not finished;
//  2. the node has no podCIDRs of the address's family, and no other node's podCIDRs hold it, or it is inside the
//     node's own;
//  3. it is no node's address, and can be a host's at all (not unspecified, loopback, multicast or link-local);
//  4. no other live pod claims it. Where two do and only one may by 1 to 3, that one has it. Where both may, the pod
//     that had it keeps it (`previous`); where neither had, neither gets it until one of them goes: taking the "older"
//     would trust a time stamp that the same kubelet can influence.
// Everything else is a Problem, "AddressConflict: ...", and the address stays unknown: its traffic is held and dropped,
// never passed.
#ifndef ESPALIER_CONTROLLER_IDENTITY_ADDRESS_AUTHORITY_H_
#define ESPALIER_CONTROLLER_IDENTITY_ADDRESS_AUTHORITY_H_

#include <map>
#include <memory>
#include <vector>

#include "common/ip.h"
#include "controller/source/objects.h"
#include "controller/source/problem.h"

namespace espalier::identity {

struct Claim {
  std::shared_ptr<const source::Pod> pod;
  std::shared_ptr<const source::Node> node;
};

struct AddressAssignment {
  std::map<IpAddress, Claim> addresses;
  std::vector<source::Problem> problems;  // AddressConflict, sorted
};

// Pure. `previous` may be empty (a restart).
AddressAssignment AssignAddresses(const source::ObjectStore& objects, const std::map<IpAddress, Claim>& previous);

}  // namespace espalier::identity

#endif  // ESPALIER_CONTROLLER_IDENTITY_ADDRESS_AUTHORITY_H_
