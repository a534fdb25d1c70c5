#include "agent/ike/wire/error.h"

#include <optional>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace espalier::ike::wire {
namespace {

// The status payload that holds the type of an unknown critical payload, one octet.
constexpr absl::string_view kCriticalUrl = "espalier/ike/critical-payload";

}  // namespace

absl::Status DropError(absl::string_view what) { return absl::DataLossError(what); }

absl::Status MajorVersionError(int major) { return absl::OutOfRangeError(absl::StrCat("major version ", major)); }

absl::Status MalformedError(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status CriticalError(PayloadType type) {
  absl::Status status = absl::UnimplementedError(absl::StrCat("unknown critical payload ", static_cast<int>(type)));
  const char octet = static_cast<char>(type);
  status.SetPayload(kCriticalUrl, absl::Cord(absl::string_view(&octet, 1)));
  return status;
}

Fault FaultOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOutOfRange:
      return Fault::kMajorVersion;
    case absl::StatusCode::kInvalidArgument:
      return Fault::kMalformed;
    case absl::StatusCode::kUnimplemented:
      return CriticalType(status) == PayloadType::kNone ? Fault::kDrop : Fault::kCritical;
    default:
      return Fault::kDrop;
  }
}

PayloadType CriticalType(const absl::Status& status) {
  const auto octet = status.GetPayload(kCriticalUrl);
  if (!octet.has_value() || octet->size() != 1) return PayloadType::kNone;
  return static_cast<PayloadType>((*octet)[0]);
}

}  // namespace espalier::ike::wire
