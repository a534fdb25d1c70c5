// The registered numbers of IKEv2 that Espalier knows (IANA "IKEv2 Parameters"). Every enum has a fixed underlying type
// and may hold any other value that a peer sends: a switch over one needs a default.
#ifndef ESPALIER_AGENT_IKE_WIRE_TYPES_H_
#define ESPALIER_AGENT_IKE_WIRE_TYPES_H_

#include <cstdint>
#include <string>

namespace espalier::ike::wire {

// RFC 7296 section 3.1; 43 RFC 9242, 44 RFC 9370.
enum class ExchangeType : uint8_t {
  kIkeSaInit = 34,
  kIkeAuth = 35,
  kCreateChildSa = 36,
  kInformational = 37,
  kIkeIntermediate = 43,
  kIkeFollowupKe = 44,
};

// RFC 7296 section 3.2; SKF RFC 7383.
enum class PayloadType : uint8_t {
  kNone = 0,
  kSa = 33,
  kKe = 34,
  kIdI = 35,
  kIdR = 36,
  kCert = 37,
  kCertReq = 38,
  kAuth = 39,
  kNonce = 40,
  kNotify = 41,
  kDelete = 42,
  kVendorId = 43,
  kTsI = 44,
  kTsR = 45,
  kSk = 46,
  kCp = 47,
  kEap = 48,
  kSkf = 53,
};

// RFC 7296 section 3.3.1.
enum class ProtocolId : uint8_t { kNone = 0, kIke = 1, kAh = 2, kEsp = 3 };

// RFC 7296 section 3.3.2; ADDKE RFC 9370 section 2.2.1; 5 as renamed by RFC 9827.
enum class TransformType : uint8_t {
  kEncr = 1,
  kPrf = 2,
  kInteg = 3,
  kKe = 4,
  kSequenceNumbers = 5,
  kAddKe1 = 6,
  kAddKe2 = 7,
  kAddKe3 = 8,
  kAddKe4 = 9,
  kAddKe5 = 10,
  kAddKe6 = 11,
  kAddKe7 = 12,
};
constexpr bool IsAddKe(TransformType t) { return t >= TransformType::kAddKe1 && t <= TransformType::kAddKe7; }

// Transform IDs, by type. Plain constants, for a Transform holds any of them.
namespace encr {
inline constexpr uint16_t kAesCbc = 12;
inline constexpr uint16_t kAesCtr = 13;
inline constexpr uint16_t kAesGcm16 = 20;          // RFC 5282, RFC 4106
inline constexpr uint16_t kChaCha20Poly1305 = 28;  // RFC 7634
}  // namespace encr
namespace prf {
inline constexpr uint16_t kHmacSha256 = 5;  // RFC 4868
inline constexpr uint16_t kHmacSha384 = 6;
inline constexpr uint16_t kHmacSha512 = 7;
}  // namespace prf
namespace integ {
inline constexpr uint16_t kNone = 0;
inline constexpr uint16_t kHmacSha256_128 = 12;
inline constexpr uint16_t kHmacSha384_192 = 13;
inline constexpr uint16_t kHmacSha512_256 = 14;
}  // namespace integ
// Key exchange methods: the registry of transform type 4, used by the ADDKE types too.
namespace ke {
inline constexpr uint16_t kNone = 0;
inline constexpr uint16_t kP256 = 19;  // RFC 5903
inline constexpr uint16_t kP384 = 20;
inline constexpr uint16_t kP521 = 21;
inline constexpr uint16_t kX25519 = 31;    // RFC 8031
inline constexpr uint16_t kMlKem768 = 36;  // draft-ietf-ipsecme-ikev2-mlkem
}  // namespace ke
namespace sequence_numbers {
inline constexpr uint16_t kNoEsn = 0;
inline constexpr uint16_t kEsn = 1;
}  // namespace sequence_numbers

// RFC 7296 section 3.3.5: the only attribute there is.
inline constexpr uint16_t kAttributeKeyLength = 14;

// RFC 7296 section 3.5.
enum class IdType : uint8_t {
  kIpv4 = 1,
  kFqdn = 2,
  kRfc822 = 3,
  kIpv6 = 5,
  kDerDn = 9,
  kDerGn = 10,
  kKeyId = 11,
};

// RFC 7296 section 3.6.
enum class CertEncoding : uint8_t { kX509Signature = 4, kCrl = 7, kRawPublicKey = 15 };

// RFC 7296 section 3.8; 14 RFC 7427.
enum class AuthMethod : uint8_t {
  kRsa = 1,
  kSharedKey = 2,
  kDss = 3,
  kEcdsaSha256P256 = 9,
  kEcdsaSha384P384 = 10,
  kEcdsaSha512P521 = 11,
  kNull = 13,
  kDigitalSignature = 14,
};

// RFC 7427 section 7; 5 RFC 8420.
enum class HashAlgorithm : uint16_t { kSha1 = 1, kSha256 = 2, kSha384 = 3, kSha512 = 4, kIdentity = 5 };

// RFC 7296 section 3.10.1 and the registry after it. Below 16384: errors.
enum class NotifyType : uint16_t {
  kUnsupportedCriticalPayload = 1,
  kInvalidIkeSpi = 4,
  kInvalidMajorVersion = 5,
  kInvalidSyntax = 7,
  kInvalidMessageId = 9,
  kInvalidSpi = 11,
  kNoProposalChosen = 14,
  kInvalidKePayload = 17,
  kAuthenticationFailed = 24,
  kSinglePairRequired = 34,
  kNoAdditionalSas = 35,
  kInternalAddressFailure = 36,
  kFailedCpRequired = 37,
  kTsUnacceptable = 38,
  kInvalidSelectors = 39,
  kUnacceptableAddresses = 40,
  kUnexpectedNatDetected = 41,
  kTemporaryFailure = 43,
  kChildSaNotFound = 44,
  kStateNotFound = 47,  // RFC 9370
  kTsMaxQueue = 48,     // RFC 9611

  kInitialContact = 16384,
  kSetWindowSize = 16385,
  kAdditionalTsPossible = 16386,
  kIpcompSupported = 16387,
  kNatDetectionSourceIp = 16388,
  kNatDetectionDestinationIp = 16389,
  kCookie = 16390,
  kUseTransportMode = 16391,
  kHttpCertLookupSupported = 16392,
  kRekeySa = 16393,
  kEspTfcPaddingNotSupported = 16394,
  kNonFirstFragmentsAlso = 16395,
  kMobikeSupported = 16396,  // RFC 4555, to 16402
  kAdditionalIp4Address = 16397,
  kAdditionalIp6Address = 16398,
  kNoAdditionalAddresses = 16399,
  kUpdateSaAddresses = 16400,
  kCookie2 = 16401,
  kNoNatsAllowed = 16402,
  kMultipleAuthSupported = 16404,
  kEapOnlyAuthentication = 16417,
  kChildlessIkev2Supported = 16418,  // RFC 6023
  kFragmentationSupported = 16430,   // RFC 7383
  kSignatureHashAlgorithms = 16431,  // RFC 7427
  kUsePpk = 16435,                   // RFC 8784, to 16437
  kPpkIdentity = 16436,
  kNoPpkAuth = 16437,
  kIntermediateExchangeSupported = 16438,  // RFC 9242
  kAdditionalKeyExchange = 16441,          // RFC 9370
  kSupportedAuthMethods = 16443,           // RFC 9593
  kSaResourceInfo = 16444,                 // RFC 9611
  kFullTranscriptAuth = 16447,             // draft-ietf-ipsecme-ikev2-downgrade-prevention
};
constexpr bool IsError(NotifyType t) { return static_cast<uint16_t>(t) < 16384; }

// RFC 7296 section 3.13.1.
enum class TsType : uint8_t { kIpv4Range = 7, kIpv6Range = 8 };

// Names for logs: "IKE_AUTH", "CERTREQ", "NO_PROPOSAL_CHOSEN"; a number where there is no name.
std::string ToString(ExchangeType v);
std::string ToString(PayloadType v);
std::string ToString(NotifyType v);

}  // namespace espalier::ike::wire

#endif  // ESPALIER_AGENT_IKE_WIRE_TYPES_H_
