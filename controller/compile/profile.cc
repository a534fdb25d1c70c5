#include "controller/compile/profile.h"

#include <string>

#include "controller/source/syntax.h"

namespace espalier::compile {
namespace {

uint32_t Seconds(const std::string& text, uint32_t otherwise) {
  const auto seconds = source::ParseSeconds(text);
  return seconds.has_value() ? static_cast<uint32_t>(*seconds) : otherwise;
}

uint64_t Decimal(const std::string& text, uint64_t otherwise) {
  const auto number = source::ParseDecimal(text);
  return number.has_value() ? static_cast<uint64_t>(*number) : otherwise;
}

}  // namespace

v1::Profile CompileProfile(const v1alpha1::EncryptionProfileSpec& spec) {
  v1::Profile out;
  out.set_name("default");
  *out.mutable_esp() = spec.esp();
  *out.mutable_ike() = spec.ike();
  for (auto* list : {out.mutable_esp(), out.mutable_ike()}) {
    if (!list->empty()) continue;
    for (const char* suite : {"AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"}) list->Add(suite);
  }
  out.set_post_quantum(spec.has_post_quantum() ? spec.post_quantum() : true);
  out.set_replay_window(spec.has_replay_window() ? static_cast<uint32_t>(spec.replay_window()) : 4096);
  out.set_rekey_seconds(Seconds(spec.rekey().time(), 3600));
  out.set_rekey_bytes(Decimal(spec.rekey().bytes(), uint64_t{1} << 40));
  out.set_rekey_packets(Decimal(spec.rekey().packets(), uint64_t{1} << 31));
  out.set_ike_rekey_seconds(Seconds(spec.rekey().ike_time(), 14400));
  out.set_dpd_seconds(Seconds(spec.dpd_interval(), 30));
  out.set_idle_seconds(Seconds(spec.idle_timeout(), 600));
  return out;
}

}  // namespace espalier::compile
