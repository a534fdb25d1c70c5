#include "agent/esp/replay_window.h"

#include <algorithm>

namespace espalier::esp {

ReplayWindow::ReplayWindow(uint32_t size, bool esn) : size_(std::clamp(size, kMinSize, kMaxSize)), esn_(esn) {}

std::optional<uint64_t> ReplayWindow::Infer(uint32_t low) const {
  if (!esn_) return low;
  // RFC 4303 appendix A2.3; arithmetic modulo 2^32.
  const uint32_t top_low = static_cast<uint32_t>(top_);
  const uint32_t top_high = static_cast<uint32_t>(top_ >> 32);
  const uint32_t bottom_low = top_low - size_ + 1;
  uint32_t high = top_high;
  if (top_low >= size_ - 1) {  // case A: the window lies within one subspace
    if (low < bottom_low) {
      if (top_high == UINT32_MAX) return std::nullopt;
      high = top_high + 1;
    }
  } else if (low >= bottom_low) {  // case B: the window spans two, and this one is in the earlier
    if (top_high == 0) return std::nullopt;
    high = top_high - 1;
  }
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool ReplayWindow::Check(uint64_t sequence) const {
  if (sequence == 0) return false;
  if (sequence > top_) return true;
  if (top_ - sequence >= size_) return false;
  return (seen_[(sequence >> 6) % kWords] >> (sequence & 63) & 1) == 0;
}

bool ReplayWindow::Accept(uint64_t sequence) {
  if (!Check(sequence)) return false;
  if (sequence > top_) {
    const uint64_t steps = std::min((sequence >> 6) - (top_ >> 6), kWords);
    for (uint64_t i = 1; i <= steps; ++i) seen_[((top_ >> 6) + i) % kWords] = 0;
    top_ = sequence;
  }
  seen_[(sequence >> 6) % kWords] |= uint64_t{1} << (sequence & 63);
  return true;
}

}  // namespace espalier::esp
