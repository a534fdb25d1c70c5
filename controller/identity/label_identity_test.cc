#include "controller/identity/label_identity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace espalier::identity {
namespace {

source::Pod MakePod(const std::string& ns, const source::Labels& labels, const std::string& account = "default") {
  source::Pod pod;
  pod.ns = ns;
  pod.labels = labels;
  pod.service_account = account;
  return pod;
}

uint32_t IdOf(const Description& d) { return AssignIdentities({d}).at(d); }

TEST(LabelIdentity, WhatCounts) {
  source::Namespace ns;
  ns.labels = {{"env", "prod"}};
  const Description d = Describe(MakePod("shop", {{"app", "web"}}), &ns);
  const auto differs = [&d](const Description& other) { return IdOf(d) != IdOf(other); };
  EXPECT_FALSE(differs(Describe(MakePod("shop", {{"app", "web"}}), &ns)));
  EXPECT_TRUE(differs(Describe(MakePod("shop", {{"app", "db"}}), &ns)));
  EXPECT_TRUE(differs(Describe(MakePod("shop2", {{"app", "web"}}), &ns)));
  EXPECT_TRUE(differs(Describe(MakePod("shop", {{"app", "web"}}, "robot"), &ns)));
  EXPECT_TRUE(differs(Describe(MakePod("shop", {{"app", "web"}}), nullptr)));
  // What differs from pod to pod does not.
  for (const char* label : {"pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name",
                            "batch.kubernetes.io/job-completion-index", "apps.kubernetes.io/pod-index"}) {
    EXPECT_FALSE(differs(Describe(MakePod("shop", {{"app", "web"}, {label, "x"}}), &ns))) << label;
  }
}

TEST(LabelIdentity, NamespaceNameIsALabel) {
  EXPECT_EQ(Describe(MakePod("shop", {}), nullptr).namespace_labels.at("kubernetes.io/metadata.name"), "shop");
}

// Numbers that were once given out: a change here renumbers every mesh at its next upgrade.
TEST(LabelIdentity, NeverChanges) {
  EXPECT_EQ(Describe(MakePod("shop", {{"app", "web"}}, "web"), nullptr).Canonical(),
            "4:shop,1;27:kubernetes.io/metadata.name,4:shop,1;3:app,3:web,3:web,");
  EXPECT_EQ(IdOf(Describe(MakePod("shop", {{"app", "web"}}, "web"), nullptr)), 6709926u);
}

TEST(LabelIdentity, CanonicalIsUnambiguous) {
  const Description a = Describe(MakePod("n", {{"a", "1,1:b"}}), nullptr);
  const Description b = Describe(MakePod("n", {{"a", "1"}, {"b", ""}}), nullptr);
  EXPECT_NE(a.Canonical(), b.Canonical());
}

std::vector<Description> Many(int n) {
  std::vector<Description> out;
  for (int i = 0; i < n; ++i)
    out.push_back(Describe(MakePod(absl::StrCat("ns", i % 7), {{"app", absl::StrCat(i)}}), nullptr));
  return out;
}

// 200 descriptions on 256 numbers: nearly all collide.
TEST(LabelIdentity, OrderOfArrivalDoesNotMatter) {
  std::vector<Description> all = Many(200);
  const Fold narrow = [](const StableHash& hash, uint32_t n) { return FoldHash(hash, n, 1000, 1256); };
  const auto expected = AssignIdentities(std::set<Description>(all.begin(), all.end()), narrow);
  ASSERT_EQ(expected.size(), 200u);
  std::set<uint32_t> numbers;
  for (const auto& [d, id] : expected) numbers.insert(id);
  EXPECT_EQ(numbers.size(), 200u);
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(all.begin(), all.end(), random);
    std::set<Description> set;
    for (const Description& d : all) set.insert(d);
    EXPECT_EQ(AssignIdentities(set, narrow), expected);
  }
}

// Others that come and go leave most numbers alone, and what comes back has its number again.
TEST(LabelIdentity, StableUnderChange) {
  const std::vector<Description> all = Many(500);
  const std::set<Description> set(all.begin(), all.end());
  const auto before = AssignIdentities(set);
  std::set<Description> fewer = set;
  for (int i = 0; i < 100; ++i) fewer.erase(all[i]);
  for (const auto& [d, id] : AssignIdentities(fewer)) EXPECT_EQ(id, before.at(d));
  EXPECT_EQ(AssignIdentities(set), before);
  for (const auto& [d, id] : before) {
    EXPECT_GE(id, kFirstIdentity);
    EXPECT_LT(id, kEndIdentity);
  }
}

}  // namespace
}  // namespace espalier::identity
