// Every node's session and stream: who is told what, and when.
//
//   control thread                          gRPC's threads (callbacks, any of them)
//   Publish(mesh) ──► sessions ──► Send     Connect, OnAnswer, OnStatus, Disconnect ──► sessions ──► Send
//
// One mutex guards the sessions and is never held while a delta is built or given to gRPC, so one agent's large delta
// keeps nobody else waiting. A stream takes one message at a time (NodeSession sees to it), so what a stalled agent
// holds back is one delta.
#ifndef ESPALIER_CONTROLLER_DISTRIBUTE_DISTRIBUTOR_H_
#define ESPALIER_CONTROLLER_DISTRIBUTE_DISTRIBUTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/x509/chain.h"
#include "controller/compile/compiler.h"
#include "controller/compile/view_diff.h"
#include "controller/distribute/node_session.h"
#include "espalier/v1/control.pb.h"

namespace espalier::distribute {

// An agent's open stream. Methods may be called from any thread, also after the stream has ended, and don't block.
class AgentStream {
 public:
  virtual ~AgentStream() = default;
  virtual void Send(v1::WatchResponse delta) = 0;
  virtual void Close(absl::Status why) = 0;
};

// What the control thread has to know, in the order in which it happened. Called from any thread with the distributor's
// lock held: only put it into a queue.
struct DistributorEvents {
  std::function<void(const std::string& uid, const compile::AgentFacts& facts)> connected;
  std::function<void(const std::string& uid)> disconnected;
  // The node's view is in sync with this Stages revision.
  std::function<void(const std::string& uid, uint64_t stages_revision)> synced;
};

// One node as status and metrics show it.
struct NodeReport {
  std::string name, uid;
  uint32_t id = 0;
  uint32_t pods = 0;
  bool connected = false;
  absl::Time since;  // of `connected`; InfinitePast: never was
  uint64_t version = 0, acked_version = 0;
  bool in_sync = false;
  uint64_t stages_revision = 0;  // that it was last in sync with; 0: none
  std::string refusal;
  std::string agent_version, datapath, address;
  compile::AgentFacts facts;
  std::string certificate_serial;  // of the stream's certificate
  absl::Time certificate_not_after;
  uint32_t peers_wanted = 0, peers_up = 0;
};

struct DistributorCounters {
  uint64_t deltas_sent = 0, full_sent = 0, bytes_sent = 0, acks = 0, nacks = 0, stray_answers = 0;
  uint64_t connects = 0, resumed = 0, stalled = 0;
};

// Thread-safe.
class Distributor {
 public:
  // An agent that leaves a delta unanswered for so long is cut off; it comes back and resumes.
  static constexpr absl::Duration kAnswerTimeout = absl::Seconds(60);

  explicit Distributor(DistributorEvents events);

  // The history's name; random at each start.
  const std::string& epoch() const { return epoch_; }

  // A new compile. Streams of nodes that are gone are closed.
  void Publish(std::shared_ptr<const compile::CompiledMesh> mesh, absl::Time now);

  // A node of the last compile. NotFound.
  absl::StatusOr<compile::MeshNode> FindByName(const std::string& name) const;
  absl::StatusOr<compile::MeshNode> FindByUid(const std::string& uid) const;

  // A stream begins. It replaces one of the same node that is still open. The result names the stream to the calls
  // below; NotFound: no such node.
  absl::StatusOr<uint64_t> Connect(const x509::NodeProof& proof, const std::string& address,
                                   const v1::WatchRequest::Hello& hello, std::shared_ptr<AgentStream> stream,
                                   absl::Time now);
  void OnAnswer(uint64_t stream_id, const std::string& uid, const v1::WatchRequest::Ack& ack, absl::Time now);
  void OnStatus(uint64_t stream_id, const std::string& uid, const v1::WatchRequest::Status& status);
  void Disconnect(uint64_t stream_id, const std::string& uid, absl::Time now);

  // Closes streams whose certificate ended or was revoked, and those without an answer; offers refused views again.
  // Every second or so.
  void Sweep(const std::vector<std::string>& revoked, absl::Time now);
  void CloseAll(absl::Status why, absl::Time now);

  std::vector<NodeReport> Report() const;  // by name
  DistributorCounters counters() const;
  uint64_t version() const;

 private:
  struct Node {
    compile::MeshNode mesh;
    NodeSession session;
    uint64_t stream_id = 0;
    std::shared_ptr<AgentStream> stream;
    NodeReport about;  // what a stream said: agent, certificate, peers
    bool told_synced = false;
    uint64_t synced_revision = 0;
  };
  // What is to be done once the mutex is free.
  struct Work {
    struct Send {
      std::shared_ptr<AgentStream> stream;
      Shipment shipment;
    };
    struct Close {
      std::shared_ptr<AgentStream> stream;
      absl::Status why;
    };
    std::vector<Send> sends;
    std::vector<Close> closes;
  };

  // Collects what this node's session has to say now.
  void Advance(Node& node, absl::Time now, Work* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drop(Node& node, absl::Status why, absl::Time now, Work* work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Work work) ABSL_LOCKS_EXCLUDED(mutex_);
  Node* Find(uint64_t stream_id, const std::string& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const DistributorEvents events_;
  const std::string epoch_;
  compile::ViewDiffer differ_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const compile::CompiledMesh> mesh_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_stream_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(mutex_);  // by UID
  DistributorCounters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace espalier::distribute

#endif  // ESPALIER_CONTROLLER_DISTRIBUTE_DISTRIBUTOR_H_
