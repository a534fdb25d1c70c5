// Anti-replay (RFC 4303 sections 2.2, 3.4.3 and appendix A2): a bitmap that slides over 32-bit or extended (64-bit)
// sequence numbers. Plain value, no thread of its own.
#ifndef ESPALIER_AGENT_ESP_REPLAY_WINDOW_H_
#define ESPALIER_AGENT_ESP_REPLAY_WINDOW_H_

#include <array>
#include <cstdint>
#include <optional>

namespace espalier::esp {

class ReplayWindow {
 public:
  static constexpr uint32_t kMinSize = 32;    // RFC 4303 section 3.4.3
  static constexpr uint32_t kMaxSize = 4096;  // ours

  // `size` in packets, kMinSize to kMaxSize (cut to that). Right edge at 0: nothing seen.
  ReplayWindow(uint32_t size, bool esn);

  // The whole sequence number for the 32 bits that a packet carries (appendix A2.2); none if that would lie before the
  // first or beyond the last of all numbers. Without ESN, the number itself.
  std::optional<uint64_t> Infer(uint32_t low) const;
  // Neither seen, nor left of the window, nor 0 (the first number is 1: section 2.2). Changes nothing.
  bool Check(uint64_t sequence) const;
  // Check() again, and if it holds marks the number as seen and slides. Only for authenticated packets.
  bool Accept(uint64_t sequence);

  uint64_t top() const { return top_; }  // the highest accepted
  uint32_t size() const { return size_; }

 private:
  // Words of the ring: the window and one more, so that its left part never shares a word with its right edge.
  static constexpr uint64_t kWords = 128;
  static_assert(kWords * 64 >= kMaxSize + 64 && (kWords & (kWords - 1)) == 0);

  uint64_t top_ = 0;
  uint32_t size_;
  bool esn_;
  std::array<uint64_t, kWords> seen_{};
};

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_REPLAY_WINDOW_H_
