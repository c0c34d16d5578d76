#include "base/platform/child_process.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moescope {
namespace {

TEST(ChildProcess, PassesInputAndGivesBackWhatIsPrinted) {
  const std::string input(1 << 20, 'x');  // more than a pipe holds
  const ChildResult result = RunChild({"sh", "-c", "cat; echo problem >&2; exit 3"}, input);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, input);
  EXPECT_EQ(result.message, "problem\n");
}

TEST(ChildProcess, NamesTheSignalThatEndedIt) {
  EXPECT_EQ(RunChild({"sh", "-c", "kill -9 $$"}, "").exit_code, 128 + 9);
}

TEST(ChildProcess, RefusesAProgramThatIsNotThere) {
  try {
    RunChild({"moescope-no-such-program"}, "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_NE(std::string(error.what()).find("moescope-no-such-program"), std::string::npos);
  }
}

}  // namespace
}  // namespace moescope
