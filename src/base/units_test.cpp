#include "base/units.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace moescope
