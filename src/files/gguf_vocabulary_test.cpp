#include "files/gguf_vocabulary.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "files/tiny_model.h"
#include "files/tokenizer_json.h"

namespace moescope::files {
namespace {

// A file with what `fill` writes and one tensor.
std::unique_ptr<GgufFile> WriteAndOpen(const std::function<void(GgufWriter&)>& fill) {
  const std::string path = testing::TempDir() + "gguf_vocabulary_test." + std::to_string(getpid());
  GgufWriter writer;
  fill(writer);
  writer.DeclareTensor("t", DType::kF32, {1});
  writer.Begin(path);
  const float value = 1;
  writer.Append({reinterpret_cast<const std::byte*>(&value), sizeof(value)});
  writer.Commit();
  auto file = std::make_unique<GgufFile>(OpenFile(path));
  unlink(path.c_str());
  return file;
}

std::shared_ptr<const Vocabulary> Read(const GgufFile& file, std::string& note) {
  return ReadGgufVocabulary(GgufKeys(file), file, note);
}

// The tiny byte-level vocabulary with cuts that GGUF has a name for.
Vocabulary Nameable(const char* pattern, bool ignore_merges) {
  Vocabulary vocabulary = ParseTokenizerJson(TinyByteLevelJson(), "tiny");
  vocabulary.pre_tokeniser.erase(vocabulary.pre_tokeniser.begin() + 1);
  vocabulary.pre_tokeniser[0].pattern = pattern;
  vocabulary.ignore_merges = ignore_merges;
  return vocabulary;
}

TEST(GgufVocabulary, ComesBackAsItWasWritten) {
  for (const bool nfc : {false, true}) {
    Vocabulary vocabulary = Nameable(kLlama3Pattern, true);
    if (nfc) vocabulary.normaliser.emplace_back().kind = NormaliserStep::Kind::kNfc;
    const auto file = WriteAndOpen(
        [&](GgufWriter& writer) { EXPECT_EQ(AddGgufBpeVocabulary(vocabulary, 8, writer), ""); });
    std::string note;
    EXPECT_EQ(GgufKeys(*file).TextOr("tokenizer.ggml.pre", ""), "llama-bpe");
    EXPECT_EQ(Read(*file, note)->Identity(), vocabulary.Identity());
  }
}

TEST(GgufVocabulary, IsFilledUpToTheRowsOfTheModel) {
  const Vocabulary vocabulary = Nameable(kQwen2Pattern, false);
  const auto file = WriteAndOpen(
      [&](GgufWriter& writer) { EXPECT_EQ(AddGgufBpeVocabulary(vocabulary, 20, writer), ""); });
  std::string note;
  const auto read = Read(*file, note);
  ASSERT_EQ(read->pieces.size(), 20u);
  EXPECT_EQ(read->pieces[19].type, PieceType::kUnused);
  EXPECT_EQ(read->added_tokens.size(), 1u);
  EXPECT_FALSE(read->adds_bos);
}

TEST(GgufVocabulary, IsNotWrittenWhereGgufCannotSayIt) {
  GgufWriter writer;
  const uint64_t empty = writer.TotalBytes();
  Vocabulary vocabulary = Nameable("other", false);
  EXPECT_NE(AddGgufBpeVocabulary(vocabulary, 8, writer), "");
  vocabulary = Nameable(kQwen2Pattern, false);
  vocabulary.added_tokens[0].lstrip = true;
  EXPECT_NE(AddGgufBpeVocabulary(vocabulary, 8, writer), "");
  EXPECT_NE(AddGgufBpeVocabulary(ParseTokenizerJson(TinyTokenizerJson(), "tiny"), 300, writer), "");
  EXPECT_EQ(writer.TotalBytes(), empty);
}

// The keys of a gpt2 vocabulary of three pieces.
struct Gpt2Keys {
  std::string pre = "gpt-2";
  std::vector<std::string_view> tokens = {"a", "b", "ab"};
  std::vector<int32_t> types = {1, 1, 1};
  std::vector<std::string_view> merges = {"a b"};

  std::unique_ptr<GgufFile> File() const {
    return WriteAndOpen([this](GgufWriter& writer) {
      writer.AddText("tokenizer.ggml.model", "gpt2");
      writer.AddText("tokenizer.ggml.pre", pre);
      writer.AddTexts("tokenizer.ggml.tokens", tokens);
      writer.AddI32s("tokenizer.ggml.token_type", types);
      writer.AddTexts("tokenizer.ggml.merges", merges);
      writer.AddU32("tokenizer.ggml.bos_token_id", 2);
    });
  }
};

TEST(GgufVocabulary, ReadsNamesThatMeanTheSameAlike) {
  const auto identity = [](const std::string& pre) {
    std::string note;
    return Read(*Gpt2Keys{.pre = pre}.File(), note)->Identity();
  };
  EXPECT_EQ(identity("gpt-2"), identity("default"));
  EXPECT_EQ(identity("llama-bpe"), identity("llama3"));
  EXPECT_NE(identity("llama-bpe"), identity("qwen2"));
  EXPECT_NE(identity("smollm"), identity("gpt-2"));
}

TEST(GgufVocabulary, NamesTheCutsItKnowsWhereOneIsUnknown) {
  std::string note;
  EXPECT_EQ(Read(*Gpt2Keys{.pre = "tekken"}.File(), note), nullptr);
  EXPECT_NE(note.find("'tekken'"), std::string::npos) << note;
  EXPECT_NE(note.find("qwen2, smollm"), std::string::npos) << note;
}

TEST(GgufVocabulary, RefusesListsThatDoNotFit) {
  const auto refused = [](const Gpt2Keys& keys) {
    std::string note;
    EXPECT_THROW(Read(*keys.File(), note), Error);
  };
  refused({.types = {1, 1}});
  refused({.types = {1, 1, 7}});
  refused({.types = {1, 1, 6}});                                   // a byte piece
  refused({.tokens = {"a", "a", "aa"}});                           // a piece twice
  refused({.merges = {"a c"}});                                    // no such piece
  refused({.merges = {"ab"}});                                     // one word
  refused({.merges = {"a b c"}});                                  // three
  refused({.tokens = {"a", "b"}, .types = {1, 1}, .merges = {}});  // BOS is none of them
}

}  // namespace
}  // namespace moescope::files
