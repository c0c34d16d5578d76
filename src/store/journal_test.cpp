// The journal by itself: what is read back, and what another run's blocks and forged headers get.
#include "store/journal.h"

#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/platform/file.h"
#include "store/synthetic_run.h"
#include "store/test_directory.h"

namespace moescope::store {
namespace {

constexpr int64_t kTokens = 500;

// Places in a block's header, as docs/trace-format.md has them.
constexpr size_t kNTokensAt = 40, kNLayersAt = 48, kNExpertsAt = 52, kExpertsPerTokenAt = 54,
                 kHasLogitsAt = 55, kHeaderHashAt = 64;

class JournalTest : public TestDirectory {
 protected:
  // A journal of two waves.
  void WriteJournal(const JournalShape& shape) const {
    SyntheticRun run{.description = SyntheticDescription(shape.n_layers, shape.n_experts,
                                                         shape.experts_per_token),
                     .n_tokens = 2 * kTokens};
    Journal journal(Path("journal"), shape, 0, 0);
    std::vector<DocumentRecord> documents = run.Documents();
    for (int64_t first : {int64_t{0}, kTokens}) {
      SyntheticWave wave = MakeWave(run, documents, journal.n_documents(), first, first + kTokens);
      journal.Append(wave.documents, wave.tokens, wave.Routes());
    }
  }

  std::string SegmentPath() const { return Path("journal/0000000000000000.journal"); }

  // Puts `value` into the header of the first block, and its hash right.
  template <typename T>
  void Forge(size_t at, T value) const {
    std::string bytes = ReadWholeFile(SegmentPath(), uint64_t{1} << 30);
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    uint64_t hash = XXH3_64bits(bytes.data(), kHeaderHashAt);
    std::memcpy(bytes.data() + kHeaderHashAt, &hash, sizeof(hash));
    std::ofstream(SegmentPath(), std::ios::binary) << bytes;
  }

  // "" when it opens.
  std::string Failure(const JournalShape& shape) const {
    try {
      Journal journal(Path("journal"), shape, 0, 0);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
      return error.what();
    }
  }
};

constexpr JournalShape kDense{.n_layers = 3};
constexpr JournalShape kRouted{.n_layers = 3, .n_experts = 8, .experts_per_token = 2};

TEST_F(JournalTest, DenseBlocksHoldTokensAlone) {
  WriteJournal(kDense);
  EXPECT_EQ(kDense.RouteBytes(), 0u);
  Journal journal(Path("journal"), kDense, 0, 0);
  EXPECT_EQ(journal.n_tokens(), 2 * kTokens);
  SyntheticRun run{.description = SyntheticDescription(3, 0, 0), .n_tokens = 2 * kTokens};
  SyntheticWave all = MakeWave(run, run.Documents(), 0, 0, 2 * kTokens);
  std::vector<TokenRecord> tokens(2 * kTokens);
  journal.Rows(0, 2 * kTokens).ReadTokens(0, 2 * kTokens, tokens.data());
  for (size_t i = 0; i < tokens.size(); ++i) {
    ASSERT_EQ(tokens[i].token, all.tokens[i].token);
    ASSERT_EQ(tokens[i].token_id, all.tokens[i].token_id);
  }
}

TEST_F(JournalTest, BlocksOfAnotherShapeAreRefused) {
  WriteJournal(kDense);
  EXPECT_EQ(Failure(kDense), "");
  EXPECT_NE(Failure(kRouted).find("expected the block of token 0"), std::string::npos);
  EXPECT_NE(Failure({.n_layers = 4}), "");
  std::filesystem::remove_all(Path("journal"));
  WriteJournal(kRouted);
  EXPECT_EQ(Failure(kRouted), "");
  EXPECT_NE(Failure(kDense), "");
}

TEST_F(JournalTest, ForgedShapesAreRefused) {
  WriteJournal(kDense);
  auto forged = [&](size_t at, auto value) {
    const std::string whole = ReadWholeFile(SegmentPath(), uint64_t{1} << 30);
    Forge(at, value);
    EXPECT_NE(Failure(kDense), "") << at;
    std::ofstream(SegmentPath(), std::ios::binary) << whole;
  };
  forged(kNLayersAt, uint32_t{0});
  forged(kNLayersAt, uint32_t{0xFFFFFFFF});
  forged(kNExpertsAt, uint16_t{8});
  forged(kExpertsPerTokenAt, uint8_t{1});
  forged(kHasLogitsAt, uint8_t{1});
  EXPECT_EQ(Failure(kDense), "");
}

// More tokens than the file can hold is what a torn block looks like: it is cut off.
TEST_F(JournalTest, CountsBeyondTheFileAreATornBlock) {
  for (int64_t n_tokens : {INT64_MAX, INT64_MAX / 48, int64_t{1} << 42, 2 * kTokens}) {
    std::filesystem::remove_all(Path("journal"));
    WriteJournal(kDense);
    Forge(kNTokensAt, n_tokens);
    Journal journal(Path("journal"), kDense, 0, 0);
    EXPECT_EQ(journal.n_tokens(), 0) << n_tokens;
    EXPECT_FALSE(std::filesystem::exists(SegmentPath()));
  }
}

}  // namespace
}  // namespace moescope::store
