#include "agent/agent.h"

#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <asio/post.hpp>
#include <csignal>
#include <future>
#include <mutex>
#include <utility>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/mesh_config.h"
#include "agent/servers.h"
#include "agent/version.h"

namespace espalier {
namespace {

constexpr uint16_t kPort = 4500;
// How often counters are read for rekey by volume, idle and liveness, and Prefer's wishes are taken.
constexpr std::chrono::milliseconds kTrafficInterval(200);

uint64_t RandomBootId() {
  uint64_t id = 0;
  while (id == 0) CHECK_EQ(RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof(id)), 1);
  return id;
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      started_at_(absl::Now()),
      boot_id_(RandomBootId()),
      credentials_(options_.trust_domain) {}

Agent::~Agent() = default;

absl::Status Agent::Run() {
  if (absl::Status s = Start(); !s.ok()) return s;
  io_.run();
  return absl::OkStatus();
}

absl::Status Agent::Start() {
  WatchSignals();
  if (options_.datapath == "xfrm") {
    return absl::UnimplementedError("--datapath xfrm: this version carries ESP in user space only; use auto or user");
  }
  int outer_mtu = options_.outer_mtu;
  if (outer_mtu == 0) {
    auto found = OuterMtu(options_.local_addresses);
    if (!found.ok()) return found.status();
    outer_mtu = *found;
  }
  auto datapath = datapath::CreateUserDatapath(
      {.device = options_.device, .local_addresses = options_.local_addresses, .port = kPort, .outer_mtu = outer_mtu},
      DatapathEvents());
  if (!datapath.ok()) return datapath.status();
  datapath_ = *std::move(datapath);

  auto steering = steering::Steering::Create({.pin_dir = options_.pin_dir,
                                              .datapath_device = datapath_->device(),
                                              .datapath_ifindex = datapath_->device_index(),
                                              .devices = options_.steer_devices});
  if (!steering.ok()) return steering.status();
  steering_ = *std::move(steering);
  if (absl::Status s = steering_->Reconcile(); !s.ok()) return s;

  host_ = std::make_unique<EngineHost>(
      datapath_.get(), steering_.get(), &credentials_,
      [this](ike::PeerId peer, absl::string_view what, absl::string_view detail) { OnPeerEvent(peer, what, detail); });
  engine_ = ike::Engine::Create({}, host_.get());

  WatchNetlink();
  WatchSteeringEvents();
  WatchTraffic();

  control::ControlOptions control;
  control.endpoints = options_.controllers;
  control.node_name = options_.node;
  control.trust_domain = options_.trust_domain;
  control.state_dir = options_.state_dir;
  control.join_token_path = options_.join_token_file;
  control.bootstrap_bundle_path = options_.bootstrap_ca;
  control.boot_id = boot_id_;
  control.mlkem = true;
  control.agent_version = kVersion;
  control.datapath = "user";
  control.max_cache_age = options_.max_cache_age;
  control.post = [this](std::function<void()> work) { asio::post(io_, std::move(work)); };
  control.on_view = [this](control::ViewPtr view, bool from_cache, std::function<void(absl::Status)> done) {
    absl::Status status = ApplyView(view, from_cache);
    if (!status.ok()) LOG(ERROR) << "view refused version=" << view->version << " error=\"" << status.message() << "\"";
    done(std::move(status));
  };
  control.on_identity = [this](control::Identity identity, std::string bundle) {
    ApplyIdentity(std::move(identity), bundle);
  };
  auto client = control::ControlClient::Start(std::move(control));
  if (!client.ok()) return client.status();
  control_ = *std::move(client);

  auto servers = Servers::Start(this);
  if (!servers.ok()) return servers.status();
  servers_ = *std::move(servers);
  return absl::OkStatus();
}

// Deletes go out, then everything ends. BPF programs and maps stay: what a policy wants encrypted stays refused.
void Agent::Stop() {
  LOG(INFO) << "agent stops: closing SAs";
  control_.reset();
  if (engine_ != nullptr) engine_->CloseAll(clock_.Now());
  io_.stop();
}

bool Agent::OnControlThread(std::function<void()> work) {
  struct Call {
    std::mutex mutex;
    bool abandoned = false;
    std::promise<void> done;
  };
  auto call = std::make_shared<Call>();
  std::future<void> done = call->done.get_future();
  asio::post(io_, [work = std::move(work), call] {
    const std::lock_guard<std::mutex> lock(call->mutex);
    if (call->abandoned) return;
    work();
    call->done.set_value();
  });
  if (done.wait_for(std::chrono::seconds(1)) == std::future_status::ready) return true;
  const std::lock_guard<std::mutex> lock(call->mutex);
  call->abandoned = true;
  return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

void Agent::WithEngine(const std::function<void(ike::Engine&, absl::Time)>& work) {
  work(*engine_, clock_.Now());
  const absl::Time deadline = engine_->NextDeadline();
  if (deadline == engine_deadline_) return;
  engine_deadline_ = deadline;
  if (deadline == absl::InfiniteFuture()) {
    engine_timer_.cancel();
    return;
  }
  engine_timer_.expires_at(clock_.ToSteady(deadline));
  engine_timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    engine_deadline_ = absl::InfiniteFuture();
    WithEngine([](ike::Engine& engine, absl::Time now) { engine.OnTimer(now); });
  });
}

// Whole or not at all. The datapath comes first: it sends encrypted whatever reaches it, so while the two change one
// after the other nothing that steering redirects is lost, and what it lets pass was allowed to.
absl::Status Agent::ApplyView(const control::ViewPtr& view, bool from_cache) {
  auto snapshot = policy::Snapshot::Build(*view);
  if (!snapshot.ok()) return snapshot.status();
  auto config = EngineConfig(*view);
  if (!config.ok()) return config.status();
  std::vector<IpPrefix> pod_cidrs;
  if (const v1::Node* self = view->self(); self != nullptr) {
    for (const std::string& text : self->pod_cidrs()) {
      auto prefix = IpPrefix::Parse(text);
      if (!prefix.ok()) return prefix.status();
      pod_cidrs.push_back(*prefix);
    }
  }
  const std::vector<std::string> revoked(view->mesh.revoked_serials().begin(), view->mesh.revoked_serials().end());
  if (absl::Status s = credentials_.SetTrust(view->mesh.trust_bundle_pem(), revoked); !s.ok()) return s;

  datapath_->SetSnapshot(*snapshot);
  if (absl::Status s = steering_->Program(**snapshot, pod_cidrs); !s.ok()) {
    datapath_->SetSnapshot(snapshot_);
    return s;
  }
  std::map<std::string, EngineHost::Node> nodes;
  for (const auto& [id, node] : view->nodes) nodes[node.uid()] = {id, node.name()};
  host_->SetNodes(std::move(nodes));
  WithEngine([&](ike::Engine& engine, absl::Time now) {
    config->boot_id = boot_id_;
    engine.SetConfig(*std::move(config));
    engine.SetPeers(now, EnginePeers(*view, options_.local_addresses, kPort), revoked);
  });
  view_ = view;
  snapshot_ = *std::move(snapshot);
  LOG(INFO) << "view in force version=" << view->version << " from_cache=" << from_cache
            << " nodes=" << view->nodes.size() << " addresses=" << view->addresses.size()
            << " policies=" << view->policies.size();
  return absl::OkStatus();
}

void Agent::ApplyIdentity(control::Identity identity, const std::string& bundle_pem) {
  if (!credentials_.has_trust()) {
    if (absl::Status s = credentials_.SetTrust(bundle_pem, {}); !s.ok()) {
      LOG(ERROR) << "trust bundle refused error=\"" << s.message() << "\"";
    }
  }
  const absl::Time not_after = identity.not_after();
  if (absl::Status s = credentials_.SetIdentity(std::move(identity.key), identity.chain); !s.ok()) {
    LOG(ERROR) << "certificate refused error=\"" << s.message() << "\"";
    return;
  }
  LOG(INFO) << "certificate in use spiffe_id=" << credentials_.spiffe_id() << " serial=" << credentials_.serial()
            << " not_after=" << absl::FormatTime(absl::RFC3339_sec, not_after, absl::UTCTimeZone());
}

datapath::Events Agent::DatapathEvents() {
  datapath::Events events;
  events.acquire = [this](ike::PeerId peer) {
    asio::post(
        io_, [this, peer] { WithEngine([peer](ike::Engine& engine, absl::Time now) { engine.Acquire(now, peer); }); });
  };
  events.first_inbound = [this](uint32_t spi) {
    asio::post(io_, [this, spi] {
      WithEngine([spi](ike::Engine& engine, absl::Time now) { engine.OnFirstInbound(now, spi); });
    });
  };
  events.ike = [this](Endpoint local, Endpoint remote, Bytes message) {
    asio::post(io_, [this, local, remote, message = std::move(message)] {
      WithEngine([&](ike::Engine& engine, absl::Time now) { engine.OnDatagram(now, local, remote, message); });
    });
  };
  events.unknown_spi = [this](Endpoint local, Endpoint remote, uint32_t spi) {
    asio::post(io_, [this, local, remote, spi] { OnUnknownSpi(local, remote, spi); });
  };
  return events;
}

// A peer that sends under an SA which we lost (we restarted) learns of it by our own, authenticated IKE SA with
// INITIAL_CONTACT (RFC 7296 section 2.4); an unprotected notify could be anybody's.
void Agent::OnUnknownSpi(const Endpoint& local, const Endpoint& remote, uint32_t spi) {
  WithEngine([&](ike::Engine& engine, absl::Time now) {
    engine.OnUnknownSpi(now, local, remote, spi);
    if (view_ == nullptr) return;
    for (const ike::Peer& peer : EnginePeers(*view_, options_.local_addresses, kPort)) {
      if (peer.remote.address == remote.address) engine.Acquire(now, peer.id);
    }
  });
}

std::string Agent::NodeName(ike::PeerId peer) const {
  if (view_ == nullptr) return absl::StrCat(peer);
  auto it = view_->nodes.find(peer);
  return it == view_->nodes.end() ? absl::StrCat(peer) : it->second.name();
}

void Agent::OnPeerEvent(ike::PeerId peer, absl::string_view what, absl::string_view detail) {
  ++peer_events_[std::string(what)];
  const std::string node = peer == 0 ? "unknown" : NodeName(peer);
  if (what == "failed") {
    if (auto skipped = refusals_.Admit(absl::StrCat(node, " ", detail), clock_.Now())) {
      LOG(WARNING) << "peer failed node=" << node << " cause=\"" << detail << "\" repeated=" << *skipped;
    }
    return;
  }
  LOG(INFO) << "peer " << what << " node=" << node << " detail=\"" << detail << "\"";
}

void Agent::OnSteeringEvent(const steering::Event& event) {
  const std::string cause =
      absl::StrCat(event.reason, " ", event.flow.source.ToString(), " ", event.flow.destination.ToString());
  if (auto skipped = refusals_.Admit(cause, clock_.Now())) {
    LOG(WARNING) << "packet refused reason=" << event.reason << " device=" << event.device
                 << " direction=" << (event.egress ? "out" : "in") << " source=" << event.flow.source.ToString()
                 << " destination=" << event.flow.destination.ToString() << " protocol=" << int{event.flow.protocol}
                 << " port=" << event.flow.destination_port << " repeated=" << *skipped;
  }
}

void Agent::WatchSignals() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.async_wait([this](const asio::error_code& error, int) {
    if (!error) Stop();
  });
}

void Agent::WatchNetlink() {
  if (!netlink_.is_open()) netlink_.assign(dup(steering_->netlink_fd()));
  netlink_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
    if (error) return;
    if (absl::Status s = steering_->Reconcile(); !s.ok()) {
      if (auto skipped = refusals_.Admit("reconcile", clock_.Now())) {
        LOG(ERROR) << "devices not reconciled error=\"" << s.message() << "\" repeated=" << *skipped;
      }
    }
    WatchNetlink();
  });
}

void Agent::WatchSteeringEvents() {
  if (!steering_events_.is_open()) steering_events_.assign(dup(steering_->event_fd()));
  steering_events_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
    if (error) return;
    steering_->Poll([this](const steering::Event& event) { OnSteeringEvent(event); });
    WatchSteeringEvents();
  });
}

void Agent::WatchTraffic() {
  traffic_timer_.expires_after(kTrafficInterval);
  traffic_timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    WithEngine([this](ike::Engine& engine, absl::Time now) {
      std::map<uint32_t, const datapath::SaCounters*> in, out;
      const std::vector<datapath::SaCounters> counters = datapath_->Counters();
      for (const datapath::SaCounters& c : counters) (c.inbound ? in : out)[c.spi] = &c;
      uint32_t up = 0, wanted = 0;
      for (const ike::PeerReport& peer : engine.Report()) {
        wanted += peer.state != ike::PeerState::kNone;
        up += peer.state == ike::PeerState::kUp;
        for (const auto& child : peer.children) {
          ike::ChildTraffic traffic;
          for (const auto* c : {in[child.id.spi_in], out[child.id.spi_out]}) {
            if (c == nullptr) continue;
            traffic.bytes = std::max(traffic.bytes, c->bytes);
            traffic.packets = std::max(traffic.packets, c->packets);
            (c->inbound ? traffic.last_in : traffic.last_out) = c->last_used;
          }
          engine.OnTraffic(now, child.id, traffic);
        }
      }
      if (control_ != nullptr) control_->SetPeers(wanted, up);
      for (uint32_t node : steering_->TakeWanted()) engine.Acquire(now, node);
    });
    WatchTraffic();
  });
}

}  // namespace espalier
