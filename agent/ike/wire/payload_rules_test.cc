// Payloads that an exchange needs: IKE-007, with IKE-042, IKE-044, IKE-088.
#include "agent/ike/wire/payload_rules.h"

#include <gtest/gtest.h>

#include <set>

#include "agent/ike/wire/error.h"

namespace espalier::ike::wire {
namespace {

using enum PayloadType;

Payloads Of(const std::set<PayloadType>& types) {
  Payloads p;
  for (PayloadType t : types) {
    switch (t) {
      case kSa:
        p.Add(SaPayload{});
        break;
      case kKe:
        p.Add(KePayload{});
        break;
      case kNonce:
        p.Add(NoncePayload{});
        break;
      case kIdI:
        p.AddIdI({});
        break;
      case kIdR:
        p.AddIdR({});
        break;
      case kAuth:
        p.Add(AuthPayload{});
        break;
      case kTsI:
        p.AddTsI({});
        break;
      case kTsR:
        p.AddTsR({});
        break;
      default:
        p.Add(t, OpaquePayload{});
    }
  }
  return p;
}

struct Shape {
  ExchangeType exchange;
  bool response;
  std::set<PayloadType> whole;
  std::set<PayloadType> needed;  // malformed without any one of these
};

const Shape kShapes[] = {
    {ExchangeType::kIkeSaInit, false, {kSa, kKe, kNonce}, {kSa, kKe, kNonce}},
    {ExchangeType::kIkeSaInit, true, {kSa, kKe, kNonce}, {kSa, kKe, kNonce}},
    {ExchangeType::kIkeAuth, false, {kIdI, kAuth, kSa, kTsI, kTsR}, {kIdI, kSa, kTsI, kTsR}},
    {ExchangeType::kIkeAuth, true, {kIdR, kAuth, kSa, kTsI, kTsR}, {kIdR, kAuth, kSa, kTsI, kTsR}},
    {ExchangeType::kIkeAuth, false, {kIdI, kAuth}, {kIdI}},
    {ExchangeType::kIkeAuth, true, {kIdR, kAuth}, {kIdR, kAuth}},
    {ExchangeType::kCreateChildSa, false, {kSa, kNonce, kTsI, kTsR}, {kSa, kNonce, kTsI, kTsR}},
    {ExchangeType::kCreateChildSa, true, {kSa, kNonce, kTsI, kTsR}, {kSa, kNonce, kTsI, kTsR}},
    {ExchangeType::kCreateChildSa, false, {kSa, kNonce, kKe}, {kSa, kNonce, kKe}},
    {ExchangeType::kCreateChildSa, true, {kSa, kNonce, kKe}, {kSa, kNonce, kKe}},
    {ExchangeType::kIkeFollowupKe, false, {kKe}, {kKe}},
    {ExchangeType::kIkeFollowupKe, true, {kKe}, {kKe}},
    {ExchangeType::kInformational, false, {}, {}},
    {ExchangeType::kIkeIntermediate, false, {kKe}, {}},
};

TEST(PayloadRulesTest, Ike007DropEachPayload) {
  for (const Shape& s : kShapes) {
    EXPECT_TRUE(CheckPayloads(s.exchange, s.response, Of(s.whole)).ok()) << ToString(s.exchange) << s.response;
    for (PayloadType t : s.whole) {
      std::set<PayloadType> less = s.whole;
      less.erase(t);
      const absl::Status status = CheckPayloads(s.exchange, s.response, Of(less));
      EXPECT_EQ(status.ok(), !s.needed.contains(t)) << ToString(s.exchange) << s.response << " without " << ToString(t);
      if (!status.ok()) {
        EXPECT_EQ(FaultOf(status), Fault::kMalformed);
      }
    }
  }
}

TEST(PayloadRulesTest, ErrorAnswersStandAlone) {
  Payloads error;
  error.Add(NotifyPayload(NotifyType::kNoProposalChosen));
  for (ExchangeType e :
       {ExchangeType::kIkeSaInit, ExchangeType::kIkeAuth, ExchangeType::kCreateChildSa, ExchangeType::kIkeFollowupKe}) {
    EXPECT_TRUE(CheckPayloads(e, true, error).ok()) << ToString(e);
    EXPECT_FALSE(CheckPayloads(e, false, error).ok()) << ToString(e) << ": an error in a request excuses nothing";
  }
  Payloads cookie;
  cookie.Add(NotifyPayload(NotifyType::kCookie, Bytes(8)));
  EXPECT_TRUE(CheckPayloads(ExchangeType::kIkeSaInit, true, cookie).ok());
  EXPECT_FALSE(CheckPayloads(ExchangeType::kIkeSaInit, false, cookie).ok());
  Payloads status;
  status.Add(NotifyPayload(NotifyType::kInitialContact));
  EXPECT_FALSE(CheckPayloads(ExchangeType::kIkeSaInit, true, status).ok());
}

TEST(PayloadRulesTest, Ike042AuthRightChildWrong) {
  Payloads p = Of({kIdR, kAuth});
  p.Add(NotifyPayload(NotifyType::kTsUnacceptable));
  EXPECT_TRUE(CheckPayloads(ExchangeType::kIkeAuth, true, p).ok());
  Payloads no_auth = Of({kIdR});
  no_auth.Add(NotifyPayload(NotifyType::kTsUnacceptable));
  EXPECT_FALSE(CheckPayloads(ExchangeType::kIkeAuth, true, no_auth).ok());
}

}  // namespace
}  // namespace espalier::ike::wire
