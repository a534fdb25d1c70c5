/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From a flow to a verdict: the same as policy::Snapshot::Decide and DecideFragment. */
#ifndef ESPALIER_BPF_VERDICT_H_
#define ESPALIER_BPF_VERDICT_H_

#include "maps.h"
#include "parse.h"

struct decision {
  struct espalier_whois source;
  struct espalier_whois destination;
  __u32 verdict; /* enum espalier_verdict */
};

/* Which of the two sets of maps is in force; 0: none yet. Read once for each packet. */
static __always_inline __u32 active_set(void) {
  __u32 zero = 0, *set = bpf_map_lookup_elem(&active, &zero);

  return set ? *(volatile __u32 *)set : 0;
}

static __always_inline int who_is(__u32 set, __u8 family, const __u8 *address, struct espalier_whois *who) {
  const struct espalier_whois *row;
  struct espalier_host_key host = {};

  if (family == 4) {
    host.address[10] = host.address[11] = 0xff;
    __builtin_memcpy(host.address + 12, address, 4);
  } else {
    __builtin_memcpy(host.address, address, 16);
  }
  row = set == 1 ? bpf_map_lookup_elem(&hosts_1, &host) : bpf_map_lookup_elem(&hosts_2, &host);
  if (!row && family == 4) {
    struct espalier_ip4_key key = {.prefixlen = 32};
    __builtin_memcpy(key.address, address, 4);
    row = set == 1 ? bpf_map_lookup_elem(&ipcache4_1, &key) : bpf_map_lookup_elem(&ipcache4_2, &key);
  } else if (!row) {
    struct espalier_ip6_key key = {.prefixlen = 128};
    __builtin_memcpy(key.address, address, 16);
    row = set == 1 ? bpf_map_lookup_elem(&ipcache6_1, &key) : bpf_map_lookup_elem(&ipcache6_2, &key);
  }
  if (!row) return 0;
  *who = *row;
  return 1;
}

/*
 * What the rows say of (client, server, server's port), as specificity << 8 | verdict: of two, the more specific wins,
 * and among equals the stricter, which is just the greater number. `strictest`: of all ports.
 */
__noinline __u32 rows_say(__u32 set, __u32 client, __u32 server, __u32 protocol_port, __u32 strictest) {
  struct espalier_pair_key key = {.src = client, .dst = server};
  const struct espalier_pair *pair;

  pair = set == 1 ? bpf_map_lookup_elem(&pairs_1, &key) : bpf_map_lookup_elem(&pairs_2, &key);
  if (!pair) return ESPALIER_PASS;
  if (strictest) return pair->strictest;
  if (pair->has_ports) {
    struct espalier_port_key port_key = {
        .prefixlen = ESPALIER_PORT_PREFIX_FULL,
        .src = client,
        .dst = server,
        .protocol = protocol_port >> 16,
        .port = {protocol_port >> 8, protocol_port},
    };
    const struct espalier_port *port =
        set == 1 ? bpf_map_lookup_elem(&ports_1, &port_key) : bpf_map_lookup_elem(&ports_2, &port_key);

    if (port) return (__u32)port->specificity << 8 | port->verdict;
  }
  return pair->verdict;
}

/* 0: an address is in no row. */
__noinline int decide(__u32 set, const struct packet *p, struct decision *d) {
  __u32 forward, reverse, protocol, strictest;

  if (!p || !d) return 0;
  d->verdict = ESPALIER_DENY;
  if (!who_is(set, p->family, p->source, &d->source) || !who_is(set, p->family, p->destination, &d->destination)) {
    return 0;
  }
  d->verdict = ESPALIER_PASS;
  if (d->source.flags & d->destination.flags & ESPALIER_WHO_LOCAL) return 1; /* never leaves the node */
  strictest = p->later_fragment || p->truncated;
  protocol = (__u32)p->protocol << 16;
  forward = rows_say(set, d->source.identity, d->destination.identity, protocol | p->destination_port, strictest);
  reverse = rows_say(set, d->destination.identity, d->source.identity, protocol | p->source_port, strictest);
  d->verdict = (forward > reverse ? forward : reverse) & 0xff;
  return 1;
}

static __always_inline int is_mesh(const struct espalier_whois *who) { return (who->flags & ESPALIER_WHO_MESH) != 0; }

static __always_inline int is_host(const struct espalier_whois *who) { return (who->flags & ESPALIER_WHO_HOST) != 0; }

static __always_inline int is_here(const struct espalier_whois *who) {
  return (who->flags & (ESPALIER_WHO_LOCAL | ESPALIER_WHO_OWN_CIDR)) != 0;
}

/* A pod of another node, or an address out of its pod CIDR. */
static __always_inline int is_pod_elsewhere(const struct espalier_whois *who) {
  return is_mesh(who) && who->node_id && !is_here(who);
}

#endif /* ESPALIER_BPF_VERDICT_H_ */
