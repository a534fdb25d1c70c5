/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * From a frame to a flow. Reads go through bpf_skb_load_bytes: it copes with headers that lie in fragments of the skb.
 *
 * Functions that are not inlined are global, here and in verdict.h and account.h: the verifier then checks each once,
 * for any arguments, instead of along every path that leads to it (loading takes a tenth of the time). So it wants
 * their pointers checked for null.
 */
#ifndef ESPALIER_BPF_PARSE_H_
#define ESPALIER_BPF_PARSE_H_

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

enum parsed {
  PARSED_IP,        /* the packet is filled in */
  PARSED_NOT_IP,    /* neither IPv4 nor IPv6 */
  PARSED_MALFORMED, /* claims to be IP; no addresses can be read */
};

struct packet {
  __u8 source[16]; /* network order; IPv4 in the first four octets, the rest zero */
  __u8 destination[16];
  __u32 l4;          /* offset of what follows the IP headers */
  __u16 source_port; /* host order; 0 without ports */
  __u16 destination_port;
  __u8 family; /* 4, 6; 0 before parsing */
  __u8 protocol;
  __u8 later_fragment; /* not the first: it has no header of layer 4 */
  __u8 truncated;      /* the header of layer 4 is missing, or too many extension headers stand before it */
};

/* The ports of these are in the first four octets. policy::Flow has none for every other protocol. */
static __always_inline int has_ports(__u8 protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
         protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

/* `end` is where the IP packet says that it ends; 0: it doesn't (super-packets beyond 64 KiB). */
static __always_inline void parse_ports(struct __sk_buff *skb, struct packet *p, __u32 end) {
  __be16 ports[2];

  if (p->later_fragment || !has_ports(p->protocol)) return;
  if ((end && p->l4 + sizeof(ports) > end) || bpf_skb_load_bytes(skb, p->l4, ports, sizeof(ports))) {
    p->truncated = 1;
    return;
  }
  p->source_port = bpf_ntohs(ports[0]);
  p->destination_port = bpf_ntohs(ports[1]);
}

struct ipv4_header { /* RFC 791, section 3.1 */
  __u8 version_ihl;
  __u8 tos;
  __be16 total_length;
  __be16 id;
  __be16 fragment;
  __u8 ttl;
  __u8 protocol;
  __be16 checksum;
  __u8 source[4];
  __u8 destination[4];
};

__noinline int parse_ipv4(struct __sk_buff *skb, __u32 at, struct packet *p) {
  struct ipv4_header h;
  __u32 length, header;

  if (!p || bpf_skb_load_bytes(skb, at, &h, sizeof(h))) return PARSED_MALFORMED;
  header = (h.version_ihl & 15) * 4;
  if (h.version_ihl >> 4 != 4 || header < sizeof(h)) return PARSED_MALFORMED;
  length = bpf_ntohs(h.total_length);
  __builtin_memset(p, 0, sizeof(*p));
  __builtin_memcpy(p->source, h.source, 4);
  __builtin_memcpy(p->destination, h.destination, 4);
  p->family = 4;
  p->protocol = h.protocol;
  p->later_fragment = (h.fragment & bpf_htons(0x1fff)) != 0;
  p->l4 = at + header;
  parse_ports(skb, p, length ? at + length : 0);
  return PARSED_IP;
}

struct ipv6_header { /* RFC 8200, section 3 */
  __be32 version_class_flow;
  __be16 payload_length;
  __u8 next;
  __u8 hops;
  __u8 source[16];
  __u8 destination[16];
};

#define MAX_EXTENSION_HEADERS 8

__noinline int parse_ipv6(struct __sk_buff *skb, __u32 at, struct packet *p) {
  struct ipv6_header h;
  __u32 length, end;
  __u8 extension[4]; /* next header, length (or reserved), fragment offset and flags */
  int i;

  if (!p || bpf_skb_load_bytes(skb, at, &h, sizeof(h))) return PARSED_MALFORMED;
  if ((h.version_class_flow & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000)) return PARSED_MALFORMED;
  length = bpf_ntohs(h.payload_length);
  __builtin_memset(p, 0, sizeof(*p));
  __builtin_memcpy(p->source, h.source, 16);
  __builtin_memcpy(p->destination, h.destination, 16);
  p->family = 6;
  p->protocol = h.next;
  p->l4 = at + sizeof(h);
  end = length ? p->l4 + length : 0;            /* 0 also with a jumbo payload (RFC 2675) */
  for (i = 0; i < MAX_EXTENSION_HEADERS; i++) { /* RFC 8200, section 4 */
    __u8 now = p->protocol;

    if (now != IPPROTO_HOPOPTS && now != IPPROTO_ROUTING && now != IPPROTO_DSTOPTS && now != IPPROTO_FRAGMENT) {
      parse_ports(skb, p, end);
      return PARSED_IP;
    }
    if ((end && p->l4 + 8 > end) || bpf_skb_load_bytes(skb, p->l4, extension, sizeof(extension))) break;
    p->protocol = extension[0];
    if (now == IPPROTO_FRAGMENT) {
      p->l4 += 8;
      if (extension[2] || (extension[3] & 0xf8)) {
        p->later_fragment = 1;
        return PARSED_IP;
      }
    } else {
      p->l4 += (extension[1] + 1) * 8;
    }
  }
  p->truncated = 1;
  return PARSED_IP;
}

static __always_inline int parse_network(struct __sk_buff *skb, __u32 at, __be16 type, struct packet *p) {
  if (type == bpf_htons(ETH_P_IP)) return parse_ipv4(skb, at, p);
  if (type == bpf_htons(ETH_P_IPV6)) return parse_ipv6(skb, at, p);
  return PARSED_NOT_IP;
}

static __always_inline int is_vlan(__be16 type) {
  return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* An Ethernet header at `at`, with at most two VLAN tags. */
__noinline int parse_ethernet(struct __sk_buff *skb, __u32 at, struct packet *p) {
  __be16 type;
  int i;

  at += offsetof(struct ethhdr, h_proto);
  if (!p || bpf_skb_load_bytes(skb, at, &type, sizeof(type))) return PARSED_MALFORMED;
  at += sizeof(type);
  for (i = 0; i < 2 && is_vlan(type); i++) {
    if (bpf_skb_load_bytes(skb, at + 2, &type, sizeof(type))) return PARSED_MALFORMED;
    at += 4;
  }
  if (is_vlan(type)) return PARSED_MALFORMED;
  return parse_network(skb, at, type, p);
}

/* A packet with no link header: its first four bits say which IP it is. */
static __always_inline int parse_bare(struct __sk_buff *skb, __u32 at, struct packet *p) {
  __u8 version;

  if (bpf_skb_load_bytes(skb, at, &version, sizeof(version))) return PARSED_MALFORMED;
  if (version >> 4 == 4) return parse_ipv4(skb, at, p);
  if (version >> 4 == 6) return parse_ipv6(skb, at, p);
  return PARSED_NOT_IP;
}

static __always_inline int is_vxlan_port(const struct espalier_settings *s, __u16 port) {
  return port && (port == s->vxlan_ports[0] || port == s->vxlan_ports[1] || port == s->vxlan_ports[2] ||
                  port == s->vxlan_ports[3]);
}

/* RFC 7348, section 5; with the P flag, its generic extension, which names the protocol. */
__noinline int parse_vxlan(struct __sk_buff *skb, __u32 at, struct packet *p) {
  __u8 header[4];

  if (!p || bpf_skb_load_bytes(skb, at, header, sizeof(header))) return PARSED_MALFORMED;
  if (!(header[0] & 0x08)) return PARSED_NOT_IP; /* no VNI: no VXLAN */
  if (header[0] & 0x04) {
    if (header[3] == 1) return parse_ipv4(skb, at + 8, p);
    if (header[3] == 2) return parse_ipv6(skb, at + 8, p);
  }
  return parse_ethernet(skb, at + 8, p);
}

/* RFC 8926, section 3.4. */
__noinline int parse_geneve(struct __sk_buff *skb, __u32 at, struct packet *p) {
  struct {
    __u8 version_length;
    __u8 flags;
    __be16 type;
  } h;

  if (!p || bpf_skb_load_bytes(skb, at, &h, sizeof(h))) return PARSED_MALFORMED;
  at += 8 + (h.version_length & 63) * 4;
  if (h.type == bpf_htons(0x6558)) return parse_ethernet(skb, at, p);
  return parse_network(skb, at, h.type, p);
}

/* RFC 2784 and RFC 2890; a routing field (RFC 1701) hides where the payload starts. */
__noinline int parse_gre(struct __sk_buff *skb, __u32 at, struct packet *p) {
  struct {
    __u8 flags;
    __u8 version;
    __be16 type;
  } h;

  if (!p || bpf_skb_load_bytes(skb, at, &h, sizeof(h))) return PARSED_MALFORMED;
  if (h.version & 7) return PARSED_NOT_IP; /* PPTP */
  if (h.flags & 0x40) return PARSED_MALFORMED;
  at += 4 + (h.flags & 0x80 ? 4 : 0) + (h.flags & 0x20 ? 4 : 0) + (h.flags & 0x10 ? 4 : 0);
  if (h.type == bpf_htons(0x6558)) return parse_ethernet(skb, at, p);
  return parse_network(skb, at, h.type, p);
}

/*
 * One level inside an encapsulation of the CNI: VXLAN, Geneve, IP in IP, GRE. PARSED_NOT_IP: nothing of IP inside, or
 * no such encapsulation (*encapsulated says which). A later fragment hides what it carries, but is nothing without its
 * first one.
 */
static __always_inline int parse_inner(struct __sk_buff *skb, const struct packet *outer, struct packet *inner,
                                       int *encapsulated) {
  __u32 zero = 0;
  const struct espalier_settings *s;

  *encapsulated = 1;
  if (outer->truncated) return PARSED_MALFORMED;
  if (!outer->later_fragment) {
    if (outer->protocol == IPPROTO_IPIP) return parse_ipv4(skb, outer->l4, inner);
    if (outer->protocol == IPPROTO_IPV6) return parse_ipv6(skb, outer->l4, inner);
    if (outer->protocol == IPPROTO_GRE) return parse_gre(skb, outer->l4, inner);
    s = bpf_map_lookup_elem(&settings, &zero);
    if (s && outer->protocol == IPPROTO_UDP) {
      if (is_vxlan_port(s, outer->destination_port)) return parse_vxlan(skb, outer->l4 + 8, inner);
      if (s->geneve_port && s->geneve_port == outer->destination_port) return parse_geneve(skb, outer->l4 + 8, inner);
    }
  }
  *encapsulated = 0;
  return PARSED_NOT_IP;
}

#endif /* ESPALIER_BPF_PARSE_H_ */
