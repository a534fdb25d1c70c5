#include "agent/esp/checksum.h"

#include <immintrin.h>

#include <cstring>

#include "agent/esp/octets.h"

namespace espalier::esp {
namespace {

uint16_t Fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint64_t SumScalar(const uint8_t* data, size_t size) {
  uint64_t sum = 0;
  while (size >= 8) {
    uint64_t v;
    std::memcpy(&v, data, 8);
    sum = Sum::Carry(sum, v);
    data += 8;
    size -= 8;
  }
  if (size > 0) {
    uint64_t v = 0;
    std::memcpy(&v, data, size);
    sum = Sum::Carry(sum, v);
  }
  return sum;
}

// 32-bit words into 64-bit lanes: no carry is lost for any size a packet can have.
__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* data, size_t size) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  while (size >= 64) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data));
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(w, low));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(w, 32));
    data += 64;
    size -= 64;
  }
  a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), a);
  return Sum::Carry(lanes[0] + lanes[1] + lanes[2] + lanes[3], SumScalar(data, size));
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2");

}  // namespace

Sum SumOf(const uint8_t* data, size_t size) {
  if (size >= 128 && kHasAvx2) return Sum{SumAvx2(data, size)};
  return Sum{SumScalar(data, size)};
}

Sum SumOf16(uint16_t host_order) { return Sum{__builtin_bswap16(host_order)}; }

Sum PseudoHeader(const uint8_t* ip, uint8_t protocol, size_t upper_size) {
  const Sum addresses = (ip[0] >> 4) == 4 ? SumOf(ip + 12, 8) : SumOf(ip + 8, 32);
  // A length above 65535 (jumbo) has no place here: packets of the datapath are at most 64 KiB.
  return addresses + SumOf16(protocol) + SumOf16(static_cast<uint16_t>(upper_size));
}

void StoreChecksum(uint8_t* place, Sum sum) {
  const uint16_t v = static_cast<uint16_t>(~Fold(sum.value));
  std::memcpy(place, &v, sizeof(v));
}

bool Verifies(Sum sum) { return Fold(sum.value) == 0xffff; }

void FixIpv4Checksum(uint8_t* ip, size_t header_size) {
  ip[10] = ip[11] = 0;
  StoreChecksum(ip + 10, SumOf(ip, header_size));
}

void AdjustChecksum(uint8_t* place, uint16_t before, uint16_t after) {
  uint32_t sum = static_cast<uint16_t>(~Load16(place)) + uint32_t{static_cast<uint16_t>(~before)} + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  Store16(place, static_cast<uint16_t>(~sum));
}

}  // namespace espalier::esp
