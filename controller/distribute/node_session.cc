#include "controller/distribute/node_session.h"

#include <utility>

namespace espalier::distribute {

void NodeSession::Publish(const compile::NodeView& view, uint64_t version) {
  if (!history_.empty() && history_.back().view.common == view.common && history_.back().view.own == view.own) return;
  history_.push_back({version, view});
  if (history_.size() > kHistory) history_.pop_front();
  version_ = version;
}

const compile::NodeView* NodeSession::Find(uint64_t version) const {
  for (const Version& v : history_) {
    if (v.number == version) return &v.view;
  }
  return nullptr;
}

void NodeSession::Connect(uint64_t resume_version) {
  Disconnect();
  connected_ = true;
  const compile::NodeView* held = resume_version == 0 ? nullptr : Find(resume_version);
  acked_ = held == nullptr ? compile::NodeView{} : *held;
  acked_version_ = held == nullptr ? 0 : resume_version;
  offered_version_ = acked_version_;
  refusal_.clear();
}

void NodeSession::Disconnect() {
  connected_ = false;
  under_way_.reset();
}

std::optional<Shipment> NodeSession::Next(absl::Time now) {
  if (!connected_ || under_way_ || version_ == 0) return std::nullopt;
  bool again = !refusal_.empty() && now >= refused_at_ + kRetryRefused;
  if (offered_version_ == version_ && !again) return std::nullopt;
  under_way_ = UnderWay{history_.back(), now};
  offered_version_ = version_;
  return Shipment{version_, acked_version_ == 0, acked_, history_.back().view};
}

NodeSession::Answer NodeSession::OnAnswer(uint64_t version, absl::string_view error, absl::Time now) {
  if (!under_way_ || under_way_->to.number != version) return Answer::kStray;
  UnderWay answered = *std::exchange(under_way_, std::nullopt);
  if (!error.empty()) {
    refusal_ = std::string(error);
    refused_at_ = now;
    return Answer::kRefused;
  }
  acked_ = std::move(answered.to.view);
  acked_version_ = version;
  refusal_.clear();
  return Answer::kAcknowledged;
}

}  // namespace espalier::distribute
