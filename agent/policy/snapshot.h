// The node's compiled policy: an immutable value made from a view. The same snapshot is programmed into the BPF maps,
// consulted by the userspace datapath and read by `explain`, so that the three can't disagree.
//
// How policies become verdicts is said in evaluate.h. Three things come before every policy:
//   - Both ends are pods of this node: pass. Espalier is about what leaves the node.
//   - An end that is no pod (this node, another node, the controller, the world) is spoken of by CIDR peers alone.
//   - Exemptions hold only where one end is no pod: an exemption's address is that end's, and its port that end's own.
//     They never open anything between pods. An exemption answers before every policy for the pair's rows that it
//     names; where a packet's two lookups disagree, Decide()'s rule holds for them too.
#ifndef ESPALIER_AGENT_POLICY_SNAPSHOT_H_
#define ESPALIER_AGENT_POLICY_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/policy/view.h"
#include "common/ip.h"

namespace espalier::policy {

// What happens to a packet that leaves or enters the node. Values are shared with BPF.
enum class Verdict : uint8_t {
  kPass = 0,     // no policy, Bypass, or exempt
  kPrefer = 1,   // ESP when the tunnel is up, else plaintext; both are accepted
  kSend = 2,     // ESP out (held until the tunnel is up); plaintext in still accepted (stage Send)
  kRequire = 3,  // ESP out, plaintext in refused
  kDeny = 4,     // dropped
};

// Who an address is.
struct Whois {
  uint32_t identity = 5;  // ReservedIdentity, a label identity, or a local one (identity.h)
  uint32_t node_id = 0;   // 0: none
  bool local = false;     // a pod of this node
};

// One row of the ipcache (longest prefix wins). 0.0.0.0/0 and ::/0 (world), the mesh CIDRs (unknown), each node's pod
// CIDRs (unknown, with the node), node addresses (host, remote-node), pods.
struct IpcacheRow {
  IpPrefix prefix;
  Whois who;
};

// One row of the flattened policy: longest prefix wins, over src (32 bits), dst (32), protocol (8), port (16).
// port_bits < 16 is a port range's prefix; protocol 0 with port_bits 0 and any_protocol is the pair's default.
// src is the client's side and dst the server's (whose port it is).
struct PolicyRow {
  uint32_t src = 0, dst = 0;
  bool any_protocol = true;
  uint8_t protocol = 0;
  uint16_t port = 0;
  uint8_t port_bits = 0;
  Verdict verdict = Verdict::kPass;
  int32_t origin = -1;  // index into Snapshot::origins(): policy and rule that gave it; -1: no policy
};

struct Origin {
  std::string policy;  // the key's name; "Exemption/NAME" of an exemption
  int rule = -1;       // -1: an exemption
};

// A packet's addresses and ports. ICMP and protocols without ports: 0.
struct Flow {
  IpAddress source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;
};

struct Decision {
  Verdict verdict = Verdict::kPass;
  Whois source, destination;
  int32_t origin = -1;
};

class Snapshot {
 public:
  // Errors name the resource and the field; nothing is half-made.
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Build(const View& view);
  virtual ~Snapshot() = default;

  virtual uint64_t version() const = 0;
  // This node's id in the view; 0: it is not in it.
  virtual uint32_t self() const { return 0; }
  virtual Whois WhoIs(const IpAddress& address) const = 0;

  // The verdict for one packet, whoever sends it. Two lookups: (source, destination, destination port) and, for the
  // reply direction, (destination, source, source port). A row with a port beats one without; among equals the
  // stricter wins. bpf/ does the same; tests compare the two. Non-first fragments: DecideFragment.
  virtual Decision Decide(const Flow& flow) const = 0;
  // The strictest verdict that any port of the pair can have.
  virtual Decision DecideFragment(const IpAddress& source, const IpAddress& destination) const = 0;

  // The identity that a local one (identity.h) is made from; others are returned as they are.
  virtual uint32_t BaseIdentity(uint32_t identity) const { return identity; }

  virtual const std::vector<IpcacheRow>& ipcache() const = 0;
  virtual const std::vector<PolicyRow>& rows() const = 0;
  virtual const std::vector<Origin>& origins() const = 0;
};

}  // namespace espalier::policy

#endif  // ESPALIER_AGENT_POLICY_SNAPSHOT_H_
