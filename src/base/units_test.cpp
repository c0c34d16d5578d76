#include "base/units.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace moescope {
namespace {

TEST(Units, ParsesSizesAsPeopleWriteThem) {
  EXPECT_EQ(ParseBytes("4096"), 4096u);
  EXPECT_EQ(ParseBytes("96M"), 96u << 20);
  EXPECT_EQ(ParseBytes("1.5GiB"), 3u << 29);
  EXPECT_EQ(ParseBytes("2g"), 2ull << 30);
}

TEST(Units, RefusesWhatIsNotASize) {
  for (const char* text : {"", "G", "-1M", "12Q", "nan", "1e300G", "1Mx"}) {
    EXPECT_THROW(ParseBytes(text), Error) << text;
  }
}

TEST(Units, PrintsForReaders) {
  EXPECT_EQ(FormatCount(46702792704u), "46,702,792,704");
  EXPECT_EQ(FormatCount(7), "7");
  EXPECT_EQ(FormatBytes(93405585408u), "93.4 GB");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatSeconds(200), "3 min 20 s");
  EXPECT_EQ(FormatSeconds(7500), "2 h 05 min");
}

TEST(Units, RoundsToSignificantDigits) {
  EXPECT_EQ(RoundToDigits(0.123456789, 6), 0.123457);
  EXPECT_EQ(RoundToDigits(-98765432.0, 6), -98765400.0);
  EXPECT_EQ(RoundToDigits(0, 6), 0);
  EXPECT_EQ(RoundToDigits(5e-324, 6), 5e-324);
  EXPECT_TRUE(std::isnan(RoundToDigits(std::nan(""), 6)));
}

}  // namespace
}  // namespace moescope
