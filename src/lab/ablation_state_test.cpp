#include "lab/ablation_state.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/error.h"
#include "store/test_directory.h"

namespace moescope::lab {
namespace {

class AblationStateTest : public store::TestDirectory {
 protected:
  static AblationState Example() {
    AblationState state;
    state.identity = {{"model", "0123456789abcdef"}, {"precision", "exact"}, {"branch 1", "mask"}};
    state.n_sequences = 9;
    state.sequences_done = {7, 7, 3};
    state.predictions = {40, 2};
    state.losses = {1.5, 0.1, 3, 4, 0, 1e-300};
    state.flops = 1e12;
    state.seconds = 3.25;
    state.n_waves = 4;
    state.weight_bytes = 123456789;
    return state;
  }

  // What a reader says of a file that was sealed, so that its checksum holds.
  static std::string Refusal(const AblationState& state) { return Refusal(Formatted(state)); }
  static std::string Refusal(const std::string& bytes) {
    try {
      ParseAblationState(bytes, "x.state");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
      return error.what();
    }
    return "";
  }
  static std::string Formatted(const AblationState& state) { return FormatAblationState(state); }
  static std::string Head(const AblationState& state) {
    std::string bytes = Formatted(state);
    bytes.resize(bytes.size() - 8);
    return bytes;
  }
};

TEST_F(AblationStateTest, IsReadAsItWasWritten) {
  const AblationState written = Example();
  WriteAblationState(Path("x.state"), written);
  const AblationState read = ReadAblationState(Path("x.state"));
  EXPECT_EQ(read.identity, written.identity);
  EXPECT_EQ(read.n_sequences, written.n_sequences);
  EXPECT_EQ(read.sequences_done, written.sequences_done);
  EXPECT_EQ(read.predictions, written.predictions);
  EXPECT_EQ(read.losses, written.losses);
  EXPECT_EQ(read.flops, written.flops);
  EXPECT_EQ(read.seconds, written.seconds);
  EXPECT_EQ(read.n_waves, written.n_waves);
  EXPECT_EQ(read.weight_bytes, written.weight_bytes);
}

TEST_F(AblationStateTest, RefusesEveryFlippedBitAndEveryShorterFile) {
  const std::string bytes = Formatted(Example());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string spoilt = bytes;
      spoilt[i] = static_cast<char>(spoilt[i] ^ (1 << bit));
      EXPECT_NE(Refusal(spoilt), "") << i;
    }
    EXPECT_NE(Refusal(bytes.substr(0, i)), "") << i;
  }
  EXPECT_NE(Refusal(bytes + '\0'), "");
}

// Whatever the bytes say, nothing is read past the end, and no more is allocated than there is.
TEST_F(AblationStateTest, RefusesSealedFilesWhoseCountsLie) {
  const std::string head = Head(Example());
  for (size_t at = 8; at + 8 <= head.size(); ++at) {
    for (const int64_t value : {int64_t{-1}, int64_t{1} << 33, std::numeric_limits<int64_t>::max(),
                                std::numeric_limits<int64_t>::min()}) {
      std::string spoilt = head;
      std::memcpy(spoilt.data() + at, &value, sizeof(value));
      try {
        ParseAblationState(SealAblationState(spoilt), "x.state");
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << error.what();
      }
    }
  }
  for (size_t size = 8; size < head.size(); ++size) {
    EXPECT_NE(Refusal(SealAblationState(head.substr(0, size))), "") << size;
  }
  EXPECT_NE(Refusal(SealAblationState(head + std::string(8, '\0'))).find("sums: expected"),
            std::string::npos);
}

TEST_F(AblationStateTest, RefusesValuesThatNoAblationHas) {
  const auto refusal_with = [](auto change) {
    AblationState state = Example();
    change(state);
    return Refusal(state);
  };
  EXPECT_NE(refusal_with([](AblationState& s) {
              s.sequences_done[2] = 8;
            }).find("sequences done: expected 0 to 7, found 8"),
            std::string::npos);
  EXPECT_NE(refusal_with([](AblationState& s) {
              s.sequences_done[0] = 10;
            }).find("sequences done: expected 0 to 9, found 10"),
            std::string::npos);
  EXPECT_NE(refusal_with([](AblationState& s) { s.predictions[1] = -1; }).find("predictions"),
            std::string::npos);
  for (double value :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_NE(refusal_with([&](AblationState& s) { s.losses[3] = value; }).find("sum of losses"),
              std::string::npos);
    EXPECT_NE(refusal_with([&](AblationState& s) { s.flops = value; }).find("operations"),
              std::string::npos);
  }
  EXPECT_NE(refusal_with([](AblationState& s) { s.n_waves = 0; }).find("waves"), std::string::npos);
}

TEST_F(AblationStateTest, NamesTheFirstDifference) {
  const AblationState ours = Example();
  const auto difference = [&](auto change) -> std::string {
    AblationState found = Example();
    change(found);
    try {
      RequireSameAblation(found, ours, "x.state");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(difference([](AblationState&) {}), "");
  EXPECT_NE(difference([](AblationState& s) {
              s.identity[1].second = "fast";
              s.identity[2].second = "zero";
            }).find("x.state: precision: expected exact, found fast in the file"),
            std::string::npos);
  EXPECT_NE(difference([](AblationState& s) {
              s.identity.pop_back();
            }).find("branch 1: expected mask, found none"),
            std::string::npos);
  EXPECT_NE(difference([](AblationState& s) {
              s.n_sequences = 10;
            }).find("expected 3 of 2 in 9, found 3 of 2 in 10"),
            std::string::npos);
}

}  // namespace
}  // namespace moescope::lab
