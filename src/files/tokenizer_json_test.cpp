#include "files/tokenizer_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "files/checkpoint.h"
#include "files/folder_vocabulary.h"
#include "files/tiny_model.h"

namespace moescope::files {
namespace {

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string Refusal(const std::string& json) {
  try {
    ParseTokenizerJson(json, "tokenizer.json");
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kUnsupported ? error.what() : "corrupt";
  }
  return "accepted";
}

TEST(TokenizerJson, ReadsPiecesMergesAddedTokensAndSteps) {
  const Vocabulary vocabulary = ParseTokenizerJson(TinyTokenizerJson(), "tokenizer.json");
  ASSERT_EQ(vocabulary.pieces.size(), 264u);
  EXPECT_EQ(vocabulary.kind, TokenizerKind::kBpe);
  EXPECT_FALSE(vocabulary.IsByteLevel());
  EXPECT_EQ(vocabulary.pieces[13].type, PieceType::kByte);
  EXPECT_EQ(vocabulary.pieces[1].type, PieceType::kControl);
  EXPECT_EQ(vocabulary.pieces[263].text, "<tool>");
  EXPECT_EQ(vocabulary.pieces[263].type, PieceType::kUserDefined);
  EXPECT_EQ(vocabulary.unknown_id, 0);
  EXPECT_EQ(vocabulary.bos_id, 1);
  EXPECT_TRUE(vocabulary.adds_bos);
  ASSERT_EQ(vocabulary.merges.size(), 2u);
  EXPECT_EQ(vocabulary.merges[0].merged, 261);
  EXPECT_EQ(vocabulary.normaliser.size(), 4u);
  EXPECT_EQ(vocabulary.decoder.size(), 4u);
  EXPECT_TRUE(vocabulary.added_tokens[0].in_model);
  EXPECT_FALSE(vocabulary.added_tokens[3].in_model);
}

TEST(TokenizerJson, ReadsMergesAsWordsAndAsPairsAlike) {
  const std::string words = TinyByteLevelJson();
  const std::string pairs =
      Replaced(words, R"(["\u0120 a", "a b"])", R"([["\u0120", "a"], ["a", "b"]])");
  EXPECT_EQ(ParseTokenizerJson(words, "a").Identity(), ParseTokenizerJson(pairs, "b").Identity());
  EXPECT_TRUE(ParseTokenizerJson(words, "a").IsByteLevel());
}

TEST(TokenizerJson, RefusesByNameWhatIsNotFollowed) {
  const std::string json = TinyByteLevelJson();
  const std::pair<const char*, const char*> changes[] = {
      {R"("type": "BPE")", R"("type": "WordPiece")"},
      {R"("type": "BPE")", R"("type": "Unigram")"},
      {R"("type": "Digits", "individual_digits": true)", R"("type": "UnicodeScripts")"},
      {R"("normalizer": null)", R"("normalizer": {"type": "BertNormalizer"})"},
      {R"("normalizer": null)",
       R"("normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"})"},
      {R"("decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, )"
       R"("use_regex": true})",
       R"("decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true})"},
      {R"("dropout": null)", R"("dropout": 0.1)"},
      {R"("unk_token": null)", R"("unk_token": null, "end_of_word_suffix": "</w>")"},
      {R"("byte_fallback": false)", R"("byte_fallback": true)"},
      {R"("unk_token": null)", R"("unk_token": null, "surprise": 1)"},
      {R"("version": "1.0")", R"("version": "2.0")"},
  };
  for (const auto& [from, to] : changes) {
    const std::string refusal = Refusal(Replaced(json, from, to));
    EXPECT_NE(refusal.find("supported is"), std::string::npos) << to << ": " << refusal;
  }
}

TEST(TokenizerJson, IdentityFollowsEveryPart) {
  const std::string json = TinyTokenizerJson();
  const std::string identity = ParseTokenizerJson(json, "a").Identity();
  const std::pair<const char*, const char*> changes[] = {
      {R"([["\u2581", "a"], ["a", "a"]])", R"([["a", "a"], ["\u2581", "a"]])"},
      {R"("type": "NFC")", R"("type": "NFD")"},
      {R"("split": true)", R"("split": false)"},
      {R"("lstrip": false)", R"("lstrip": true)"},
      {R"("fuse_unk": true)", R"("fuse_unk": false)"},
      {R"("start": 1)", R"("start": 0)"},
  };
  for (const auto& [from, to] : changes) {
    EXPECT_NE(ParseTokenizerJson(Replaced(json, from, to), "a").Identity(), identity) << to;
  }
}

std::shared_ptr<const Vocabulary> VocabularyOf(std::map<std::string, std::string> contents) {
  return Checkpoint::Open(*MakeMemoryFolder("model", contents), "").vocabulary();
}

TEST(FolderVocabulary, PrefersTokenizerModelWhereItIsOne) {
  std::map<std::string, std::string> contents = TinyFolder();
  // The tiny model has 261 rows: a vocabulary of its size.
  contents["tokenizer.json"] = TinyByteLevelJson();
  EXPECT_EQ(VocabularyOf(contents)->kind, TokenizerKind::kSentencePiece);
  contents["tokenizer.model"] = "IQ== 0\nIg== 1\n";  // of tiktoken
  EXPECT_EQ(VocabularyOf(contents)->kind, TokenizerKind::kBpe);
  contents.erase("tokenizer.model");
  EXPECT_EQ(VocabularyOf(contents)->kind, TokenizerKind::kBpe);
  contents["tokenizer.json"] = Replaced(TinyByteLevelJson(), "\"BPE\"", "\"Unigram\"");
  EXPECT_EQ(VocabularyOf(contents), nullptr);
}

TEST(FolderVocabulary, TakesBosAndEosFromTheConfigurations) {
  auto read = [](const std::string& config) {
    std::map<std::string, std::string> contents = {{"tokenizer.json", TinyByteLevelJson()}};
    if (!config.empty()) contents["tokenizer_config.json"] = config;
    return ReadFolderTokenizerJson(*MakeMemoryFolder("model", contents), 7, 9);
  };
  EXPECT_EQ(read("").bos_id, 7);
  EXPECT_EQ(read("").eos_id, -1);  // the vocabulary has no 9
  EXPECT_FALSE(read("").adds_bos);
  const Vocabulary told =
      read(R"({"bos_token": null, "eos_token": {"content": "<|end|>"}, "add_bos_token": true})");
  EXPECT_EQ(told.bos_id, -1);
  EXPECT_EQ(told.eos_id, 7);
  EXPECT_FALSE(told.adds_bos);
  EXPECT_TRUE(read(R"({"bos_token": "<|end|>", "add_bos_token": true})").adds_bos);
  EXPECT_THROW(read(R"({"bos_token": "<none>"})"), Error);
}

}  // namespace
}  // namespace moescope::files
