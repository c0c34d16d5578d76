// The tokenizers against ids of SentencePiece and of the tokenizers library, and the sequences of a
// corpus against counts made elsewhere, both from the fixtures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/platform/file.h"
#include "files/tokenizer_json.h"
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
  const std::string bytes = ReadWholeFile(path, 1 << 26);
  return MakeTokenizer(std::make_shared<files::Vocabulary>(
      path.ends_with(".json") ? files::ParseTokenizerJson(bytes, path)
                              : files::ParseSentencePieceModel(bytes, path)));
}

struct GoldenSet {
  const char* file;  // the vocabulary, in its folder
  const char* cases;
  const char* ids;  // where a case has ids of its own for this file
  size_t n_cases;
  Specials specials = Specials::kByFormat;
};

// The test's name would hold an address, another one each time.
void PrintTo(const GoldenSet& set, std::ostream* out) {
  *out << set.file;
}

class TokenizerGolden : public testing::TestWithParam<GoldenSet> {
 protected:
  void SetUp() override {
    if (Fixtures().empty()) GTEST_SKIP() << "skipped: no fixtures";
    path_ = Fixtures() + "/models/tokenizers/" + GetParam().file;
    tokenizer_ = OpenTokenizer(path_);
  }
  // Decoding leaves special tokens out; here they are wanted.
  std::string DecodeAll(const std::vector<int32_t>& ids) const {
    std::string text;
    bool at_start = true;
    for (const int32_t id : ids) {
      text += tokenizer_->IsControl(id) ? tokenizer_->TokenText(id)
                                        : tokenizer_->NextBytes(id, at_start);
    }
    return text;
  }

  std::string path_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TokenizerGolden, IdsDecodedTextAndByteRangesAreThoseOfTheReference) {
  std::ifstream cases(path_.substr(0, path_.rfind('/') + 1) + GetParam().cases);
  ASSERT_TRUE(cases.is_open());
  size_t n_cases = 0;
  Encoding encoding;
  for (std::string line; std::getline(cases, line); ++n_cases) {
    const auto expected = nlohmann::json::parse(line);
    const std::string text = expected["text"];
    const bool own = expected.contains(GetParam().ids);
    tokenizer_->Encode(text, {GetParam().specials, SpacePrefix::kByFormat}, encoding);
    ASSERT_EQ(encoding.ids, expected[own ? GetParam().ids : "ids"].get<std::vector<int32_t>>())
        << line;
    // Decoded texts are given for the ids that all have in common.
    if (!own) {
      ASSERT_EQ(DecodeAll(encoding.ids), expected.value("decoded", text)) << line;
    }
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

constexpr const char* kSpCases = "tokenizer-cases.jsonl";
constexpr const char* kByteCases = "bytelevel-cases.jsonl";

INSTANTIATE_TEST_SUITE_P(
    Fixtures, TokenizerGolden,
    testing::Values(
        GoldenSet{"sp-4096/tokenizer.model", kSpCases, "ids", 3001},
        GoldenSet{"sp-4096/tokenizer.json", kSpCases, "ids_hf", 3001},
        GoldenSet{"sp-4096/tokenizer-metaspace.json", kSpCases, "ids_hf_metaspace", 3001},
        GoldenSet{"sp-512/tokenizer.model", kSpCases, "ids", 647},
        GoldenSet{"sp-512/tokenizer.json", kSpCases, "ids_hf", 647},
        GoldenSet{"sp-512/tokenizer-metaspace.json", kSpCases, "ids_hf_metaspace", 647},
        GoldenSet{"bytelevel-gpt2/tokenizer.json", kByteCases, "ids", 1002},
        GoldenSet{"bytelevel-llama3/tokenizer.json", kByteCases, "ids", 1002},
        // One format read as the other has it.
        GoldenSet{"sp-4096/tokenizer.model", kSpCases, "ids_hf", 3001, Specials::kRecognised},
        GoldenSet{"sp-4096/tokenizer.json", kSpCases, "ids", 3001, Specials::kAsText}));

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
