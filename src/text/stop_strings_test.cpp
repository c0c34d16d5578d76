#include "text/stop_strings.h"

#include <gtest/gtest.h>

namespace moescope::text {
namespace {

// The text shown, '|' between pushes.
std::string Shown(StopStrings stop, const std::vector<std::string>& pieces) {
  std::string shown;
  for (const std::string& piece : pieces) shown += stop.Push(piece) + "|";
  return shown + stop.Flush();
}

TEST(StopStrings, ShowsAllTextWhenNothingStops) {
  EXPECT_EQ(Shown(StopStrings({}), {"a", "b"}), "a|b|");
  EXPECT_EQ(Shown(StopStrings({"", "xyz"}), {"a", "b"}), "a|b|");
}

TEST(StopStrings, EndsBeforeTheFirstStopEvenAcrossPieces) {
  EXPECT_EQ(Shown(StopStrings({"\nUser:"}), {"Hi", ".\nUs", "er: me", "more"}), "Hi|.|||");
  EXPECT_EQ(Shown(StopStrings({"bc", "abcd"}), {"xabcd"}), "x|");
}

TEST(StopStrings, GivesBackWhatTurnsOutNotToBeAStop) {
  EXPECT_EQ(Shown(StopStrings({"aab"}), {"xaa", "ac"}), "x|aaac|");
  EXPECT_EQ(Shown(StopStrings({"###"}), {"a##", "b##"}), "a|##b|##");
}

}  // namespace
}  // namespace moescope::text
