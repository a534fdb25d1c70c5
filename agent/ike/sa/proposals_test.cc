#include "agent/ike/sa/proposals.h"

#include "gtest/gtest.h"

namespace espalier::ike {
namespace {

using wire::Transform;
using wire::TransformType;

constexpr uint16_t kX = wire::ke::kX25519;

std::optional<wire::Proposal> Choose(const wire::SaPayload& offer, PostQuantum pq, uint16_t ke = kX,
                                     bool addke_allowed = true) {
  wire::ProposalContext context;
  context.addke_allowed = addke_allowed;
  return ChooseIke(offer, Config(), pq, context, ke);
}

TEST(Proposals, AnswerIsAChoiceOfTheOffer) {
  for (PostQuantum pq : {PostQuantum::kNever, PostQuantum::kPrefer, PostQuantum::kRequire}) {
    wire::SaPayload offer = IkeOffer(Config(), pq, 0);
    std::optional<wire::Proposal> chosen = Choose(offer, pq);
    ASSERT_TRUE(chosen.has_value());
    EXPECT_TRUE(wire::IsChoiceOf(*chosen, offer));
    EXPECT_EQ(HasMlKem(*chosen), pq != PostQuantum::kNever);
    wire::SaPayload esp = EspOffer(Config(), pq, 0x1000, true);
    chosen = ChooseEsp(esp, Config(), pq, true, kX);
    ASSERT_TRUE(chosen.has_value());
    EXPECT_TRUE(wire::IsChoiceOf(*chosen, esp));
    EXPECT_TRUE(EsnOf(*chosen));
    EXPECT_EQ(HasMlKem(*chosen), pq != PostQuantum::kNever);
  }
}

TEST(Proposals, TheMethodThatWasSentSavesARoundTrip) {
  EXPECT_EQ(KeMethodOf(*Choose(IkeOffer(Config(), PostQuantum::kNever, 0), PostQuantum::kNever, wire::ke::kP256)),
            wire::ke::kP256);
  EXPECT_EQ(KeMethodOf(*Choose(IkeOffer(Config(), PostQuantum::kNever, 0), PostQuantum::kNever, 14)), kX);
}

// RFC 9370 section 2.2.1: without IKE_INTERMEDIATE the proposals with ADDKE are out.
TEST(Proposals, WithoutIntermediate) {
  EXPECT_FALSE(Choose(IkeOffer(Config(), PostQuantum::kRequire, 0), PostQuantum::kPrefer, kX, false).has_value());
  std::optional<wire::Proposal> chosen =
      Choose(IkeOffer(Config(), PostQuantum::kPrefer, 0), PostQuantum::kPrefer, kX, false);
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(chosen->number, 2);
  EXPECT_FALSE(Choose(IkeOffer(Config(), PostQuantum::kPrefer, 0), PostQuantum::kRequire, kX, false).has_value());
}

// One method for one ADDKE type only, so the first match of each type is not enough.
TEST(Proposals, AdditionalMethodsAreAssignedTogether) {
  auto offer = [](std::vector<std::pair<TransformType, uint16_t>> additional) {
    wire::SaPayload out = IkeOffer(Config(), PostQuantum::kNever, 0);
    for (auto [type, id] : additional) out.proposals[0].transforms.push_back({type, id});
    return out;
  };
  constexpr uint16_t kMlKem = wire::ke::kMlKem768, kNone = wire::ke::kNone;
  // ADDKE2 has no NONE: it takes ML-KEM, ADDKE1 its NONE.
  std::optional<wire::Proposal> chosen = Choose(
      offer({{TransformType::kAddKe1, kMlKem}, {TransformType::kAddKe1, kNone}, {TransformType::kAddKe2, kMlKem}}),
      PostQuantum::kPrefer);
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(chosen->Find(TransformType::kAddKe1)->id, kNone);
  EXPECT_EQ(chosen->Find(TransformType::kAddKe2)->id, kMlKem);
  EXPECT_EQ(AdditionalMethodsOf(*chosen), std::vector<uint16_t>{kMlKem});
  // Two types that want it both: no choice.
  EXPECT_FALSE(Choose(offer({{TransformType::kAddKe1, kMlKem}, {TransformType::kAddKe3, kMlKem}}), PostQuantum::kPrefer)
                   .has_value());
  // A gap between types, and a method that we don't know beside NONE.
  chosen =
      Choose(offer({{TransformType::kAddKe2, 37}, {TransformType::kAddKe2, kNone}, {TransformType::kAddKe5, kMlKem}}),
             PostQuantum::kRequire);
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(AdditionalMethodsOf(*chosen), std::vector<uint16_t>{kMlKem});
  EXPECT_FALSE(Choose(offer({{TransformType::kAddKe1, 37}}), PostQuantum::kPrefer).has_value());
}

}  // namespace
}  // namespace espalier::ike
