// Elliptic curves modulo a prime, RFC 5903: KE data is x | y, the shared secret is x alone.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

#include <algorithm>

#include "agent/ike/crypto/ke_methods.h"
#include "agent/ike/wire/types.h"

namespace espalier::ike::crypto {
namespace {

struct Curve {
  uint16_t method;
  int nid;
  const char* name;
  size_t field;      // octets of a coordinate and of a scalar
  uint8_t top_mask;  // of a scalar's first octet
};
constexpr Curve kCurves[] = {
    {wire::ke::kP256, NID_X9_62_prime256v1, "P-256", 32, 0xff},
    {wire::ke::kP384, NID_secp384r1, "P-384", 48, 0xff},
    {wire::ke::kP521, NID_secp521r1, "P-521", 66, 0x01},
};
constexpr uint8_t kUncompressed = 4;  // SEC 1 section 2.3.3: the prefix that RFC 5903 leaves out
constexpr int kScalarTries = 64;      // the chance that one fails is below 2^-32

const Curve* FindCurve(uint16_t method) {
  const Curve* c = std::ranges::find(kCurves, method, &Curve::method);
  return c == std::end(kCurves) ? nullptr : c;
}

struct GroupDeleter {
  void operator()(EC_GROUP* g) const { EC_GROUP_free(g); }
};
struct PointDeleter {
  void operator()(EC_POINT* p) const { EC_POINT_clear_free(p); }
};
struct BnDeleter {
  void operator()(BIGNUM* n) const { BN_clear_free(n); }
};
using Group = std::unique_ptr<EC_GROUP, GroupDeleter>;
using Point = std::unique_ptr<EC_POINT, PointDeleter>;
using Bn = std::unique_ptr<BIGNUM, BnDeleter>;

absl::Status Failed(const char* what) {
  ERR_clear_error();
  return absl::InternalError(what);
}

// A uniform scalar in [1, n-1], by rejection (FIPS 186-5 appendix A.2.2).
absl::StatusOr<Secret> DrawScalar(const Curve& curve, const EC_GROUP* group, const RandomSource& random) {
  for (int i = 0; i < kScalarTries; ++i) {
    Secret octets(curve.field);
    FillRandom(random, octets.mutable_span());
    octets.mutable_span()[0] &= curve.top_mask;
    const Bn n(BN_bin2bn(octets.span().data(), static_cast<int>(octets.size()), nullptr));
    if (n == nullptr) return Failed("scalar");
    if (!BN_is_zero(n.get()) && BN_cmp(n.get(), EC_GROUP_get0_order(group)) < 0) return octets;
  }
  return absl::InternalError("no scalar in range");
}

// "pub" with prefix; "priv" may be null.
Pkey MakeKey(const Curve& curve, ByteSpan encoded_point, const BIGNUM* scalar) {
  // OSSL_PARAM wants the private key in native order; the builder takes care of that.
  std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, encoded_point.data(),
                                       encoded_point.size()) != 1 ||
      (scalar != nullptr && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, scalar) != 1)) {
    return nullptr;
  }
  std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params(OSSL_PARAM_BLD_to_param(builder.get()),
                                                                 OSSL_PARAM_free);
  const PkeyContext ctx(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (params == nullptr || ctx == nullptr || EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      EVP_PKEY_fromdata(ctx.get(), &key, scalar != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params.get()) !=
          1) {
    return nullptr;
  }
  return Pkey(key);
}

class Ecp : public KeyExchange {
 public:
  Ecp(const Curve& curve, Pkey key, Bytes value) : curve_(curve), key_(std::move(key)), value_(std::move(value)) {}

  uint16_t method() const override { return curve_.method; }
  ByteSpan public_value() const override { return value_; }

  absl::StatusOr<Secret> Finish(ByteSpan peer_value) override {
    if (peer_value.size() != 2 * curve_.field) return absl::InvalidArgumentError("KE data length");
    Bytes encoded = {kUncompressed};
    encoded.insert(encoded.end(), peer_value.begin(), peer_value.end());
    const Pkey peer = MakeKey(curve_, encoded, nullptr);
    // RFC 6989 section 2.3: both coordinates in range, the point on the curve and not at infinity.
    const PkeyContext check(peer == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, peer.get(), nullptr));
    if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1) {
      ERR_clear_error();
      return absl::InvalidArgumentError("point not on the curve");
    }
    absl::StatusOr<Secret> secret = Derive(key_.get(), peer.get());
    if (secret.ok() && secret->size() != curve_.field) return absl::InternalError("ECDH secret size");
    return secret;
  }

 private:
  const Curve& curve_;
  Pkey key_;
  Bytes value_;
};

}  // namespace

size_t EcpFieldSize(uint16_t method) {
  const Curve* curve = FindCurve(method);
  return curve == nullptr ? 0 : curve->field;
}

absl::StatusOr<std::unique_ptr<KeyExchange>> CreateEcp(uint16_t method, const RandomSource& random) {
  const Curve* curve = FindCurve(method);
  if (curve == nullptr) return absl::UnimplementedError("curve");
  const Group group(EC_GROUP_new_by_curve_name(curve->nid));
  if (group == nullptr) return Failed("curve");
  const absl::StatusOr<Secret> scalar_octets = DrawScalar(*curve, group.get(), random);
  if (!scalar_octets.ok()) return scalar_octets.status();
  const Bn scalar(BN_secure_new());
  const Point point(EC_POINT_new(group.get()));
  Bytes encoded(1 + 2 * curve->field);
  if (scalar == nullptr || point == nullptr ||
      BN_bin2bn(scalar_octets->span().data(), static_cast<int>(scalar_octets->size()), scalar.get()) == nullptr) {
    return Failed("scalar");
  }
  BN_set_flags(scalar.get(), BN_FLG_CONSTTIME);
  if (EC_POINT_mul(group.get(), point.get(), scalar.get(), nullptr, nullptr, nullptr) != 1 ||
      EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, encoded.data(), encoded.size(),
                         nullptr) != encoded.size()) {
    return Failed("public value");
  }
  Pkey key = MakeKey(*curve, encoded, scalar.get());
  if (key == nullptr) return Failed("key pair");
  return std::make_unique<Ecp>(*curve, std::move(key), Bytes(encoded.begin() + 1, encoded.end()));
}

}  // namespace espalier::ike::crypto
