// The hash of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP, RFC 7296 section 2.23.
#ifndef ESPALIER_AGENT_IKE_CRYPTO_NAT_DETECTION_H_
#define ESPALIER_AGENT_IKE_CRYPTO_NAT_DETECTION_H_

#include "common/bytes.h"
#include "common/ip.h"

namespace espalier::ike::crypto {

// SHA-1(SPIi | SPIr | address | port): 20 octets. SPIs as in the header of the message that carries the notify.
Bytes NatDetectionHash(uint64_t spi_i, uint64_t spi_r, const Endpoint& endpoint);

}  // namespace espalier::ike::crypto

#endif  // ESPALIER_AGENT_IKE_CRYPTO_NAT_DETECTION_H_
