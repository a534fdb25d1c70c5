#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "controller/source/findings.h"
#include "controller/source/nearest.h"
#include "controller/source/syntax.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

class Checker : public Findings {
 public:
  using Findings::Findings;

  void Suites(const std::string& field, const google::protobuf::RepeatedPtrField<std::string>& names) {
    static const auto* const kSuites = new std::vector<std::string>{"AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"};
    for (int i = 0; i < names.size(); ++i) {
      const std::string at = absl::StrCat(field, "[", i, "]");
      if (std::find(kSuites->begin(), kSuites->end(), names[i]) == kSuites->end()) {
        Add(at, names[i], "is not an algorithm that can be chosen", WriteOneOf(names[i], *kSuites));
      } else if (std::find(names.begin(), names.begin() + i, names[i]) != names.begin() + i) {
        Add(at, names[i], "stands in the list twice", "remove one");
      }
    }
  }

  void Duration(const std::string& field, const std::string& text, int64_t least, int64_t most) {
    if (text.empty()) return;
    const auto seconds = ParseSeconds(text);
    if (!seconds.has_value()) {
      Add(field, text, "is not a duration", "write whole seconds, like \"3600s\"; \"1h30m\" works too");
    } else if (*seconds < least || *seconds > most) {
      Add(field, text, *seconds < least ? "is too short" : "is too long",
          absl::StrCat("write a duration from \"", least, "s\" to \"", most, "s\""));
    }
  }

  void Decimal(const std::string& field, const std::string& text, int64_t least, int64_t most) {
    if (text.empty()) return;
    const auto number = ParseDecimal(text);
    if (!number.has_value()) {
      Add(field, text, "is not a decimal number",
          absl::StrCat("write digits only, in quotes, at least \"", least, "\""));
    } else if (*number < least || *number > most) {
      Add(field, text, *number < least ? "is too small" : "is too large",
          absl::StrCat("write a number from \"", least, "\" to \"", most, "\""));
    }
  }

 private:
};

}  // namespace

std::vector<Problem> Validate(const v1alpha1::EncryptionProfile& profile) {
  const std::string object = absl::StrCat("EncryptionProfile/", profile.metadata().name());
  std::vector<Problem> problems = ValidateName(object, "", profile.metadata().name());
  Checker checker(object);
  if (profile.metadata().name() != "default") {
    checker.Add("metadata.name", profile.metadata().name(), "is a second profile, but there is only one for the mesh",
                "name it \"default\"");
  }
  const auto& spec = profile.spec();
  checker.Suites("spec.esp", spec.esp());
  checker.Suites("spec.ike", spec.ike());
  if (spec.has_replay_window() && (spec.replay_window() < 64 || spec.replay_window() > 4096)) {
    checker.Add("spec.replayWindow", absl::StrCat(spec.replay_window()), "is out of range",
                "write a number of packets from 64 to 4096");
  }
  constexpr int64_t kDay = 24 * 3600;
  checker.Duration("spec.rekey.time", spec.rekey().time(), 2, kDay);
  checker.Duration("spec.rekey.ikeTime", spec.rekey().ike_time(), 4, 7 * kDay);
  checker.Decimal("spec.rekey.bytes", spec.rekey().bytes(), int64_t{1} << 20, int64_t{1} << 50);
  // At most 2^32 packets a key, although ESN (RFC 4303, section 2.2.1) would allow more: bounds what one key protects.
  checker.Decimal("spec.rekey.packets", spec.rekey().packets(), 1000, int64_t{1} << 32);
  checker.Duration("spec.dpdInterval", spec.dpd_interval(), 1, 3600);
  checker.Duration("spec.idleTimeout", spec.idle_timeout(), 1, kDay);
  const std::vector<Problem> more = checker.Take();
  problems.insert(problems.end(), more.begin(), more.end());
  return problems;
}

}  // namespace espalier::source
