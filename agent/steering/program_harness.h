// Runs the programs on packets by BPF_PROG_TEST_RUN, with maps of their own that are not pinned. For tests; needs root.
#ifndef ESPALIER_AGENT_STEERING_PROGRAM_HARNESS_H_
#define ESPALIER_AGENT_STEERING_PROGRAM_HARNESS_H_

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/steering/bpf_map.h"
#include "agent/steering/loader.h"
#include "agent/steering/tables.h"
#include "common/bytes.h"

namespace espalier::steering {

inline constexpr int kDatapathIfindex = 1;  // any that exists: nothing is sent in a test run

// A fake policy::Snapshot of rows alone.
class RowsSnapshot : public policy::Snapshot {
 public:
  std::vector<policy::IpcacheRow> ipcache_rows;
  std::vector<policy::PolicyRow> policy_rows;

  uint64_t version() const override { return 1; }
  policy::Whois WhoIs(const IpAddress& address) const override {
    policy::Whois who;
    int best = -1;
    for (const policy::IpcacheRow& row : ipcache_rows) {
      if (row.prefix.Contains(address) && row.prefix.length() > best) who = row.who, best = row.prefix.length();
    }
    return who;
  }
  policy::Decision Decide(const policy::Flow&) const override { return {}; }
  policy::Decision DecideFragment(const IpAddress&, const IpAddress&) const override { return {}; }
  const std::vector<policy::IpcacheRow>& ipcache() const override { return ipcache_rows; }
  const std::vector<policy::PolicyRow>& rows() const override { return policy_rows; }
  const std::vector<policy::Origin>& origins() const override { return origins_; }

 private:
  std::vector<policy::Origin> origins_;
};

class ProgramHarness {
 public:
  static absl::StatusOr<std::unique_ptr<ProgramHarness>> Create() {
    auto loader = Loader::Load("");
    if (!loader.ok()) return loader.status();
    std::unique_ptr<ProgramHarness> h(new ProgramHarness(*std::move(loader)));
    espalier_settings settings = {
        .datapath_ifindex = kDatapathIfindex, .vxlan_ports = {4789, 8472, 0, 0}, .geneve_port = 6081, .reserved = 0};
    absl::Status status =
        BpfMap<uint32_t, espalier_settings>(h->loader_->map("settings"), "settings").Update(0, settings);
    if (!status.ok()) return status;
    return h;
  }

  struct Result {
    int verdict = -2;     // TCX_NEXT, TCX_DROP, TCX_REDIRECT
    std::string counter;  // the one that went up; "" none, "several" more than one
  };

  // What a program says of a packet, and what it counted.
  Result Run(Hook hook, const Bytes& packet) {
    const std::vector<uint64_t> before = Packets();
    Result result{.verdict = Verdict(hook, packet), .counter = ""};
    const std::vector<uint64_t> after = Packets();
    for (size_t i = 0; i < after.size(); ++i) {
      if (after[i] == before[i]) continue;
      result.counter = result.counter.empty() && after[i] == before[i] + 1 ? kNames[i] : "several";
    }
    return result;
  }

  // The verdict alone; -2: the kernel refused to run it.
  int Verdict(Hook hook, const Bytes& packet) {
    // A test run takes an Ethernet header (14 octets) off and puts it back: pad what is shorter.
    Bytes out(packet.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.data(),
                .data_size_in = static_cast<__u32>(packet.size()), .data_size_out = static_cast<__u32>(out.size()),
                .repeat = 1);
    if (bpf_prog_test_run_opts(loader_->program(hook), &options) != 0) return -2;
    return static_cast<int>(options.retval);
  }

  Loader& loader() { return *loader_; }
  Tables& tables() { return tables_; }

 private:
  static constexpr const char* kNames[] = {
#define X(symbol, number, name, help) name,
      ESPALIER_COUNTERS(X)
#undef X
  };

  explicit ProgramHarness(std::unique_ptr<Loader> loader) : loader_(std::move(loader)), tables_(loader_.get()) {}

  std::vector<uint64_t> Packets() const {
    std::vector<uint64_t> sums;
    std::vector<espalier_count> each(static_cast<size_t>(libbpf_num_possible_cpus()));
    for (uint32_t i = 0; i < ESPALIER_COUNTER_COUNT; ++i) {
      bpf_map_lookup_elem(loader_->map("counters"), &i, each.data());
      uint64_t sum = 0;
      for (const espalier_count& c : each) sum += c.packets;
      sums.push_back(sum);
    }
    return sums;
  }

  std::unique_ptr<Loader> loader_;
  Tables tables_;
};

}  // namespace espalier::steering

#endif  // ESPALIER_AGENT_STEERING_PROGRAM_HARNESS_H_
