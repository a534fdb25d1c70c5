// What is never steered or refused.
#ifndef ESPALIER_CONTROLLER_COMPILE_EXEMPTIONS_H_
#define ESPALIER_CONTROLLER_COMPILE_EXEMPTIONS_H_

#include <string>
#include <vector>

#include "common/ip.h"
#include "espalier/v1/view.pb.h"

namespace espalier::compile {

// By name: IKE and ESP between nodes, the controller, DHCP, ICMPv6 neighbour discovery, link-local. Each as narrow as
// it can be, since a pod could otherwise talk in plaintext by choosing such a port.
std::vector<v1::Exemption> Exemptions(const std::vector<IpAddress>& node_addresses,
                                      const std::vector<std::string>& controller_addresses);

}  // namespace espalier::compile

#endif  // ESPALIER_CONTROLLER_COMPILE_EXEMPTIONS_H_
