// How a snapshot is made:
//   1. Every prefix that anything is known of is listed: nodes, pods, pod CIDRs, mesh CIDRs, the world, and the CIDRs
//   of
//      rules and exemptions.
//   2. In order of prefixes each takes what it lacks from the one around it: who it is, and the CIDRs it lies in.
//   3. Addresses of one identity in the same CIDRs are a class, and a class has one identity in the maps (identity.h).
//   4. Classes that no policy can tell apart share a signature; each pair of signatures is evaluated once.
//   5. Rows are written for every pair of identities of which one is this node's.
#include "agent/policy/snapshot.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/policy/address_table.h"
#include "agent/policy/evaluate.h"
#include "agent/policy/identity.h"

namespace espalier::policy {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// What is known of one prefix. Several facts of one prefix are merged: the lowest rank says who it is.
enum Rank { kNodeAddress, kPod, kControllerAddress, kPodCidr, kMeshCidr, kEverything, kCidrOnly };

struct Fact {
  IpPrefix prefix;
  Rank rank;
  Whois who;
  uint32_t cidr = kNone;  // of kCidrOnly: index in Evaluator::cidrs()
};

absl::Status InResource(absl::string_view kind, absl::string_view name, absl::string_view field,
                        const absl::Status& status) {
  const absl::string_view slash = name.empty() ? "" : "/";
  return absl::InvalidArgumentError(absl::StrCat(kind, slash, name, ": ", field, ": ", status.message()));
}

IpPrefix Whole(const IpAddress& a) { return IpPrefix(a, a.bits()); }

absl::StatusOr<std::vector<Fact>> ListFacts(const View& view, const Evaluator& evaluator) {
  std::vector<Fact> facts;
  facts.reserve(view.addresses.size() + 4 * view.nodes.size() + 16);
  const uint32_t self = view.mesh.self_node_id();
  for (const char* everything : {"0.0.0.0/0", "::/0"}) {
    facts.push_back({*IpPrefix::Parse(everything), kEverything, {kWorld, 0, false}});
  }
  for (const std::string& text : view.mesh.mesh_cidrs()) {
    auto prefix = IpPrefix::Parse(text);
    if (!prefix.ok()) return InResource("mesh", "", "mesh_cidrs", prefix.status());
    facts.push_back({*prefix, kMeshCidr, {kUnknown, 0, false}});
  }
  for (const std::string& text : view.mesh.controller_addresses()) {
    auto address = ControllerAddress(text);
    if (!address.ok()) return InResource("mesh", "", "controller_addresses", address.status());
    facts.push_back({Whole(*address), kControllerAddress, {kController, 0, false}});
  }
  for (const auto& [id, node] : view.nodes) {
    for (const std::string& text : node.addresses()) {
      auto address = IpAddress::Parse(text);
      if (!address.ok()) return InResource("node", absl::StrCat(id), "addresses", address.status());
      facts.push_back({Whole(*address), kNodeAddress, {id == self ? kHost : kRemoteNode, id, false}});
    }
    for (const std::string& text : node.pod_cidrs()) {
      auto prefix = IpPrefix::Parse(text);
      if (!prefix.ok()) return InResource("node", absl::StrCat(id), "pod_cidrs", prefix.status());
      facts.push_back({*prefix, kPodCidr, {kUnknown, id, false}});
    }
  }
  for (const auto& [ip, pod] : view.addresses) {
    auto address = IpAddress::Parse(ip);
    if (!address.ok()) return InResource("address", ip, "ip", address.status());
    if (pod.identity() < kFirstLabelIdentity || pod.identity() >= kFirstLocalIdentity) {
      return absl::InvalidArgumentError(
          absl::StrCat("address/", ip, ": identity: ", pod.identity(), " is not a label identity"));
    }
    facts.push_back({Whole(*address), kPod, {pod.identity(), pod.node_id(), self != 0 && pod.node_id() == self}});
  }
  for (uint32_t i = 0; i < evaluator.cidrs().size(); ++i) {
    facts.push_back({evaluator.cidrs()[i], kCidrOnly, {}, i});
  }
  std::stable_sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) {
    return a.prefix != b.prefix ? a.prefix < b.prefix : a.rank < b.rank;
  });
  return facts;
}

// Vectors of numbers, each once, by index. 0 is the empty one.
class SetPool {
 public:
  SetPool() { Intern({}); }
  uint32_t Intern(std::vector<uint32_t> set) {
    const auto [it, is_new] = index_.try_emplace(set, static_cast<uint32_t>(sets_.size()));
    if (is_new) sets_.push_back(std::move(set));
    return it->second;
  }
  const std::vector<uint32_t>& operator[](uint32_t i) const { return sets_[i]; }

 private:
  std::vector<std::vector<uint32_t>> sets_;
  std::map<std::vector<uint32_t>, uint32_t> index_;
};

// [first, last] as prefixes of 16-bit ports.
template <typename F>
void ForEachPortPrefix(uint32_t first, uint32_t last, F&& f) {
  while (first <= last) {
    int bits = 16;
    while (bits > 0) {
      const uint32_t size = 1u << (16 - (bits - 1));
      if (first % size != 0 || first + size - 1 > last) break;
      --bits;
    }
    f(static_cast<uint16_t>(first), static_cast<uint8_t>(bits));
    first += 1u << (16 - bits);
  }
}

struct Class {
  uint32_t base, cidr_set;
  uint32_t identity = 0;
  uint32_t signature = kNone;  // kNone: no policy can match
  uint32_t local = kNone;      // index of the signature among the local ones, if a pair with this class has rows
};

class SnapshotImpl final : public Snapshot {
 public:
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Make(const View& view);

  uint64_t version() const override { return version_; }
  uint32_t self() const override { return self_; }
  Whois WhoIs(const IpAddress& address) const override {
    const Entry* e = Find(address);
    return e == nullptr ? Whois{} : e->who;
  }
  Decision Decide(const Flow& flow) const override;
  Decision DecideFragment(const IpAddress& source, const IpAddress& destination) const override;
  const std::vector<IpcacheRow>& ipcache() const override { return ipcache_; }
  const std::vector<PolicyRow>& rows() const override { return rows_; }
  const std::vector<Origin>& origins() const override { return origins_; }
  uint32_t BaseIdentity(uint32_t identity) const override {
    const auto it = bases_.find(identity);
    if (it != bases_.end()) return it->second;
    return identity < kFirstLocalIdentity ? identity : ReservedOf(identity);
  }

 private:
  struct Entry {  // beside the ipcache's row
    Whois who;
    uint32_t signature, local;
  };
  struct Pair {
    const PairAnswers *forth, *back;  // null: no policy
  };

  const Entry* Find(const IpAddress& address) const {
    const uint32_t row = table_.Find(address);
    return row == AddressTable::kNone ? nullptr : &entries_[row];
  }
  // Answers with `source` as the client, and with `destination` as the client.
  Pair AnswersFor(const Entry& source, const Entry& destination) const {
    if (source.signature == kNone || destination.signature == kNone) return {};
    if (source.local != kNone) {
      const size_t at = 2 * (size_t{source.local} * signature_count_ + destination.signature);
      return {&answers_[matrix_[at]], &answers_[matrix_[at + 1]]};
    }
    if (destination.local == kNone) return {};
    const size_t at = 2 * (size_t{destination.local} * signature_count_ + source.signature);
    return {&answers_[matrix_[at + 1]], &answers_[matrix_[at]]};
  }

  void Classify(const std::vector<Fact>& facts, const Evaluator& evaluator);
  void NameClasses(std::vector<Class>* classes);
  void EvaluatePairs(const Evaluator& evaluator, const SetPool& sets, std::vector<Class>* classes);
  void WriteRows(const std::vector<Class>& classes);
  void AppendRows(uint32_t client, uint32_t server, const PairAnswers& answers);

  uint64_t version_ = 0;
  uint32_t self_ = 0;
  std::vector<IpcacheRow> ipcache_;
  std::vector<Entry> entries_;
  AddressTable table_;
  std::vector<PairAnswers> answers_;
  std::vector<uint32_t> matrix_;  // [local signature][signature][0: local is the client, 1: the server] -> answers_
  size_t signature_count_ = 0;
  std::vector<PolicyRow> rows_;
  std::vector<Origin> origins_;
  std::unordered_map<uint32_t, uint32_t> bases_;  // of local identities made from pods'
};

// Steps 2 and 3, then the rest for the classes found.
void SnapshotImpl::Classify(const std::vector<Fact>& facts, const Evaluator& evaluator) {
  struct Open {
    IpPrefix prefix;
    Whois who;
    uint32_t cidr_set;
  };
  SetPool sets;
  std::vector<Open> open;
  std::vector<Class> classes;
  std::vector<uint32_t> class_of_row;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> class_index;
  for (size_t i = 0; i < facts.size();) {
    const IpPrefix& prefix = facts[i].prefix;
    while (!open.empty() && !open.back().prefix.Contains(prefix)) open.pop_back();
    Open here{prefix, {}, 0};
    if (!open.empty()) {
      here.who = open.back().who;
      here.cidr_set = open.back().cidr_set;
    }
    if (facts[i].rank != kCidrOnly) here.who = facts[i].who;
    std::vector<uint32_t> cidrs = sets[here.cidr_set];
    const size_t inherited = cidrs.size();
    for (; i < facts.size() && facts[i].prefix == here.prefix; ++i) {
      if (facts[i].cidr != kNone) cidrs.push_back(facts[i].cidr);
    }
    if (cidrs.size() != inherited) {
      std::sort(cidrs.begin(), cidrs.end());
      here.cidr_set = sets.Intern(cidrs);
    }
    if (prefix.length() < prefix.address().bits()) open.push_back(here);

    // Of the CIDRs only those count that can change a verdict: exemptions for what is no pod but a rule's peer.
    const size_t peers = std::lower_bound(cidrs.begin(), cidrs.end(), evaluator.peer_cidr_count()) - cidrs.begin();
    if (InMesh(here.who.identity) || peers == 0) cidrs.resize(peers);
    const std::pair key(here.who.identity, sets.Intern(std::move(cidrs)));
    const auto [it, is_new] = class_index.try_emplace(key, static_cast<uint32_t>(classes.size()));
    if (is_new) classes.push_back({.base = key.first, .cidr_set = key.second});
    if (here.who.local || ReservedOf(key.first) == kUnknown) classes[it->second].local = 0;
    ipcache_.push_back({here.prefix, here.who});
    class_of_row.push_back(it->second);
  }
  NameClasses(&classes);
  EvaluatePairs(evaluator, sets, &classes);
  entries_.reserve(ipcache_.size());
  for (size_t i = 0; i < ipcache_.size(); ++i) {
    const Class& c = classes[class_of_row[i]];
    ipcache_[i].who.identity = c.identity;
    entries_.push_back({ipcache_[i].who, c.signature, c.local});
  }
  ipcache_.shrink_to_fit();
  table_ = AddressTable(ipcache_);
  WriteRows(classes);
}

// The class in the fewest CIDRs keeps its identity's number, so most pods do.
void SnapshotImpl::NameClasses(std::vector<Class>* classes) {
  std::vector<Class*> order;
  for (Class& c : *classes) order.push_back(&c);
  std::sort(order.begin(), order.end(), [](const Class* a, const Class* b) {
    return std::pair(a->base, a->cidr_set) < std::pair(b->base, b->cidr_set);
  });
  uint32_t next = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    Class& c = *order[i];
    const bool first = i == 0 || order[i - 1]->base != c.base;
    const bool is_pod = ReservedOf(c.base) == 0;
    if (c.cidr_set == 0 || (is_pod && first)) {
      c.identity = c.base;
      continue;
    }
    c.identity = LocalIdentity(ReservedOf(c.base), next++);
    if (is_pod) bases_[c.identity] = c.base;
  }
}

void SnapshotImpl::EvaluatePairs(const Evaluator& evaluator, const SetPool& sets, std::vector<Class>* classes) {
  std::map<Signature, uint32_t> index;
  std::vector<const Signature*> signatures;
  std::vector<uint32_t> locals;  // signatures
  std::unordered_map<uint32_t, uint32_t> local_index;
  for (Class& c : *classes) {
    const bool is_local = c.local != kNone;
    c.local = kNone;
    Signature s = evaluator.SignatureOf(c.base, sets[c.cidr_set]);
    if (s.empty()) continue;
    const auto [it, is_new] = index.try_emplace(std::move(s), static_cast<uint32_t>(signatures.size()));
    if (is_new) signatures.push_back(&it->first);
    c.signature = it->second;
    if (!is_local) continue;
    const auto [local, is_new_local] = local_index.try_emplace(c.signature, static_cast<uint32_t>(locals.size()));
    if (is_new_local) locals.push_back(c.signature);
    c.local = local->second;
  }
  signature_count_ = signatures.size();
  matrix_.resize(2 * locals.size() * signature_count_);
  // Most pairs have one of few answers: keep each once.
  std::unordered_map<std::string, uint32_t> known;
  const auto keep = [&](PairAnswers answers) {
    std::string key;
    const auto add = [&key](const Answer& a) {
      absl::StrAppend(&key, static_cast<int>(a.verdict), ",", a.origin, ";");
    };
    add(answers.any);
    for (const auto& [protocol, answer] : answers.protocols) {
      absl::StrAppend(&key, "p", protocol, ":");
      add(answer);
    }
    for (const auto& s : answers.segments) {
      absl::StrAppend(&key, "s", s.protocol, ":", s.first, "-", s.last, ":");
      add(s.answer);
    }
    const auto [it, is_new] = known.try_emplace(std::move(key), static_cast<uint32_t>(answers_.size()));
    if (is_new) answers_.push_back(std::move(answers));
    return it->second;
  };
  for (size_t l = 0; l < locals.size(); ++l) {
    const Signature& local = *signatures[locals[l]];
    for (size_t s = 0; s < signature_count_; ++s) {
      const Signature& other = *signatures[s];
      const size_t at = 2 * (l * signature_count_ + s);
      matrix_[at] = keep(evaluator.Evaluate(local, other));
      // Without exemptions it doesn't matter which end is the client: the port is the server's in either case.
      const bool symmetric = local.exempt_by.empty() && other.exempt_by.empty();
      matrix_[at + 1] = symmetric ? matrix_[at] : keep(evaluator.Evaluate(other, local));
    }
  }
}

void SnapshotImpl::AppendRows(uint32_t client, uint32_t server, const PairAnswers& answers) {
  const auto append = [&](bool any, uint8_t protocol, uint16_t port, uint8_t bits, const Answer& a) {
    rows_.push_back({.src = client,
                     .dst = server,
                     .any_protocol = any,
                     .protocol = protocol,
                     .port = port,
                     .port_bits = bits,
                     .verdict = a.verdict,
                     .origin = a.origin});
  };
  if (answers.any != Answer{}) append(true, 0, 0, 0, answers.any);
  for (const auto& [protocol, answer] : answers.protocols) append(false, protocol, 0, 0, answer);
  for (const PairAnswers::Segment& s : answers.segments) {
    ForEachPortPrefix(s.first, s.last,
                      [&](uint16_t port, uint8_t bits) { append(false, s.protocol, port, bits, s.answer); });
  }
}

void SnapshotImpl::WriteRows(const std::vector<Class>& classes) {
  for (const Class& local : classes) {
    if (local.local == kNone) continue;
    for (const Class& other : classes) {
      if (other.signature == kNone) continue;
      const size_t at = 2 * (size_t{local.local} * signature_count_ + other.signature);
      AppendRows(local.identity, other.identity, answers_[matrix_[at]]);
      if (other.local == kNone) AppendRows(other.identity, local.identity, answers_[matrix_[at + 1]]);
    }
  }
  rows_.shrink_to_fit();
}

absl::StatusOr<std::shared_ptr<const Snapshot>> SnapshotImpl::Make(const View& view) {
  auto evaluator = Evaluator::Create(view);
  if (!evaluator.ok()) return evaluator.status();
  auto facts = ListFacts(view, *evaluator);
  if (!facts.ok()) return facts.status();
  auto snapshot = std::make_shared<SnapshotImpl>();
  snapshot->version_ = view.version;
  snapshot->self_ = view.mesh.self_node_id();
  snapshot->origins_ = evaluator->origins();
  snapshot->Classify(*facts, *evaluator);
  return snapshot;
}

Decision SnapshotImpl::Decide(const Flow& flow) const {
  Decision d;
  const Entry* source = Find(flow.source);
  const Entry* destination = Find(flow.destination);
  if (source != nullptr) d.source = source->who;
  if (destination != nullptr) d.destination = destination->who;
  if (source == nullptr || destination == nullptr || (d.source.local && d.destination.local)) return d;
  const Pair pair = AnswersFor(*source, *destination);
  if (pair.forth == nullptr) return d;
  const PairAnswers::Found forth = pair.forth->Lookup(flow.protocol, flow.destination_port);
  const PairAnswers::Found back = pair.back->Lookup(flow.protocol, flow.source_port);
  const PairAnswers::Found* best = &forth;
  if (forth.has_port != back.has_port) {
    if (back.has_port) best = &back;
  } else if (back.answer.verdict > forth.answer.verdict ||
             (back.answer.verdict == forth.answer.verdict && forth.answer.origin < 0)) {
    best = &back;
  }
  d.verdict = best->answer.verdict;
  d.origin = best->answer.origin;
  return d;
}

Decision SnapshotImpl::DecideFragment(const IpAddress& source_address, const IpAddress& destination_address) const {
  Decision d;
  const Entry* source = Find(source_address);
  const Entry* destination = Find(destination_address);
  if (source != nullptr) d.source = source->who;
  if (destination != nullptr) d.destination = destination->who;
  if (source == nullptr || destination == nullptr || (d.source.local && d.destination.local)) return d;
  const Pair pair = AnswersFor(*source, *destination);
  if (pair.forth != nullptr) d.verdict = std::max(pair.forth->strictest, pair.back->strictest);
  return d;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Build(const View& view) { return SnapshotImpl::Make(view); }

}  // namespace espalier::policy
