#include "text/normaliser.h"

#include <gtest/gtest.h>

#include "text/utf8.h"

namespace moescope::text {
namespace {

using files::NormaliserStep;
using Kind = NormaliserStep::Kind;

NormaliserStep Step(Kind kind, const std::string& text = "", const std::string& replacement = "") {
  NormaliserStep step;
  step.kind = kind;
  step.text = text;
  step.replacement = replacement;
  step.left = step.right = kind == Kind::kStrip;
  return step;
}

std::string Apply(const std::vector<NormaliserStep>& steps, std::string_view text) {
  NormalisedText out;
  Normaliser(steps).Apply(text, out);
  return std::string(out.text());
}

TEST(Normaliser, BringsTextsIntoTheUnicodeForms) {
  EXPECT_EQ(Apply({Step(Kind::kNfc)}, "e\u0301x\u1100\u1161\u11a8"), "\u00e9x\uac01");
  EXPECT_EQ(Apply({Step(Kind::kNfd)}, "\u00e9\uac01"), "e\u0301\u1100\u1161\u11a8");
  EXPECT_EQ(Apply({Step(Kind::kNfkc)}, "\ufb01\u00b2\u2167"), "fi2VIII");
  EXPECT_EQ(Apply({Step(Kind::kNfkd)}, "\u1e9b\u0323"), "s\u0323\u0307");
  // Marks are put in order; one of the same class blocks composition.
  EXPECT_EQ(Apply({Step(Kind::kNfd)}, "a\u0301\u0323"), "a\u0323\u0301");
  EXPECT_EQ(Apply({Step(Kind::kNfc)}, "a\u0305\u0301"), "a\u0305\u0301");
  EXPECT_EQ(Apply({Step(Kind::kNfc)}, "\u0958"), "\u0915\u093c");
}

TEST(Normaliser, LeavesCharactersOfLaterVersionsAsTheyAre) {
  EXPECT_EQ(Apply({Step(Kind::kNfkc)}, "\u32ff"), "\u32ff");  // of Unicode 12.1
  EXPECT_EQ(Apply({Step(Kind::kNfc)}, "\U00011935\U00011930"), "\U00011935\U00011930");  // of 13
}

TEST(Normaliser, KeepsBrokenBytesAndStopsAtThem) {
  EXPECT_EQ(Apply({Step(Kind::kNfc)},
                  "e\xff\u0301"
                  "e\u0301"),
            "e\xff\u0301\u00e9");
}

TEST(Normaliser, TakesLongRunsOfMarksInTheirStride) {
  std::string text = "a", expected = "a";
  for (int i = 0; i < 100000; ++i) text += "\u0301\u0323";
  for (int i = 0; i < 100000; ++i) expected += "\u0323";
  for (int i = 0; i < 100000; ++i) expected += "\u0301";
  EXPECT_EQ(Apply({Step(Kind::kNfd)}, text), expected);
}

TEST(Normaliser, AppliesItsStepsInOrder) {
  const std::vector<NormaliserStep> steps = {Step(Kind::kStrip), Step(Kind::kPrepend, "\u2581"),
                                             Step(Kind::kReplace, " ", "\u2581"),
                                             Step(Kind::kLowercase)};
  EXPECT_EQ(Apply(steps, " \tAB  \u0130 "),
            "\u2581"
            "ab\u2581\u2581i\u0307");
  EXPECT_EQ(Apply(steps, "   "), "");
  EXPECT_EQ(Apply({}, " A "), " A ");
}

TEST(Normaliser, KnowsWhereItsTextComesFrom) {
  const Normaliser normaliser(
      {Step(Kind::kStrip), Step(Kind::kPrepend, "\u2581"), Step(Kind::kReplace, " ", "\u2581")});
  NormalisedText out;
  const std::string source = "  ab  c ";
  normaliser.Apply(source, out);
  ASSERT_EQ(out.text(),
            "\u2581"
            "ab\u2581\u2581"
            "c");
  EXPECT_EQ(out.BeginInSource(0), 2u);
  std::vector<size_t> ends;
  for (size_t at = 1; at <= out.text().size(); ++at) ends.push_back(out.EndInSource(at));
  // The prefix comes from nowhere, what was stripped belongs to what follows it, and a space is one
  // byte of three.
  EXPECT_EQ(ends, (std::vector<size_t>{0, 0, 0, 3, 4, 4, 4, 5, 5, 5, 6, 7}));
  EXPECT_EQ(out.EndInSource(4), 3u);  // questions may also go back
}

}  // namespace
}  // namespace moescope::text
