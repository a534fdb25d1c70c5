// One node's agent: wiring only. What a part does is in its own folder.
//
//   control thread (Asio)    everything below but the worker: engine, views, steering's maps, reports
//   datapath worker          packets; posts acquire, first_inbound, IKE messages and unknown SPIs here
//   control client           its own thread and gRPC's; posts views and certificates here
//   API and HTTP servers     their own threads; run their questions here and wait for the answer
#ifndef ESPALIER_AGENT_AGENT_H_
#define ESPALIER_AGENT_AGENT_H_

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/clock.h"
#include "agent/control/control_client.h"
#include "agent/datapath/datapath.h"
#include "agent/engine_host.h"
#include "agent/ike/engine.h"
#include "agent/options.h"
#include "agent/policy/snapshot.h"
#include "agent/policy/view.h"
#include "agent/steering/steering.h"
#include "common/telemetry/cause_limiter.h"
#include "common/x509/node_credentials.h"

namespace espalier {

class Agent {
 public:
  explicit Agent(AgentOptions options);
  ~Agent();

  // Makes everything and runs until SIGTERM or SIGINT. An error says what could not be started and how to mend it.
  absl::Status Run();

 private:
  friend class AgentReports;

  absl::Status Start();
  void Stop();

  // Runs on the control thread and waits, a second at most; for the servers' threads. False: it did not run in time.
  bool OnControlThread(std::function<void()> work);
  // A call of the engine, with the timer set anew after it.
  void WithEngine(const std::function<void(ike::Engine&, absl::Time)>& work);

  absl::Status ApplyView(const control::ViewPtr& view, bool from_cache);
  void ApplyIdentity(control::Identity identity, const std::string& bundle_pem);

  datapath::Events DatapathEvents();
  void OnUnknownSpi(const Endpoint& local, const Endpoint& remote, uint32_t spi);
  void OnPeerEvent(ike::PeerId peer, absl::string_view what, absl::string_view detail);
  void OnSteeringEvent(const steering::Event& event);
  void WatchSignals();
  void WatchNetlink();
  void WatchSteeringEvents();
  void WatchTraffic();
  std::string NodeName(ike::PeerId peer) const;

  const AgentOptions options_;
  const SteadyClock clock_;
  const absl::Time started_at_;
  const uint64_t boot_id_;

  asio::io_context io_{1};
  asio::signal_set signals_{io_};
  asio::steady_timer engine_timer_{io_}, traffic_timer_{io_};
  asio::posix::stream_descriptor netlink_{io_}, steering_events_{io_};
  absl::Time engine_deadline_ = absl::InfiniteFuture();

  x509::NodeCredentials credentials_;
  std::unique_ptr<datapath::Datapath> datapath_;
  std::unique_ptr<steering::Steering> steering_;
  std::unique_ptr<EngineHost> host_;
  std::unique_ptr<ike::Engine> engine_;
  std::unique_ptr<control::ControlClient> control_;

  control::ViewPtr view_;  // in force; null: none yet
  std::shared_ptr<const policy::Snapshot> snapshot_;
  std::map<std::string, uint64_t> peer_events_;  // by word, for metrics
  telemetry::CauseLimiter refusals_;

  struct Servers;  // API and HTTP
  std::unique_ptr<Servers> servers_;
};

}  // namespace espalier

#endif  // ESPALIER_AGENT_AGENT_H_
