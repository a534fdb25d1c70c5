#include "controller/source/directory/directory_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Policy(absl::string_view name, absl::string_view spec) {
  return absl::StrCat("apiVersion: espalier.io/v1alpha1\nkind: EncryptionPolicy\nmetadata: {name: ", name,
                      ", namespace: shop}\nspec: ", spec, "\n");
}

std::string Node(absl::string_view name, absl::string_view cidr) {
  return absl::StrCat("apiVersion: v1\nkind: Node\nmetadata: {name: ", name, "}\nspec: {podCIDR: ", cidr, "}\n");
}

class DirectoryFilesTest : public ::testing::Test {
 protected:
  // "NAME=ACTION" of all policies in force.
  std::vector<std::string> InForce() {
    update_ = files_.Merge();
    std::vector<std::string> out;
    for (const auto& [key, policy] : *update_.objects->policies)
      out.push_back(absl::StrCat(key, "=", policy->spec().action()));
    return out;
  }
  std::vector<std::string> Problems() const {
    std::vector<std::string> out;
    for (const Problem& p : update_.problems) out.push_back(p.ToString());
    return out;
  }

  DirectoryFiles files_;
  Update update_;
};

TEST_F(DirectoryFilesTest, FileNames) {
  EXPECT_TRUE(IsObjectFile("a.yaml"));
  EXPECT_TRUE(IsObjectFile("a.yml"));
  EXPECT_TRUE(IsObjectFile("a.json"));
  for (const char* other : {".a.yaml", "a.yaml~", "a.yaml.swp", "..data", "a.txt", ""})
    EXPECT_FALSE(IsObjectFile(other));
}

TEST_F(DirectoryFilesTest, AnInvalidObjectKeepsItsLastVersion) {
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  EXPECT_THAT(Problems(), IsEmpty());
  files_.Put("a.yaml", Policy("web", "{action: Encrypt}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml:4 (document 1): EncryptionPolicy/shop/web: spec.action: \"Encrypt\": is not an "
                          "action; write one of Require, Prefer, Bypass, Deny [its last valid version stays in "
                          "force]"));
  files_.Put("a.yaml", Policy("web", "{action: Deny}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Deny"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(DirectoryFilesTest, AnInvalidObjectThatNeverWasValid) {
  files_.Put("a.yaml", absl::StrCat(Policy("web", "{action: Encrypt}"), "---\n", Policy("db", "{action: Deny}")));
  EXPECT_THAT(InForce(), ElementsAre("shop/db=Deny"));
  ASSERT_EQ(update_.problems.size(), 1u);
  EXPECT_EQ(update_.problems[0].in_force, "the object is not in force");
}

TEST_F(DirectoryFilesTest, AFileThatDoesNotParseKeepsAllItsObjects) {
  const std::string whole = absl::StrCat(Policy("web", "{action: Require}"), "---\n", Policy("db", "{action: Deny}"));
  files_.Put("a.yaml", whole);
  InForce();
  files_.Put("a.yaml", "apiVersion: espalier.io/v1alpha1\nkind: EncryptionPolicy\nmetadata: {name: web, names");
  EXPECT_THAT(InForce(), ElementsAre("shop/db=Deny", "shop/web=Require"));
  ASSERT_EQ(update_.problems.size(), 1u);
  EXPECT_EQ(update_.problems[0].file, "a.yaml");
  EXPECT_EQ(update_.problems[0].in_force,
            "the file is taken whole or not at all: the 2 objects that it had stay in force");
  files_.Put("a.yaml", whole);
  InForce();
  EXPECT_THAT(Problems(), IsEmpty());
}

// Every way to cut a file short leaves what was in force, or a whole prefix of documents: never half an object.
TEST_F(DirectoryFilesTest, CutShortAnywhere) {
  const std::string text =
      absl::StrCat(Policy("a", "\n  podSelector:\n    matchLabels:\n      app: web\n  action: Bypass"), "---\n",
                   Policy("b", "{action: Deny}"));
  for (size_t n = 0; n < text.size(); ++n) {
    DirectoryFiles files;
    files.Put("a.yaml", text);
    files.Merge();
    files.Put("a.yaml", text.substr(0, n));
    const Update update = files.Merge();
    if (n == 0) {
      EXPECT_EQ(update.objects->policies->size(), 2u);
    }
    // The writer's close is what tells a cut file from a whole one; DirectorySource waits for it. Here: no crash, and
    // either a problem or something that is valid by itself.
    for (const auto& [key, policy] : *update.objects->policies) EXPECT_TRUE(Validate(*policy).empty()) << n;
  }
}

TEST_F(DirectoryFilesTest, AnEmptiedFileKeepsItsObjectsAndADeletedOneDoesNot) {
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  InForce();
  files_.Put("a.yaml", "");
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml: is empty, as if cut off; write it again, or delete it to remove its objects "
                          "[the object that it had stays in force]"));
  files_.Put("a.yaml", "# commented out\n");
  EXPECT_THAT(InForce(), IsEmpty());
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  files_.Remove("a.yaml");
  EXPECT_THAT(InForce(), IsEmpty());
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(DirectoryFilesTest, OfTwoObjectsOfOneNameTheFirstFileWins) {
  files_.Put("b.yaml", Policy("web", "{action: Deny}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Deny"));
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  EXPECT_THAT(Problems(),
              ElementsAre("b.yaml:1 (document 1): EncryptionPolicy/shop/web: is also in a.yaml (document 1), "
                          "which comes first and wins; remove or rename one of the two [the one in a.yaml is in "
                          "force, this one is not]"));
  files_.Remove("a.yaml");
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Deny"));
  EXPECT_THAT(Problems(), IsEmpty());
  // In one file the first document.
  files_.Put("b.yaml", absl::StrCat(Policy("web", "{action: Bypass}"), "---\n", Policy("web", "{action: Deny}")));
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Bypass"));
  EXPECT_EQ(update_.problems.size(), 1u);
}

TEST_F(DirectoryFilesTest, PointersTellWhatChanged) {
  files_.Put("a.yaml", Policy("a", "{action: Require}"));
  files_.Put("b.yaml", Policy("b", "{action: Require}"));
  files_.Put("n.yaml", Node("n1", "10.244.1.0/24"));
  const Update first = files_.Merge();
  files_.Put("a.yaml", absl::StrCat("# same\n", Policy("a", "{action: Require}")));
  EXPECT_EQ(files_.Merge().objects, first.objects);
  files_.Put("a.yaml", Policy("a", "{action: Deny}"));
  const Update second = files_.Merge();
  EXPECT_EQ(second.objects->nodes, first.objects->nodes);
  EXPECT_NE(second.objects->policies, first.objects->policies);
  EXPECT_EQ(second.objects->policies->at("shop/b"), first.objects->policies->at("shop/b"));
}

TEST_F(DirectoryFilesTest, GenerationsGrowWithTheSpec) {
  const auto generation = [this] { return files_.Merge().objects->policies->at("shop/a")->metadata().generation(); };
  files_.Put("a.yaml", Policy("a", "{action: Require}"));
  EXPECT_EQ(generation(), 1);
  files_.Put("a.yaml", Policy("a", "{action: Deny}"));
  EXPECT_EQ(generation(), 2);
  files_.Put("a.yaml", Policy("a", "{action: Bad}"));
  EXPECT_EQ(generation(), 2);
  files_.Put("b.yaml", Policy("b", "{action: Deny}"));
  EXPECT_EQ(generation(), 2);
}

TEST_F(DirectoryFilesTest, RequireOutsideTheMesh) {
  files_.Put("n.yaml", Node("n1", "10.244.1.0/24"));
  files_.Put("p.yaml", Policy("p", "{rules: [{action: Require, peers: [{cidr: 10.244.1.0/25}]}]}"));
  EXPECT_EQ(InForce().size(), 1u);
  EXPECT_THAT(Problems(), IsEmpty());
  files_.Put("p.yaml", Policy("p", "{rules: [{action: Require, peers: [{cidr: 10.0.0.0/8}]}]}"));
  EXPECT_EQ(InForce().size(), 1u);
  ASSERT_EQ(update_.problems.size(), 1u);
  EXPECT_EQ(update_.problems[0].field, "spec.rules[0].peers[0].cidr");
  EXPECT_EQ(update_.objects->policies->at("shop/p")->spec().rules(0).peers(0).cidr(), "10.244.1.0/25");
  // What is in force stays so when the mesh shrinks.
  files_.Put("p.yaml", Policy("p", "{rules: [{action: Require, peers: [{cidr: 10.244.1.0/25}]}]}"));
  files_.Put("n.yaml", Node("n1", "10.9.1.0/24"));
  EXPECT_EQ(InForce().size(), 1u);
  EXPECT_EQ(update_.problems.size(), 1u);
}

TEST_F(DirectoryFilesTest, UnreadableFilesKeepTheirObjects) {
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  InForce();
  files_.PutUnreadable("a.yaml", Severity::kError, "cannot be read: EIO", "look at the disk");
  EXPECT_THAT(InForce(), ElementsAre("shop/web=Require"));
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml: cannot be read: EIO; look at the disk [the object that it had stays in force]"));
  files_.Put("a.yaml", Policy("web", "{action: Require}"));
  InForce();
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(DirectoryFilesTest, OneNoteForEachOtherKind) {
  files_.Put("a.yaml", "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: apps/v1\nkind: Deployment\n");
  InForce();
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml: \"apps/v1 Deployment\": is a kind that Espalier does not read: 2 objects ignored"));
  EXPECT_EQ(update_.problems[0].severity, Severity::kNote);
}

}  // namespace
}  // namespace espalier::source
