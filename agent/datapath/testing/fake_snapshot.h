// A policy made by hand: who addresses are, and one verdict for each pair of addresses.
#ifndef ESPALIER_AGENT_DATAPATH_TESTING_FAKE_SNAPSHOT_H_
#define ESPALIER_AGENT_DATAPATH_TESTING_FAKE_SNAPSHOT_H_

#include <map>
#include <utility>
#include <vector>

#include "agent/policy/snapshot.h"

namespace espalier::datapath::testing {

class FakeSnapshot final : public policy::Snapshot {
 public:
  void Add(const IpPrefix& prefix, policy::Whois who) { who_.push_back({prefix, who}); }
  // For flows to this destination, whatever their source. Else the default.
  void SetVerdict(const IpAddress& destination, policy::Verdict v) { verdicts_[destination] = v; }
  void SetDefault(policy::Verdict v) { default_ = v; }

  uint64_t version() const override { return 1; }
  policy::Whois WhoIs(const IpAddress& address) const override {
    const policy::IpcacheRow* best = nullptr;
    for (const policy::IpcacheRow& row : who_) {
      if (row.prefix.Contains(address) && (best == nullptr || row.prefix.length() > best->prefix.length())) best = &row;
    }
    return best != nullptr ? best->who : policy::Whois{};
  }
  policy::Decision Decide(const policy::Flow& flow) const override {
    return DecideFragment(flow.source, flow.destination);
  }
  policy::Decision DecideFragment(const IpAddress& source, const IpAddress& destination) const override {
    auto it = verdicts_.find(destination);
    return {it != verdicts_.end() ? it->second : default_, WhoIs(source), WhoIs(destination), -1};
  }
  const std::vector<policy::IpcacheRow>& ipcache() const override { return who_; }
  const std::vector<policy::PolicyRow>& rows() const override { return rows_; }
  const std::vector<policy::Origin>& origins() const override { return origins_; }

 private:
  std::vector<policy::IpcacheRow> who_;
  std::map<IpAddress, policy::Verdict> verdicts_;
  policy::Verdict default_ = policy::Verdict::kRequire;
  std::vector<policy::PolicyRow> rows_;
  std::vector<policy::Origin> origins_;
};

}  // namespace espalier::datapath::testing

#endif  // ESPALIER_AGENT_DATAPATH_TESTING_FAKE_SNAPSHOT_H_
