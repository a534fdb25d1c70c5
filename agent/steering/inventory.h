// What rtnetlink tells of this network namespace's links, addresses and routes, and a socket that says when it changed.
#ifndef ESPALIER_AGENT_STEERING_INVENTORY_H_
#define ESPALIER_AGENT_STEERING_INVENTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"

struct mnl_socket;

namespace espalier::steering {

struct Link {
  int index = 0;
  std::string name;
  std::string kind;       // "vxlan", "veth", ...; empty: a device of hardware
  bool ethernet = false;  // has a link header
  bool up = false;
  bool loopback = false;
};

struct LinkAddress {
  int link = 0;
  IpAddress address;
};

// One unicast route and next hop, of any table but "local".
struct Route {
  IpPrefix destination;
  int link = 0;
  bool gateway = false;
};

struct Inventory {
  std::vector<Link> links;
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;
};

// Dumps links, addresses and routes. Errors name the dump and errno.
absl::StatusOr<Inventory> TakeInventory();

// Readable when links, addresses or routes changed. Not thread-safe.
class ChangeWatch {
 public:
  static absl::StatusOr<std::unique_ptr<ChangeWatch>> Open();
  ~ChangeWatch();
  ChangeWatch(const ChangeWatch&) = delete;
  ChangeWatch& operator=(const ChangeWatch&) = delete;

  int fd() const;
  // Reads away what is there.
  void Drain();

 private:
  explicit ChangeWatch(mnl_socket* socket) : socket_(socket) {}
  mnl_socket* socket_;
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_INVENTORY_H_
