#include "controller/source/directory/yaml.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace espalier::source {
namespace {

std::string Json(absl::string_view text) {
  const YamlResult result = ParseYaml(text);
  if (!result.ok) return absl::StrCat("line ", result.line, ": ", result.error);
  std::string out;
  for (const auto& document : result.documents) {
    absl::StrAppend(&out, out.empty() ? "" : " ", document.number, document.value.ToJson());
  }
  return out;
}

TEST(Yaml, ScalarsAsKubectlReadsThem) {
  EXPECT_EQ(Json("[a, 'a', 1, '1', 0x10, 010, 0o10, 1_000, -3, 1.5, true, yes, off, ~, null, \"\"]"),
            R"(1["a","a",1,"1",16,8,8,1000,-3,1.5,true,true,false,null,null,""])");
  EXPECT_EQ(Json("[2026-01-02, 10.244.0.0/16, fd00::1, 1.2.3, 12a, -, '-', 1e3, .inf]"),
            R"(1["2026-01-02","10.244.0.0/16","fd00::1","1.2.3","12a","-","-",1000,".inf"])");
  EXPECT_EQ(Json("!!str 5"), "1\"5\"");
  EXPECT_EQ(Json("99999999999999999999"), "1" + std::string("1e+20"));
}

TEST(Yaml, JsonIsYaml) {
  EXPECT_EQ(Json("{\n\t\"a\": [1, \"x\\n\\u00e9\\/\"],\n\t\"b\": {\"c\": null}}\n"),
            "1{\"a\":[1,\"x\\u000a\u00e9/\"],\"b\":{}}");
}

TEST(Yaml, Documents) {
  EXPECT_EQ(Json("a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n"), "1{\"a\":1} 4{\"b\":2}");
  EXPECT_EQ(Json(""), "");
  EXPECT_EQ(Json("# only a comment\n"), "");
  EXPECT_EQ(Json("\xEF\xBB\xBF"
                 "a: 1\r\nb: 2\r\n"),
            "1{\"a\":1,\"b\":2}");
}

TEST(Yaml, AnchorsAndMerges) {
  EXPECT_EQ(Json("a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, k: 3}\n"),
            R"(1{"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":3,"l":2}})");
  EXPECT_EQ(Json("a: &x [1]\n---\nb: *x\n").substr(0, 7), "line 3:");
}

TEST(Yaml, RefusesWithALine) {
  EXPECT_EQ(Json("a: 1\nb: 2\na: 3\n"), "line 3: the key \"a\" stands twice in one mapping");
  EXPECT_EQ(Json("a: {{ .Values.x }}\n"), "line 1: a mapping's key is a list or a mapping itself");
  EXPECT_EQ(Json("a: [1, 2\nb: 3\n").substr(0, 5), "line ");
  EXPECT_EQ(Json("a:\n\t- b\n").substr(0, 7), "line 2:");
  EXPECT_EQ(Json("a: !env X"), "line 1: has the tag !env");
  EXPECT_EQ(Json("a: &x [*x]"), "line 1: an alias stands inside the value that it names");
  EXPECT_EQ(Json(absl::string_view("a: \0b", 5)), "line 0: is not text in UTF-8");
  EXPECT_EQ(Json("a: \xff"), "line 0: is not text in UTF-8");
}

// Ten levels of ten aliases each: 10^10 values when written out.
TEST(Yaml, BillionLaughs) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    absl::StrAppend(&text, "a", i, ": &a", i, " [");
    for (int k = 0; k < 10; ++k) absl::StrAppend(&text, k == 0 ? "" : ", ", "*a", i - 1);
    absl::StrAppend(&text, "]\n");
  }
  EXPECT_EQ(Json(text), "line 5: aliases make more than 50000 values");
}

TEST(Yaml, Depth) {
  EXPECT_EQ(Json(std::string(64, '[') + std::string(64, ']')).substr(0, 2), "1[");
  EXPECT_EQ(Json(std::string(65, '[') + std::string(65, ']')), "line 1: nests deeper than 64 levels");
  EXPECT_EQ(Json(std::string(100'000, '[')), "line 1: nests deeper than 64 levels");
  // Built by aliases.
  std::string text = "a0: &a0 [x]\n";
  for (int i = 1; i < 70; ++i) absl::StrAppend(&text, "a", i, ": &a", i, " [*a", i - 1, "]\n");
  EXPECT_EQ(Json(text), "line 64: nests deeper than 64 levels");
}

TEST(Yaml, Sizes) {
  YamlLimits limits;
  limits.octets = 10;
  EXPECT_EQ(ParseYaml("0123456789a", limits).error, "is larger than 10 octets");
  limits = {};
  limits.values = 3;
  EXPECT_EQ(ParseYaml("[1, 2, 3]", limits).error, "has more than 3 values");
  limits = {};
  limits.documents = 2;
  EXPECT_EQ(ParseYaml("1\n---\n2\n---\n3", limits).error, "has more than 2 documents");
}

}  // namespace
}  // namespace espalier::source
