/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Counting every packet once, and telling the agent of refused ones: at most one a second for each cause and pair. */
#ifndef ESPALIER_BPF_ACCOUNT_H_
#define ESPALIER_BPF_ACCOUNT_H_

#include "maps.h"
#include "parse.h"
#include "verdict.h"

#define EVENT_INTERVAL_NS 1000000000ull

enum direction {
  INCOMING = 0,
  LEAVING = 1,
};

/* How many packets a super-packet is. One that comes out of a TUN doesn't say; its headers are taken for 60 octets. */
static __always_inline __u32 segments(const struct __sk_buff *skb) {
  __u32 size = skb->gso_size;

  if (skb->gso_segs) return skb->gso_segs;
  return size && skb->len > 60 ? (skb->len - 60 + size - 1) / size : 1;
}

static __always_inline void count(struct __sk_buff *skb, enum direction direction, __u32 counter) {
  struct espalier_count *c = bpf_map_lookup_elem(&counters, &counter);

  if (!c) return;
  c->packets += segments(skb);
  /* On its way out wire_len is what the segments will have; on its way in it lacks the link header. */
  c->bytes += direction == LEAVING ? skb->wire_len : skb->len;
}

__noinline int event(struct __sk_buff *skb, enum direction direction, __u32 reason, const struct packet *p,
                     const struct decision *d) {
  struct espalier_event_key key = {.reason = reason, .egress = direction};
  __u64 now = bpf_ktime_get_ns(), *last;
  struct espalier_event *e;

  if (!p || !d) return 0;
  key.source_identity = d->source.identity;
  key.destination_identity = d->destination.identity;
  last = bpf_map_lookup_elem(&event_times, &key);
  if (last && now - *last < EVENT_INTERVAL_NS) return 0;
  bpf_map_update_elem(&event_times, &key, &now, BPF_ANY);
  e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) return 0;
  e->reason = reason;
  e->ifindex = skb->ifindex;
  e->source_identity = d->source.identity;
  e->destination_identity = d->destination.identity;
  e->source_port = p->source_port;
  e->destination_port = p->destination_port;
  e->protocol = p->protocol;
  e->family = p->family;
  e->egress = direction;
  e->reserved = 0;
  __builtin_memcpy(e->source, p->source, sizeof(e->source));
  __builtin_memcpy(e->destination, p->destination, sizeof(e->destination));
  bpf_ringbuf_submit(e, 0);
  return 0;
}

static __always_inline int pass(struct __sk_buff *skb, enum direction direction, __u32 counter) {
  count(skb, direction, counter);
  return TCX_NEXT;
}

static __always_inline int drop(struct __sk_buff *skb, enum direction direction, __u32 counter, const struct packet *p,
                                const struct decision *d) {
  count(skb, direction, counter);
  event(skb, direction, counter, p, d);
  return TCX_DROP;
}

#endif /* ESPALIER_BPF_ACCOUNT_H_ */
