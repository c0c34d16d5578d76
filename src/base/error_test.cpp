#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace moescope {
namespace {

TEST(Error, MapsEveryKindToItsDocumentedExitCode) {
  EXPECT_EQ(ExitCode(ErrorKind::kUsage), 64);
  EXPECT_EQ(ExitCode(ErrorKind::kBadInput), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kNotFound), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kCorrupt), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kUnsupported), 2);
  EXPECT_EQ(ExitCode(ErrorKind::kResource), 3);
  EXPECT_EQ(ExitCode(ErrorKind::kIo), 4);
  EXPECT_EQ(ExitCode(ErrorKind::kCancelled), 5);
  EXPECT_EQ(ExitCode(ErrorKind::kInternal), 1);
}

TEST(Error, NamesThePathOfAFailedCall) {
  try {
    ThrowErrno(ENOENT, "open", "/no/such/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_STREQ(error.what(), "cannot open: /no/such/file: No such file or directory");
  }
}

TEST(Error, AFailedCheckIsInternal) {
  try {
    MOESCOPE_CHECK(1 == 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
  }
}

}  // namespace
}  // namespace moescope
