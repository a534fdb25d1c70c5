#include "controller/distribute/distributor.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace espalier::distribute {
namespace {

constexpr size_t kMaxText = 512;  // of what an agent says of itself, or of its reason to refuse

std::string RandomName() {
  std::array<char, 8> octets{};
  RAND_bytes(reinterpret_cast<uint8_t*>(octets.data()), octets.size());
  return absl::BytesToHexString(absl::string_view(octets.data(), octets.size()));
}

// Agents' words are shown to people: bounded, and no control characters.
std::string Shown(absl::string_view text) { return absl::CHexEscape(text.substr(0, kMaxText)); }

}  // namespace

Distributor::Distributor(DistributorEvents events) : events_(std::move(events)), epoch_(RandomName()) {}

void Distributor::Advance(Node& node, absl::Time now, Work* work) {
  if (!node.session.connected()) return;
  if (std::optional<Shipment> shipment = node.session.Next(now)) {
    work->sends.push_back({node.stream, *std::move(shipment)});
  }
  uint64_t revision = mesh_->stages_revision();
  if (node.session.in_sync() && !(node.told_synced && node.synced_revision == revision)) {
    node.told_synced = true;
    node.synced_revision = revision;
    events_.synced(node.mesh.uid, revision);
  }
}

void Distributor::Drop(Node& node, absl::Status why, absl::Time now, Work* work) {
  if (!node.session.connected()) return;
  node.session.Disconnect();
  node.told_synced = false;
  node.about.since = now;
  if (node.stream != nullptr) work->closes.push_back({std::exchange(node.stream, nullptr), std::move(why)});
  node.stream_id = 0;
  events_.disconnected(node.mesh.uid);
}

void Distributor::Do(Work work) {
  for (Work::Close& close : work.closes) close.stream->Close(std::move(close.why));
  for (const Work::Send& send : work.sends) {
    compile::ViewDelta delta = differ_.Diff(send.shipment.from, send.shipment.to);
    v1::WatchResponse message;
    message.set_nonce(RandomName());
    message.set_epoch(epoch_);
    message.set_version(send.shipment.version);
    message.set_full(send.shipment.full);
    message.mutable_changed()->Reserve(static_cast<int>(delta.changed.size()));
    for (const compile::ResourcePtr& resource : delta.changed) *message.add_changed() = *resource;
    for (std::string& key : delta.removed) message.add_removed(std::move(key));
    size_t size = message.ByteSizeLong();
    send.stream->Send(std::move(message));
    absl::MutexLock lock(&mutex_);
    ++(send.shipment.full ? counters_.full_sent : counters_.deltas_sent);
    counters_.bytes_sent += size;
  }
}

void Distributor::Publish(std::shared_ptr<const compile::CompiledMesh> mesh, absl::Time now) {
  Work work;
  {
    absl::MutexLock lock(&mutex_);
    mesh_ = std::move(mesh);
    ++version_;
    std::map<std::string, const compile::MeshNode*> wanted;
    for (const auto& [name, node] : mesh_->nodes()) wanted[node.uid] = &node;
    for (auto it = nodes_.begin(); it != nodes_.end();) {
      if (wanted.contains(it->first)) {
        ++it;
        continue;
      }
      Drop(it->second, absl::PermissionDeniedError("the node is no longer in the mesh"), now, &work);
      it = nodes_.erase(it);
    }
    for (const auto& [uid, mesh_node] : wanted) {
      Node& node = nodes_[uid];
      node.mesh = *mesh_node;
      absl::StatusOr<compile::NodeView> view = mesh_->View(mesh_node->name);
      if (!view.ok()) continue;
      node.session.Publish(*view, version_);
      Advance(node, now, &work);
    }
  }
  Do(std::move(work));
}

absl::StatusOr<compile::MeshNode> Distributor::FindByName(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  if (mesh_ != nullptr) {
    if (auto it = mesh_->nodes().find(name); it != mesh_->nodes().end()) return it->second;
  }
  return absl::NotFoundError("no such node in the mesh");
}

absl::StatusOr<compile::MeshNode> Distributor::FindByUid(const std::string& uid) const {
  absl::MutexLock lock(&mutex_);
  if (auto it = nodes_.find(uid); it != nodes_.end()) return it->second.mesh;
  return absl::NotFoundError("no such node in the mesh");
}

absl::StatusOr<uint64_t> Distributor::Connect(const x509::NodeProof& proof, const std::string& address,
                                              const v1::WatchRequest::Hello& hello, std::shared_ptr<AgentStream> stream,
                                              absl::Time now) {
  Work work;
  uint64_t stream_id = 0;
  {
    absl::MutexLock lock(&mutex_);
    auto it = nodes_.find(proof.uid);
    if (it == nodes_.end()) return absl::NotFoundError("no such node in the mesh");
    Node& node = it->second;
    if (node.stream != nullptr) {
      // No `disconnected`: the node goes on, on another stream.
      work.closes.push_back({std::exchange(node.stream, nullptr), absl::AbortedError("a newer stream took over")});
    }
    stream_id = node.stream_id = next_stream_id_++;
    node.stream = std::move(stream);
    node.told_synced = false;
    node.session.Connect(hello.resume_epoch() == epoch_ ? hello.resume_version() : 0);
    node.about.since = now;
    node.about.agent_version = Shown(hello.agent_version());
    node.about.datapath = Shown(hello.datapath());
    node.about.address = address;
    node.about.facts = {hello.boot_id(), hello.mlkem()};
    node.about.certificate_serial = proof.serial;
    node.about.certificate_not_after = proof.not_after;
    ++counters_.connects;
    if (node.session.acked_version() != 0) ++counters_.resumed;
    events_.connected(proof.uid, node.about.facts);
    Advance(node, now, &work);
  }
  Do(std::move(work));
  return stream_id;
}

Distributor::Node* Distributor::Find(uint64_t stream_id, const std::string& uid) {
  auto it = nodes_.find(uid);
  return it != nodes_.end() && it->second.stream_id == stream_id ? &it->second : nullptr;
}

void Distributor::OnAnswer(uint64_t stream_id, const std::string& uid, const v1::WatchRequest::Ack& ack,
                           absl::Time now) {
  Work work;
  {
    absl::MutexLock lock(&mutex_);
    Node* node = Find(stream_id, uid);
    if (node == nullptr) return;
    std::string before = node->session.refusal();
    switch (node->session.OnAnswer(ack.version(), Shown(ack.error()), now)) {
      case NodeSession::Answer::kAcknowledged:
        ++counters_.acks;
        break;
      case NodeSession::Answer::kRefused:
        ++counters_.nacks;
        if (node->session.refusal() != before) {
          LOG(WARNING) << "view refused by its node"
                       << " node=" << node->mesh.name << " version=" << absl::StrCat(ack.version()) << " reason=\""
                       << node->session.refusal() << "\"";
        }
        break;
      case NodeSession::Answer::kStray:
        ++counters_.stray_answers;
        return;
    }
    Advance(*node, now, &work);
  }
  Do(std::move(work));
}

void Distributor::OnStatus(uint64_t stream_id, const std::string& uid, const v1::WatchRequest::Status& status) {
  absl::MutexLock lock(&mutex_);
  Node* node = Find(stream_id, uid);
  if (node == nullptr) return;
  node->about.peers_wanted = status.peers_wanted();
  node->about.peers_up = status.peers_up();
  if (!status.datapath().empty()) node->about.datapath = Shown(status.datapath());
}

void Distributor::Disconnect(uint64_t stream_id, const std::string& uid, absl::Time now) {
  Work work;
  {
    absl::MutexLock lock(&mutex_);
    Node* node = Find(stream_id, uid);
    if (node == nullptr) return;  // another stream took over, or the node is gone
    node->stream = nullptr;
    Drop(*node, absl::OkStatus(), now, &work);
  }
  Do(std::move(work));
}

void Distributor::Sweep(const std::vector<std::string>& revoked, absl::Time now) {
  Work work;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [uid, node] : nodes_) {
      if (!node.session.connected()) continue;
      if (now >= node.about.certificate_not_after) {
        Drop(node, absl::UnauthenticatedError("the certificate has expired"), now, &work);
      } else if (std::binary_search(revoked.begin(), revoked.end(), node.about.certificate_serial)) {
        Drop(node, absl::PermissionDeniedError("the certificate is revoked"), now, &work);
      } else if (now >= node.session.waiting_since() + kAnswerTimeout) {
        ++counters_.stalled;
        Drop(node, absl::DeadlineExceededError("a delta was not answered in time"), now, &work);
      } else {
        Advance(node, now, &work);
      }
    }
  }
  Do(std::move(work));
}

void Distributor::CloseAll(absl::Status why, absl::Time now) {
  Work work;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [uid, node] : nodes_) Drop(node, why, now, &work);
  }
  Do(std::move(work));
}

std::vector<NodeReport> Distributor::Report() const {
  std::vector<NodeReport> out;
  absl::MutexLock lock(&mutex_);
  for (const auto& [uid, node] : nodes_) {
    NodeReport report = node.about;
    report.name = node.mesh.name;
    report.uid = uid;
    report.id = node.mesh.id;
    report.pods = node.mesh.pods;
    report.connected = node.session.connected();
    report.version = node.session.version();
    report.acked_version = node.session.acked_version();
    report.in_sync = node.session.in_sync();
    report.stages_revision = node.synced_revision;
    report.refusal = node.session.refusal();
    out.push_back(std::move(report));
  }
  std::sort(out.begin(), out.end(), [](const NodeReport& a, const NodeReport& b) { return a.name < b.name; });
  return out;
}

DistributorCounters Distributor::counters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

uint64_t Distributor::version() const {
  absl::MutexLock lock(&mutex_);
  return version_;
}

}  // namespace espalier::distribute
