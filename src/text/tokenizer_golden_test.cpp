// The tokenizer against SentencePiece's own ids, from the fixtures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/platform/file.h"
#include "files/vocabulary.h"
#include "text/tokenizer.h"

namespace moescope::text {
namespace {

struct GoldenSet {
  const char* folder;
  size_t n_cases;
};

class SentencePieceGolden : public testing::TestWithParam<GoldenSet> {
 protected:
  void SetUp() override {
    const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
    if (fixtures == nullptr) {
      std::cout << "skipped: no fixtures\n";
      GTEST_SKIP();
    }
    folder_ = std::string(fixtures) + "/models/tokenizers/" + GetParam().folder;
    const std::string path = folder_ + "/tokenizer.model";
    tokenizer_ = MakeSentencePieceTokenizer(std::make_shared<files::Vocabulary>(
        files::ParseSentencePieceModel(ReadWholeFile(path, 1 << 26), path)));
  }

  std::string folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(SentencePieceGolden, IdsDecodedTextAndByteRangesAreThoseOfSentencePiece) {
  std::ifstream cases(folder_ + "/tokenizer-cases.jsonl");
  ASSERT_TRUE(cases.is_open());
  size_t n_cases = 0;
  Encoding encoding;
  for (std::string line; std::getline(cases, line); ++n_cases) {
    const auto expected = nlohmann::json::parse(line);
    const std::string text = expected["text"];
    tokenizer_->Encode(text, encoding);
    ASSERT_EQ(encoding.ids, expected["ids"].get<std::vector<int32_t>>()) << line;
    ASSERT_EQ(tokenizer_->Decode(encoding.ids), expected.value("decoded", text)) << line;
    uint32_t at = 0;
    for (size_t i = 0; i < encoding.ids.size(); ++i) {
      ASSERT_EQ(encoding.byte_start[i], at) << line;
      ASSERT_GE(encoding.byte_end[i], at) << line;
      at = encoding.byte_end[i];
    }
    ASSERT_EQ(at, text.size()) << line;
  }
  EXPECT_EQ(n_cases, GetParam().n_cases);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, SentencePieceGolden,
                         testing::Values(GoldenSet{"sp-4096", 3001}, GoldenSet{"sp-512", 647}));

}  // namespace
}  // namespace moescope::text
