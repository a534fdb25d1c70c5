// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Where traffic leaves and enters the node. Every packet is counted once (account.h), and meets these steps:
 *
 * Leaving (egress of uplinks and of the CNI's overlay devices, before others' programs):
 *   1 not IP: pass; no addresses readable: drop
 *   2 who are source and destination (ipcache); an address that no row covers: drop
 *   3 a source that is a pod elsewhere: drop (no node lends its wire to forged addresses)
 *   4 IKE and ESP of the node itself: pass
 *   5 verdict: Deny: drop; Require, Send: to the datapath's device; Prefer: there if the node's tunnel is up
 *   6 what is left goes in the clear, so look one level into VXLAN, Geneve, IP in IP, GRE: an inner packet that steps 3
 *     and 5 would not let out in the clear: drop
 * Incoming (ingress of the same devices): plaintext that must not be. The same steps, with the source being a pod of
 *   this node in 3, and in 5: Deny, Require: drop; else accepted.
 * Datapath (ingress of the datapath's device): what was decrypted comes from elsewhere and is for this node.
 *
 * They return TCX_NEXT (= TC_ACT_UNSPEC) to go on to others' programs, so they run alike on tcx and on clsact. Nothing
 * here depends on the agent being alive: a dead agent's last policy stays, and what is redirected to a device that is
 * gone is dropped by the kernel.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "account.h"
#include "maps.h"
#include "parse.h"
#include "verdict.h"

#define PORT_IKE 500
#define PORT_IKE_NAT 4500

/* RFC 7296, section 2.23, and RFC 3948: IKE and ESP in UDP; and ESP itself. */
static __always_inline int is_ipsec(const struct packet *p) {
  if (p->protocol == IPPROTO_ESP) return 1;
  return p->protocol == IPPROTO_UDP && (p->source_port == PORT_IKE_NAT || p->destination_port == PORT_IKE_NAT ||
                                        p->source_port == PORT_IKE || p->destination_port == PORT_IKE);
}

static __always_inline int encrypt(struct __sk_buff *skb) {
  __u32 zero = 0;
  const struct espalier_settings *s = bpf_map_lookup_elem(&settings, &zero);

  if (!s) return TCX_DROP;
  /* A tag beside the packet would be put back into it by the device. */
  if (skb->vlan_present && bpf_skb_vlan_pop(skb)) return TCX_DROP;
  count(skb, LEAVING, ESPALIER_ENCRYPTED);
  return bpf_redirect(s->datapath_ifindex, 0);
}

static __always_inline int tunnel_ready(__u32 node_id) {
  const struct espalier_tunnel *t = bpf_map_lookup_elem(&tunnels, &node_id);
  __u32 one = 1;

  if (t && t->ready) return 1;
  if (node_id) bpf_map_update_elem(&wanted, &node_id, &one, BPF_ANY);
  return 0;
}

/* Steps 2 to 6 of a packet that leaves. */
static __always_inline int leaving_ip(struct __sk_buff *skb, __u32 set, struct packet *p, struct decision *d) {
  int encapsulated, parsed;
  __u32 counter;

  if (!decide(set, p, d)) return drop(skb, LEAVING, ESPALIER_DROP_LOOKUP, p, d);
  if (is_pod_elsewhere(&d->source)) return drop(skb, LEAVING, ESPALIER_DROP_SPOOFED, p, d);
  if (is_host(&d->source) && !is_mesh(&d->destination) && is_ipsec(p)) {
    return pass(skb, LEAVING, ESPALIER_EXEMPT_IKE);
  }
  counter = is_host(&d->source) ? ESPALIER_EXEMPT_HOST : ESPALIER_PASSED;
  switch (d->verdict) {
    case ESPALIER_PASS:
      break;
    case ESPALIER_PREFER:
      if (tunnel_ready(d->destination.node_id)) return encrypt(skb);
      counter = ESPALIER_PREFER_CLEAR;
      break;
    case ESPALIER_SEND:
    case ESPALIER_REQUIRE:
      return encrypt(skb);
    default:
      return drop(skb, LEAVING, ESPALIER_DROP_DENIED, p, d);
  }

  {
    struct packet inner = {};

    parsed = parse_inner(skb, p, &inner, &encapsulated);
    if (!encapsulated) return pass(skb, LEAVING, counter);
    if (parsed == PARSED_MALFORMED) return drop(skb, LEAVING, ESPALIER_DROP_MALFORMED, p, d);
    if (parsed == PARSED_NOT_IP) return pass(skb, LEAVING, ESPALIER_EXEMPT_ENCAP);
    if (!decide(set, &inner, d)) return drop(skb, LEAVING, ESPALIER_DROP_LOOKUP, &inner, d);
    if (is_pod_elsewhere(&d->source)) return drop(skb, LEAVING, ESPALIER_DROP_SPOOFED, &inner, d);
    if (d->verdict >= ESPALIER_SEND) return drop(skb, LEAVING, ESPALIER_DROP_GUARD, &inner, d);
  }
  return pass(skb, LEAVING, ESPALIER_EXEMPT_ENCAP);
}

static __always_inline int leaving(struct __sk_buff *skb, int ethernet) {
  struct packet p = {};
  struct decision d = {};
  __u32 set = active_set();
  int parsed;

  if (!set) return pass(skb, LEAVING, ESPALIER_UNPROGRAMMED);
  parsed = ethernet ? parse_ethernet(skb, 0, &p) : parse_bare(skb, 0, &p);
  /* A device without a link header has IP or one that we don't know (IPoIB): then nothing is shown to be harmless. */
  if (parsed == PARSED_NOT_IP && !ethernet) parsed = PARSED_MALFORMED;
  if (parsed == PARSED_NOT_IP) return pass(skb, LEAVING, ESPALIER_EXEMPT_NON_IP);
  if (parsed == PARSED_MALFORMED) return drop(skb, LEAVING, ESPALIER_DROP_MALFORMED, &p, &d);
  return leaving_ip(skb, set, &p, &d);
}

/* Steps 2 to 6 of a packet that comes in. */
static __always_inline int incoming_ip(struct __sk_buff *skb, __u32 set, struct packet *p, struct decision *d) {
  int encapsulated, parsed;
  __u32 counter;

  if (!decide(set, p, d)) return drop(skb, INCOMING, ESPALIER_DROP_LOOKUP, p, d);
  if (is_here(&d->source)) return drop(skb, INCOMING, ESPALIER_DROP_SPOOFED, p, d);
  if (is_host(&d->destination) && !is_mesh(&d->source) && is_ipsec(p)) {
    return pass(skb, INCOMING, ESPALIER_IN_EXEMPT_IKE);
  }
  if (d->verdict >= ESPALIER_REQUIRE) return drop(skb, INCOMING, ESPALIER_DROP_GUARD, p, d);
  counter = d->verdict == ESPALIER_PASS ? ESPALIER_IN_PASSED : ESPALIER_IN_CLEAR;

  {
    struct packet inner = {};

    parsed = parse_inner(skb, p, &inner, &encapsulated);
    if (!encapsulated) return pass(skb, INCOMING, counter);
    if (parsed == PARSED_MALFORMED) return drop(skb, INCOMING, ESPALIER_DROP_MALFORMED, p, d);
    if (parsed == PARSED_NOT_IP) return pass(skb, INCOMING, ESPALIER_IN_EXEMPT_ENCAP);
    if (!decide(set, &inner, d)) return drop(skb, INCOMING, ESPALIER_DROP_LOOKUP, &inner, d);
    if (is_here(&d->source)) return drop(skb, INCOMING, ESPALIER_DROP_SPOOFED, &inner, d);
    if (d->verdict >= ESPALIER_REQUIRE) return drop(skb, INCOMING, ESPALIER_DROP_GUARD, &inner, d);
  }
  return pass(skb, INCOMING, ESPALIER_IN_EXEMPT_ENCAP);
}

static __always_inline int incoming(struct __sk_buff *skb, int ethernet) {
  struct packet p = {};
  struct decision d = {};
  __u32 set = active_set();
  int parsed;

  if (!set) return pass(skb, INCOMING, ESPALIER_UNPROGRAMMED);
  parsed = ethernet ? parse_ethernet(skb, 0, &p) : parse_bare(skb, 0, &p);
  if (parsed == PARSED_NOT_IP) return pass(skb, INCOMING, ESPALIER_IN_EXEMPT_NON_IP);
  if (parsed == PARSED_MALFORMED) return drop(skb, INCOMING, ESPALIER_DROP_MALFORMED, &p, &d);
  return incoming_ip(skb, set, &p, &d);
}

/* ICMP errors tell of a packet; a router on the way, or the datapath itself, may send one from its own address. */
static __always_inline int is_icmp_error(struct __sk_buff *skb, const struct packet *p) {
  __u8 type;

  if (p->later_fragment || bpf_skb_load_bytes(skb, p->l4, &type, sizeof(type))) return 0;
  if (p->family == 4 && p->protocol == IPPROTO_ICMP) return type == 3 || type == 11 || type == 12;
  return p->family == 6 && p->protocol == IPPROTO_ICMPV6 && type < 128; /* RFC 4443, section 2.1 */
}

SEC("tc")
int leaving_ethernet(struct __sk_buff *skb) { return leaving(skb, 1); }

SEC("tc")
int leaving_bare(struct __sk_buff *skb) { return leaving(skb, 0); }

SEC("tc")
int incoming_ethernet(struct __sk_buff *skb) { return incoming(skb, 1); }

SEC("tc")
int incoming_bare(struct __sk_buff *skb) { return incoming(skb, 0); }

SEC("tc")
int from_datapath(struct __sk_buff *skb) {
  struct packet p = {};
  struct decision d = {};
  __u32 set = active_set();
  int parsed, elsewhere, here;

  if (!set) return pass(skb, INCOMING, ESPALIER_UNPROGRAMMED);
  parsed = parse_bare(skb, 0, &p);
  if (parsed != PARSED_IP) return drop(skb, INCOMING, ESPALIER_DROP_MALFORMED, &p, &d);
  if (!decide(set, &p, &d)) return drop(skb, INCOMING, ESPALIER_DROP_LOOKUP, &p, &d);
  here = is_here(&d.destination) || is_host(&d.destination);
  elsewhere = d.source.node_id && !is_here(&d.source) && !is_host(&d.source);
  if (!here || (!elsewhere && !is_icmp_error(skb, &p))) return drop(skb, INCOMING, ESPALIER_DROP_DATAPATH, &p, &d);
  return pass(skb, INCOMING, ESPALIER_DECRYPTED);
}

/* Apache-2.0 OR GPL-2.0-only: the kernel asks for the latter. */
char _license[] SEC("license") = "GPL";
