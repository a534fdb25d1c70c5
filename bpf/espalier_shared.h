/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the BPF programs and the agent share: every map's key and value, the verdicts, and the one list of counters.
 * Included by C (clang -target bpf) and by C++. Fixed widths, explicit padding, sizes asserted. Host byte order unless
 * a field says otherwise. A change of any layout here needs a new ESPALIER_LAYOUT: maps are pinned under it, so that an
 * agent of one layout never reads the maps of another.
 */
#ifndef ESPALIER_BPF_ESPALIER_SHARED_H_
#define ESPALIER_BPF_ESPALIER_SHARED_H_

#include <linux/types.h>

#define ESPALIER_LAYOUT 1

/*
 * Every packet that a program sees is counted once, here. Numbers are stable; a retired number stays reserved.
 * X(symbol, number, name, help). Names that start with "drop_" are refusals and give an event; "in_" and "decrypted"
 * are of packets that come in, "drop_guard", "drop_spoofed", "drop_malformed" and "drop_lookup" of either direction,
 * the rest of packets that leave.
 */
#define ESPALIER_COUNTERS(X)                                                                                    \
  X(ENCRYPTED, 0, "encrypted", "handed to the datapath to leave in ESP")                                        \
  X(PASSED, 1, "passed", "left in the clear: no policy wants otherwise")                                        \
  X(EXEMPT_IKE, 2, "exempt_ike", "left: IKE or ESP of the node itself")                                         \
  X(EXEMPT_HOST, 3, "exempt_host", "left in the clear: the node's own, or source-NATed to it")                  \
  X(EXEMPT_ENCAP, 4, "exempt_encap", "left: an encapsulation whose inner packet may be in the clear")           \
  X(EXEMPT_NON_IP, 5, "exempt_non_ip", "left: not IP (ARP and the like)")                                       \
  X(PREFER_CLEAR, 6, "prefer_clear", "left in the clear: Prefer, and no tunnel is up")                          \
  X(UNPROGRAMMED, 7, "unprogrammed", "seen in either direction before the node's first policy")                 \
  X(IN_PASSED, 8, "in_passed", "came in the clear: no policy wants otherwise")                                  \
  X(IN_EXEMPT_IKE, 9, "in_exempt_ike", "came in: IKE or ESP for the node itself")                               \
  X(IN_EXEMPT_ENCAP, 10, "in_exempt_encap", "came in: an encapsulation whose inner packet may be in the clear") \
  X(IN_EXEMPT_NON_IP, 11, "in_exempt_non_ip", "came in: not IP (ARP and the like)")                             \
  X(IN_CLEAR, 12, "in_clear", "came in the clear and accepted: Prefer, or a Require in its stage Send")         \
  X(DECRYPTED, 13, "decrypted", "came out of the datapath and entered the node")                                \
  X(DROP_GUARD, 14, "drop_guard", "refused: mesh plaintext on the wire, bare or inside an encapsulation")       \
  X(DROP_SPOOFED, 15, "drop_spoofed", "refused: the source address belongs to a pod elsewhere")                 \
  X(DROP_DENIED, 16, "drop_denied", "refused: a policy denies it")                                              \
  X(DROP_MALFORMED, 17, "drop_malformed", "refused: truncated or not well formed, so not shown to be harmless") \
  X(DROP_LOOKUP, 18, "drop_lookup", "refused: an address that no row of the ipcache covers")                    \
  X(DROP_DATAPATH, 19, "drop_datapath", "refused: came out of the datapath, but not from elsewhere to this node")

enum espalier_counter {
#define X(symbol, number, name, help) ESPALIER_##symbol = number,
  ESPALIER_COUNTERS(X)
#undef X
      ESPALIER_COUNTER_COUNT = 20,
};

/* policy::Verdict, number for number. */
enum espalier_verdict {
  ESPALIER_PASS = 0,
  ESPALIER_PREFER = 1,
  ESPALIER_SEND = 2,
  ESPALIER_REQUIRE = 3,
  ESPALIER_DENY = 4,
};

/*
 * Whose an address is: `hosts` has the single addresses, of either family, `ipcache4` and `ipcache6` the prefixes, of
 * which the longest counts. Two of each: see `active`.
 */
struct espalier_host_key {
  __u8 address[16]; /* network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2) */
};

struct espalier_ip4_key {
  __u32 prefixlen; /* 0..32 */
  __u8 address[4]; /* network order */
};

struct espalier_ip6_key {
  __u32 prefixlen; /* 0..128 */
  __u8 address[16];
};

#define ESPALIER_WHO_LOCAL 1u    /* a pod of this node */
#define ESPALIER_WHO_OWN_CIDR 2u /* inside a pod CIDR of this node */
#define ESPALIER_WHO_MESH 4u     /* a pod's, or one that can only be a pod's: policy::InMesh() */
#define ESPALIER_WHO_HOST 8u     /* this node itself */

struct espalier_whois {
  __u32 identity;
  __u32 node_id; /* 0: none */
  __u32 flags;   /* ESPALIER_WHO_* */
};

/* pairs: (client identity, server identity) -> what holds for all of its ports. Two of them. */
struct espalier_pair_key {
  __u32 src;
  __u32 dst;
};

struct espalier_pair {
  __u8 verdict;   /* without a row for the port; ESPALIER_PASS if no row says */
  __u8 strictest; /* of every row of the pair */
  __u8 has_ports; /* 1: rows in `ports` too */
  __u8 reserved;
};

/* ports: (pair, protocol, server port) -> verdict, longest prefix. Two of them. */
#define ESPALIER_PORT_PREFIX_PAIR 64
#define ESPALIER_PORT_PREFIX_FULL 88

struct espalier_port_key {
  __u32 prefixlen; /* 64 (any protocol) or 72 (protocol) + bits of the port */
  __u32 src;
  __u32 dst;
  __u8 protocol;
  __u8 port[2];  /* network order */
  __u8 reserved; /* beyond every prefix */
};

struct espalier_port {
  __u8 verdict;
  __u8 specificity; /* of two rows (one for each direction) the higher wins; a pair's own row has 0 */
  __u8 reserved[2];
};

/* tunnels: node id -> can it be sent to? */
struct espalier_tunnel {
  __u32 ready;
};

/* counters: one for each of ESPALIER_COUNTERS, per CPU. */
struct espalier_count {
  __u64 packets; /* segments of a super-packet counted each */
  __u64 bytes;
};

/* settings: one entry. */
struct espalier_settings {
  __u32 datapath_ifindex;
  __u16 vxlan_ports[4]; /* 0: unused */
  __u16 geneve_port;
  __u16 reserved;
};

/* active: one entry: 0 before the first policy, else 1 or 2: which of the two sets of the maps above is in force. */

/* event_times: rate limit of events: when the last one of this kind went out, ns. */
struct espalier_event_key {
  __u32 reason; /* enum espalier_counter */
  __u32 egress;
  __u32 source_identity;
  __u32 destination_identity;
};

/* events: ring buffer. Addresses in network order; IPv4 in the first four octets. */
struct espalier_event {
  __u32 reason; /* enum espalier_counter */
  __u32 ifindex;
  __u32 source_identity;
  __u32 destination_identity;
  __u16 source_port;
  __u16 destination_port;
  __u8 protocol;
  __u8 family; /* 4, 6; 0: no addresses could be read */
  __u8 egress;
  __u8 reserved;
  __u8 source[16];
  __u8 destination[16];
};

#ifdef __cplusplus
#define ESPALIER_SIZE(type, size) static_assert(sizeof(struct type) == size)
#else
#define ESPALIER_SIZE(type, size) _Static_assert(sizeof(struct type) == size, #type)
#endif
ESPALIER_SIZE(espalier_host_key, 16);
ESPALIER_SIZE(espalier_ip4_key, 8);
ESPALIER_SIZE(espalier_ip6_key, 20);
ESPALIER_SIZE(espalier_whois, 12);
ESPALIER_SIZE(espalier_pair_key, 8);
ESPALIER_SIZE(espalier_pair, 4);
ESPALIER_SIZE(espalier_port_key, 16);
ESPALIER_SIZE(espalier_port, 4);
ESPALIER_SIZE(espalier_tunnel, 4);
ESPALIER_SIZE(espalier_count, 16);
ESPALIER_SIZE(espalier_settings, 16);
ESPALIER_SIZE(espalier_event_key, 16);
ESPALIER_SIZE(espalier_event, 56);
#undef ESPALIER_SIZE

#endif /* ESPALIER_BPF_ESPALIER_SHARED_H_ */
