#include "lab/model_hashes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/platform/file.h"
#include "files/tiny_model.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;

class ModelHashesTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "model_hashes_test." + std::to_string(getpid());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::map<std::string, std::string>& contents) const {
    for (const auto& [name, content] : contents) {
      std::ofstream(Path(name), std::ios::binary) << content;
    }
  }
  // Flips a bit of a file.
  void Flip(const std::string& name, uint64_t offset, int bit) const {
    std::fstream file(Path(name), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get() ^ (1 << bit);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte));
  }
  std::string directory_;
};

ModelHashes Hash(const std::string& path) {
  return HashModel(Checkpoint::Open(path), [](uint64_t) {});
}

ModelHashes HashMemory(const std::map<std::string, std::string>& contents) {
  return HashModel(Checkpoint::Open(*files::MakeMemoryFolder("tiny", contents), ""),
                   [](uint64_t) {});
}

uint64_t BytesOfParts(const ModelHashes& hashes) {
  uint64_t total = 0;
  for (const HashedPart& part : hashes.parts) total += part.n_bytes;
  return total;
}

TEST_F(ModelHashesTest, EveryByteOfEveryFileIsInOnePart) {
  const std::map<std::string, std::string> gguf = {{"t.gguf", files::TinyGguf().bytes()}};
  for (const auto& contents :
       {files::TinyFolder(), files::TinyConsolidatedFolder(), files::TinyShardedFolder(), gguf}) {
    const ModelHashes hashes = HashMemory(contents);
    EXPECT_EQ(BytesOfParts(hashes), hashes.n_bytes());
    EXPECT_GT(hashes.n_tensors(), 20U);
    std::set<std::pair<int, std::string>> names;
    for (const HashedPart& part : hashes.parts) {
      EXPECT_TRUE(names.insert({part.file, part.name}).second) << part.name;
    }
  }
}

TEST_F(ModelHashesTest, ProgressEndsAtTheBytesToHash) {
  Write(files::TinyFolder());
  const Checkpoint checkpoint = Checkpoint::Open(directory_);
  uint64_t last = 0;
  const ModelHashes hashes = HashModel(checkpoint, [&](uint64_t done) { last = done; });
  EXPECT_EQ(last, BytesToHash(checkpoint));
  EXPECT_EQ(last, hashes.n_bytes());
  EXPECT_EQ(hashes.files.size(), 3U);  // weights, config.json, tokenizer.model
}

TEST_F(ModelHashesTest, OneFlippedBitAnywhereIsFoundAndNamed) {
  const std::string gguf = files::TinyGguf().bytes();
  Write({{"t.gguf", gguf}});
  const ModelHashes recorded = Hash(Path("t.gguf"));
  for (const HashedPart& part : recorded.parts) {
    if (part.is_rest) continue;
    const uint64_t at = part.offset + part.n_bytes - 1;
    Flip("t.gguf", at, 6);
    const auto problems = CompareModelHashes(recorded, Hash(Path("t.gguf")));
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].part, part.name);
    EXPECT_EQ(problems[0].file, "t.gguf");
    EXPECT_NE(problems[0].what.find("expected hash "), std::string::npos);
    Flip("t.gguf", at, 6);
  }
  EXPECT_TRUE(CompareModelHashes(recorded, Hash(Path("t.gguf"))).empty());
}

TEST_F(ModelHashesTest, AMergedTensorIsHashedByExpert) {
  const ModelHashes hashes = HashMemory({{"t.gguf", files::TinyGguf().bytes()}});
  const auto named = [&](const std::string& name) {
    return std::any_of(hashes.parts.begin(), hashes.parts.end(),
                       [&](const HashedPart& part) { return part.name == name; });
  };
  EXPECT_TRUE(named("blk.1.ffn_down_exps.weight (expert 0)"));
  EXPECT_TRUE(named("blk.1.ffn_down_exps.weight (expert 1)"));
  EXPECT_TRUE(named("blk.1.attn_q.weight"));
}

TEST_F(ModelHashesTest, HeaderAndFilesBesideTheWeightsCount) {
  Write(files::TinyFolder());
  const ModelHashes recorded = Hash(directory_);
  Flip("tokenizer.model", 5, 0);
  std::ofstream(Path("config.json"), std::ios::app) << "\n";
  std::ofstream(Path("generation_config.json")) << "{\"eos_token_id\": 2}";
  std::ofstream(Path("notes.txt")) << "not part of the model";
  const Checkpoint changed = Checkpoint::Open(directory_);
  const auto problems = CompareModelHashes(recorded, HashModel(changed, [](uint64_t) {}));
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(problems[0].file, "config.json");
  EXPECT_NE(problems[0].what.find("bytes, found"), std::string::npos);
  EXPECT_EQ(problems[1].file, "tokenizer.model");
  EXPECT_EQ(problems[2].file, "generation_config.json");
  EXPECT_EQ(problems[2].what, "not recorded");
}

TEST_F(ModelHashesTest, ATensorThatIsGoneIsNamed) {
  const ModelHashes recorded = HashMemory(files::TinyShardedFolder());
  ModelHashes found = recorded;
  found.parts.erase(found.parts.begin());
  const auto problems = CompareModelHashes(recorded, found);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].part, recorded.parts[0].name);
  EXPECT_EQ(problems[0].what, "not there any more");
}

TEST_F(ModelHashesTest, AConfigurationAloneIsRefused) {
  Write({{"config.json", files::TinyConfigJson()}});
  try {
    Hash(directory_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
  }
}

TEST_F(ModelHashesTest, WhatIsWrittenIsRead) {
  Write(files::TinyFolder());
  const ModelHashes hashes = Hash(directory_);
  const std::string path = ModelHashesPath(Path("cache/deeper"), directory_);
  WriteModelHashes(path, hashes);
  const ModelHashes read = ReadModelHashes(
      path, directory_ + "/../" + std::filesystem::path(directory_).filename().string());
  EXPECT_EQ(FormatModelHashes(read), FormatModelHashes(hashes));
  EXPECT_TRUE(CompareModelHashes(read, hashes).empty());
  EXPECT_GT(read.files[0].modified, 1'700'000'000 * int64_t{1'000'000'000});
}

TEST_F(ModelHashesTest, HashesOfAnotherModelAreRefused) {
  const std::string path = Path("hashes.json");
  WriteModelHashes(path, HashMemory(files::TinyFolder()));
  try {
    ReadModelHashes(path, directory_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  }
}

ErrorKind KindOfParsing(const std::string& text) {
  try {
    ParseModelHashes(text, "cache/x.json");
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cache/x.json"), std::string::npos) << error.what();
    return error.kind();
  }
  return ErrorKind::kInternal;  // none
}

TEST_F(ModelHashesTest, AnyChangedByteOfTheRecordIsRefused) {
  const std::string text = FormatModelHashes(HashMemory(files::TinyFolder()));
  for (size_t i = 0; i < text.size(); i += 7) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    ASSERT_EQ(KindOfParsing(changed), ErrorKind::kCorrupt) << i;
    ASSERT_EQ(KindOfParsing(text.substr(0, i)), ErrorKind::kCorrupt) << i;
  }
}

// Text whose hash at the end is right: what a forger writes.
std::string Sealed(const std::string& from, const std::string& to) {
  ModelHashes hashes;
  hashes.model = "/m";
  hashes.files = {{"a", 100, 1}};
  hashes.parts = {{.file = 0, .name = "w", .offset = 10, .n_bytes = 90, .xxh3 = 255}};
  std::string text = FormatModelHashes(hashes);
  const std::string end = ",\n\"own_xxh3\"";
  text.resize(text.find(end));
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return SealModelHashes(text.replace(at, from.size(), to));
}

TEST_F(ModelHashesTest, ForgedRecordsAreRefusedByName) {
  EXPECT_EQ(KindOfParsing(Sealed("\"/m\"", "\"/m\"")), ErrorKind::kInternal);  // the frame is right
  const std::pair<const char*, std::string> forgeries[] = {
      {"moescope model", "other model"},
      {"\"/m\"", "5"},
      {"\"/m\"", "\"\xff\""},
      {"[\"a\", 100, 1]", ""},
      {"[\"a\", 100, 1]", "[\"a\", 100]"},
      {"[\"a\", 100, 1]", "[\"a\", -1, 1]"},
      {"[\"a\", 100, 1]", "[\"a\", 1e3, 1]"},
      {"[\"a\", 100, 1]", "[\"a\", 18446744073709551615, 1]"},
      {"[0, \"w\"", "[1, \"w\""},
      {"[0, \"w\"", "[-1, \"w\""},
      {"[0, \"w\"", "[0, 7"},
      {"\"w\", 0, 10, 90", "\"w\", 2, 10, 90"},
      {"\"w\", 0, 10, 90", "\"w\", 0, 10, 91"},
      {"\"w\", 0, 10, 90", "\"w\", 0, 101, 0"},
      {"\"w\", 0, 10, 90", "\"w\", 0, 18446744073709551615, 2"},
      {"00000000000000ff", "00000000000000fg"},
      {"00000000000000ff", "ff"},
      {"\"parts\": [", "\"parts\": [[0, \"w\", 0, 10, 90, \"00000000000000ff\"],"},
      {"\"parts\": [", "\"parts\": " + std::string(100'000, '[')},
      {"\"model\": ", "\"model\": 1, \"model\": "},
      {"{", "["},
  };
  for (const auto& [from, to] : forgeries) {
    EXPECT_EQ(KindOfParsing(Sealed(from, to)), ErrorKind::kCorrupt)
        << from << " -> " << to.substr(0, 80);
  }
  EXPECT_EQ(KindOfParsing(Sealed("\"schema_version\": 1", "\"schema_version\": 2")),
            ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace moescope::lab
