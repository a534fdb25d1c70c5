// Loads and stores of network-order numbers at a place whose bounds the caller has checked. For the packet path, where
// a length is checked once for a whole header; everything else goes through common/bytes.h.
#ifndef ESPALIER_AGENT_ESP_OCTETS_H_
#define ESPALIER_AGENT_ESP_OCTETS_H_

#include <bit>
#include <cstdint>
#include <cstring>

namespace espalier::esp {

static_assert(std::endian::native == std::endian::little, "the stores below swap octets");

inline uint16_t Load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof(v));
  return __builtin_bswap16(v);
}
inline uint32_t Load32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof(v));
  return __builtin_bswap32(v);
}
inline void Store16(uint8_t* p, uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(p, &v, sizeof(v));
}
inline void Store32(uint8_t* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof(v));
}
inline void Store64(uint8_t* p, uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof(v));
}

}  // namespace espalier::esp

#endif  // ESPALIER_AGENT_ESP_OCTETS_H_
