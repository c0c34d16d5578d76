// The tokenizer against SentencePiece's own ids and the sequences of a corpus against counts made
// elsewhere, both from the fixtures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/platform/file.h"
#include "files/vocabulary.h"
#include "text/sequences.h"
#include "text/tokenizer.h"

namespace moescope::text {
namespace {

// Empty, having said so, where there are no fixtures.
std::string Fixtures() {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) std::cout << "skipped: no fixtures\n";
  return fixtures == nullptr ? "" : fixtures;
}

std::unique_ptr<Tokenizer> OpenTokenizer(const std::string& path) {
  return MakeSentencePieceTokenizer(std::make_shared<files::Vocabulary>(
      files::ParseSentencePieceModel(ReadWholeFile(path, 1 << 26), path)));
}

struct GoldenSet {
  const char* folder;
  size_t n_cases;
};

// The test's name would hold an address, another one each time.
void PrintTo(const GoldenSet& set, std::ostream* out) {
  *out << set.folder;
}

class SentencePieceGolden : public testing::TestWithParam<GoldenSet> {
 protected:
  void SetUp() override {
    if (Fixtures().empty()) GTEST_SKIP() << "skipped: no fixtures";
    folder_ = Fixtures() + "/models/tokenizers/" + GetParam().folder;
    tokenizer_ = OpenTokenizer(folder_ + "/tokenizer.model");
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

TEST(SequencesGolden, OfTheCorpusHaveTheCountsOfTheDemoModelsGolden) {
  if (Fixtures().empty()) GTEST_SKIP() << "skipped: no fixtures";
  std::ifstream file(Fixtures() + "/models/demo-mixtral/golden.json");
  const auto golden = nlohmann::json::parse(file);
  const auto tokenizer = OpenTokenizer(Fixtures() + "/models/demo-mixtral/tokenizer.model");
  for (const auto& [domain, expected] : golden["domains"].items()) {
    const std::string path = Fixtures() + "/corpora/multidomain/" + domain + ".valid.jsonl.xz";
    SequenceReader reader(OpenDocuments({ParseDataSpec(domain + "=" + path)}), *tokenizer,
                          {.chunk = 512});
    int64_t n_documents = 0, n_tokens = 0, n_special = 0, n_sequences = 0;
    for (TokenisedDocument document; reader.Next(document); ++n_documents) {
      n_tokens += static_cast<int64_t>(document.ids.size());
      n_special += document.has_bos;
      n_sequences += static_cast<int64_t>(document.sequence_starts.size());
    }
    EXPECT_EQ(n_documents, expected["documents"]) << domain;
    EXPECT_EQ(n_tokens, expected["tokens"]) << domain;
    EXPECT_EQ(n_tokens - n_special, expected["plain_tokens"]) << domain;
    // Every token but a sequence's first is predicted.
    EXPECT_EQ(n_tokens - n_sequences, expected["predictions"]) << domain;
  }
}

}  // namespace
}  // namespace moescope::text
