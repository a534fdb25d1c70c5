/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The maps. All are pinned by name. Those that hold policy exist twice: the agent fills the pair that is not in force
 * and then switches `active` with one write, so a packet sees the old policy or the new one, never a mixture.
 */
#ifndef ESPALIER_BPF_MAPS_H_
#define ESPALIER_BPF_MAPS_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "espalier_shared.h"

#define ESPALIER_TRIE(map, key_type, value_type, size) \
  struct {                                             \
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);               \
    __uint(map_flags, BPF_F_NO_PREALLOC);              \
    __uint(max_entries, size);                         \
    __type(key, key_type);                             \
    __type(value, value_type);                         \
    __uint(pinning, LIBBPF_PIN_BY_NAME);               \
  } map SEC(".maps")

#define ESPALIER_HASH(map, key_type, value_type, map_type, flags, size) \
  struct {                                                              \
    __uint(type, map_type);                                             \
    __uint(map_flags, flags);                                           \
    __uint(max_entries, size);                                          \
    __type(key, key_type);                                              \
    __type(value, value_type);                                          \
    __uint(pinning, LIBBPF_PIN_BY_NAME);                                \
  } map SEC(".maps")

#define ESPALIER_ARRAY(map, value_type, map_type, size) \
  struct {                                              \
    __uint(type, map_type);                             \
    __uint(max_entries, size);                          \
    __type(key, __u32);                                 \
    __type(value, value_type);                          \
    __uint(pinning, LIBBPF_PIN_BY_NAME);                \
  } map SEC(".maps")

ESPALIER_HASH(hosts_1, struct espalier_host_key, struct espalier_whois, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1 << 19);
ESPALIER_HASH(hosts_2, struct espalier_host_key, struct espalier_whois, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1 << 19);
ESPALIER_TRIE(ipcache4_1, struct espalier_ip4_key, struct espalier_whois, 1 << 20);
ESPALIER_TRIE(ipcache4_2, struct espalier_ip4_key, struct espalier_whois, 1 << 20);
ESPALIER_TRIE(ipcache6_1, struct espalier_ip6_key, struct espalier_whois, 1 << 20);
ESPALIER_TRIE(ipcache6_2, struct espalier_ip6_key, struct espalier_whois, 1 << 20);
ESPALIER_HASH(pairs_1, struct espalier_pair_key, struct espalier_pair, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1 << 18);
ESPALIER_HASH(pairs_2, struct espalier_pair_key, struct espalier_pair, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1 << 18);
ESPALIER_TRIE(ports_1, struct espalier_port_key, struct espalier_port, 1 << 20);
ESPALIER_TRIE(ports_2, struct espalier_port_key, struct espalier_port, 1 << 20);
ESPALIER_ARRAY(active, __u32, BPF_MAP_TYPE_ARRAY, 1);

ESPALIER_ARRAY(settings, struct espalier_settings, BPF_MAP_TYPE_ARRAY, 1);
ESPALIER_HASH(tunnels, __u32, struct espalier_tunnel, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1 << 16);
/* Nodes for which a Prefer packet left in the clear; the agent empties it. When it is full nothing is lost but time. */
ESPALIER_HASH(wanted, __u32, __u32, BPF_MAP_TYPE_HASH, 0, 4096);

ESPALIER_ARRAY(counters, struct espalier_count, BPF_MAP_TYPE_PERCPU_ARRAY, ESPALIER_COUNTER_COUNT);
ESPALIER_HASH(event_times, struct espalier_event_key, __u64, BPF_MAP_TYPE_LRU_HASH, 0, 4096);

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 128 * 1024);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

#endif /* ESPALIER_BPF_MAPS_H_ */
