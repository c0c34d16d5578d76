#include "text/word_template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moescope::text {
namespace {

std::string Refusal(std::string_view text) {
  try {
    ParseWordTemplates(text, "t.txt");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    return error.what();
  }
  return "taken";
}

TEST(WordTemplates, AreTheLinesOfAText) {
  const auto templates =
      ParseWordTemplates("\xef\xbb\xbfThe {} came.\r\n\n \t\n({})\nabout {} {no} {", "t.txt");
  ASSERT_EQ(templates.size(), 3u);
  EXPECT_EQ(templates[0].before, "The ");
  EXPECT_EQ(templates[0].after, " came.");
  EXPECT_EQ(templates[1].Fill("king"), "(king)");
  // Only {} is a place, in the template and in the word.
  EXPECT_EQ(templates[2].Fill("a{}b"), "about a{}b {no} {");
}

TEST(WordTemplates, WithoutOnePlaceAreRefusedByLine) {
  EXPECT_EQ(Refusal("one {}\n\nnone\n").substr(0, 72),
            "cannot take the templates: t.txt: line 3: expected {} once, found it 0 t");
  EXPECT_NE(Refusal("{} and {}").find("line 1: expected {} once, found it 2 times"),
            std::string::npos);
  EXPECT_NE(Refusal("{{}}{}").find("found it 2 times"), std::string::npos);
}

TEST(WordTemplates, HaveLimits) {
  EXPECT_NE(Refusal("").find("found none"), std::string::npos);
  EXPECT_NE(Refusal("\n\r\n").find("found none"), std::string::npos);
  EXPECT_NE(Refusal("{} a\n{} b\n{} a").find("line 3: the same as line 1"), std::string::npos);
  const std::string longest = std::string(kMaxTemplateBytes - 2, 'x') + "{}";
  EXPECT_EQ(ParseWordTemplates(longest, "t.txt").size(), 1u);
  EXPECT_NE(Refusal(longest + "x").find("line 1: expected at most 4096 bytes, found 4097"),
            std::string::npos);
  std::string many;
  for (size_t i = 0; i < kMaxTemplates; ++i) many += std::to_string(i) + " {}\n";
  EXPECT_EQ(ParseWordTemplates(many, "t.txt").size(), kMaxTemplates);
  EXPECT_NE(Refusal(many + "{}").find("line 1001: expected at most 1000 templates"),
            std::string::npos);
}

TEST(PlainSentences, HaveWordsOnBothSidesOfThePlace) {
  EXPECT_EQ(PlainSentences().size(), 50u);
  for (const WordTemplate& sentence : PlainSentences()) {
    EXPECT_TRUE(sentence.before.ends_with(' ')) << sentence.Fill("{}");
    EXPECT_GE(sentence.after.size(), 1u) << sentence.Fill("{}");
    EXPECT_TRUE(sentence.after.ends_with('.')) << sentence.Fill("{}");
  }
}

}  // namespace
}  // namespace moescope::text
