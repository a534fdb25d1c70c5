#include "agent/control/view_cache.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/bytes.h"
#include "common/x509/atomic_file.h"

namespace espalier::control {
namespace {

constexpr absl::string_view kMagic = "ESPVIEW1";
constexpr size_t kMaxFile = size_t{256} << 20;
constexpr absl::Duration kMaxClockStep = absl::Hours(1);  // how far the clock may have gone back since

using Digest = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

Digest Checksum(uint64_t time, ByteSpan body) {
  Bytes head;
  Writer writer(&head);
  writer.U64(time);
  writer.U64(body.size());
  head.insert(head.end(), body.begin(), body.end());
  Digest digest{};
  SHA256(head.data(), head.size(), digest.data());
  return digest;
}

}  // namespace

v1::WatchResponse ToFullDelta(const policy::View& view) {
  v1::WatchResponse out;
  out.set_epoch(view.epoch);
  out.set_version(view.version);
  out.set_full(true);
  if (view.mesh.ByteSizeLong() > 0) *out.add_changed()->mutable_mesh() = view.mesh;
  for (const auto& [key, value] : view.nodes) *out.add_changed()->mutable_node() = value;
  for (const auto& [key, value] : view.identities) *out.add_changed()->mutable_identity() = value;
  for (const auto& [key, value] : view.addresses) *out.add_changed()->mutable_address() = value;
  for (const auto& [key, value] : view.policies) *out.add_changed()->mutable_policy() = value;
  for (const auto& [key, value] : view.exemptions) *out.add_changed()->mutable_exemption() = value;
  for (const auto& [key, value] : view.profiles) *out.add_changed()->mutable_profile() = value;
  return out;
}

absl::StatusOr<CachedView> ViewCache::Load(absl::Time now) const {
  absl::StatusOr<std::string> text = x509::ReadWholeFile(path_, kMaxFile);
  if (!text.ok()) return text.status();
  ByteSpan octets(reinterpret_cast<const uint8_t*>(text->data()), text->size());
  Reader reader(octets);
  ByteSpan magic, digest;
  uint64_t time = 0, length = 0;
  reader.Take(kMagic.size(), &magic);
  if (!reader.ok() || !std::equal(magic.begin(), magic.end(), kMagic.begin())) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": not a cached view of this format"));
  }
  reader.U64(&time);
  reader.U64(&length);
  reader.Take(SHA256_DIGEST_LENGTH, &digest);
  ByteSpan body = reader.Rest();
  if (!reader.ok() || body.size() != length) return absl::DataLossError(absl::StrCat(path_, ": cut short"));
  Digest expected = Checksum(time, body);
  if (!std::equal(digest.begin(), digest.end(), expected.begin())) {
    return absl::DataLossError(absl::StrCat(path_, ": the checksum is wrong"));
  }
  absl::Time saved_at = absl::FromUnixSeconds(static_cast<int64_t>(time));
  if (now - saved_at > max_age_) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": saved ", absl::FormatDuration(absl::Trunc(now - saved_at, absl::Seconds(1))),
                     " ago, which is above the limit of ", absl::FormatDuration(max_age_)));
  }
  if (saved_at - now > kMaxClockStep) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": saved in the future; is the clock right?"));
  }
  v1::WatchResponse delta;
  if (!delta.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return absl::DataLossError(absl::StrCat(path_, ": does not parse"));
  }
  absl::StatusOr<policy::View> view = policy::View().Apply(delta);
  if (!view.ok()) return absl::DataLossError(absl::StrCat(path_, ": ", view.status().message()));
  return CachedView{*std::move(view), saved_at};
}

absl::Status ViewCache::Save(const policy::View& view, absl::Time now) const {
  std::string body = ToFullDelta(view).SerializeAsString();
  ByteSpan octets(reinterpret_cast<const uint8_t*>(body.data()), body.size());
  uint64_t time = static_cast<uint64_t>(absl::ToUnixSeconds(now));
  Bytes file(kMagic.begin(), kMagic.end());
  Writer writer(&file);
  writer.U64(time);
  writer.U64(octets.size());
  writer.Raw(Checksum(time, octets));
  writer.Raw(octets);
  return x509::WriteFileAtomically(path_, absl::string_view(reinterpret_cast<const char*>(file.data()), file.size()),
                                   0600);
}

}  // namespace espalier::control
