#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/platform/file.h"
#include "lab/convert.h"
#include "lab/convert_test_models.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;
using files::Checkpoint;
using files::TensorKind;

class ConvertSafetensors : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "convert_safetensors_test." + std::to_string(getpid());
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string Text(const std::string& name) const { return ReadWholeFile(Path(name), 1 << 24); }
  std::string directory_;
};

ErrorKind KindOfConverting(const Checkpoint& checkpoint, const std::string& output,
                           const SafetensorsOptions& options = {}) {
  try {
    ConvertToSafetensors(checkpoint, output, options);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

void ExpectEqualValues(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const auto& [id, location] : a.tensors()) {
    EXPECT_EQ(location.dtype, b.tensor(id).dtype) << location.name;
    EXPECT_EQ(ValuesInHalves(a, id), ValuesInHalves(b, id)) << location.name;
  }
}

TEST_F(ConvertSafetensors, EveryLayoutOfAModelBecomesTheClassicOne) {
  const Checkpoint classic = OpenInMemory(files::TinyFolder());
  const std::map<std::string, std::map<std::string, std::string>> sources = {
      {"classic", files::TinyFolder()},
      {"sharded", files::TinyShardedFolder()},
      {"consolidated", files::TinyConsolidatedFolder()},
      {"gguf", {{"t.gguf", files::TinyGguf().bytes()}}},
      {"split gguf",
       {{"m-00001-of-00002.gguf", files::TinyGguf(0, 2).bytes()},
        {"m-00002-of-00002.gguf", files::TinyGguf(1, 2).bytes()}}}};
  for (const auto& [name, source] : sources) {
    const std::string output = Path(name);
    const ConvertSummary summary = ConvertToSafetensors(OpenInMemory(source), output, {});
    EXPECT_EQ(summary.dtype, DType::kBF16);
    EXPECT_EQ(summary.n_tensors, files::TinyTensors().size());
    EXPECT_TRUE(summary.kept.empty());
    const Checkpoint written = Checkpoint::Open(output);
    ExpectEqualValues(classic, written);
    EXPECT_EQ(written.vocabulary()->Identity(), classic.vocabulary()->Identity());
    EXPECT_EQ(written.config().bos_id, 1);  // also where only the tokenizer says so
    EXPECT_FALSE(fs::exists(output + ".partial"));
  }
}

TEST_F(ConvertSafetensors, LargeModelsAreSplitAndIndexed) {
  const Checkpoint source = OpenInMemory(files::TinyFolder());
  const ConvertSummary summary =
      ConvertToSafetensors(source, Path("split"), {.max_file_bytes = 20'000});
  int n_shards = 0;
  uint64_t n_bytes = 0;
  for (const std::string& name : summary.files) {
    n_bytes += fs::file_size(Path("split/" + name));
    if (!name.ends_with(".safetensors")) continue;
    ++n_shards;
    EXPECT_LT(fs::file_size(Path("split/" + name)), 20'000u + 4'000u) << name;
  }
  EXPECT_EQ(summary.bytes_written, n_bytes);
  EXPECT_TRUE(fs::exists(Path(fmt::format("split/model-00001-of-{:05}.safetensors", n_shards))));
  EXPECT_TRUE(fs::exists(Path("split/model.safetensors.index.json")));
  EXPECT_FALSE(fs::exists(Path("split/model.safetensors")));
  const Checkpoint written = Checkpoint::Open(Path("split"));
  EXPECT_EQ(written.files().size(), static_cast<size_t>(n_shards));
  EXPECT_GT(n_shards, 2);
  ExpectEqualValues(source, written);
  // A tensor larger than the limit has a file of its own.
  ConvertToSafetensors(source, Path("each"), {.max_file_bytes = 1});
  ExpectEqualValues(source, Checkpoint::Open(Path("each")));
}

TEST_F(ConvertSafetensors, WhatIsQuantisedBecomesBf16AndVectorsThatItWouldRoundStayF32) {
  auto contents = files::TinyFolder();
  std::vector<files::TinyTensor> tensors = files::TinyTensors();
  for (files::TinyTensor& tensor : tensors) {
    if (tensor.name != "model.norm.weight") continue;
    const std::vector<float> values(32, 0.1f);  // no bfloat16
    tensor.dtype = "F32";
    tensor.bytes.assign(reinterpret_cast<const char*>(values.data()), 128);
  }
  contents["model.safetensors"] = files::WriteSafetensors(tensors);
  ConvertToGguf(OpenInMemory(contents), Path("t.gguf"), DType::kQ8_0);
  const Checkpoint gguf = Checkpoint::Open(Path("t.gguf"));
  const ConvertSummary summary = ConvertToSafetensors(gguf, Path("folder"), {});
  EXPECT_EQ(summary.dtype, DType::kBF16);
  ASSERT_EQ(summary.kept.size(), 1u);
  EXPECT_EQ(summary.kept[0], "model.norm.weight stays F32: BF16 would round it");
  const Checkpoint written = Checkpoint::Open(Path("folder"));
  EXPECT_EQ(ValuesOf(written, written.tensor({TensorKind::kFinalNorm})),
            std::vector<float>(32, 0.1f));
  EXPECT_EQ(written.tensor({TensorKind::kRouter, 1}).dtype, DType::kBF16);
  EXPECT_EQ(written.tensor({TensorKind::kGateProj, 1, 1}).dtype, DType::kBF16);
  EXPECT_NE(Text("folder/config.json").find("\"torch_dtype\": \"bfloat16\""), std::string::npos);
}

TEST_F(ConvertSafetensors, TheTokenizersFilesOfAFolderAreCopied) {
  fs::create_directory(Path("source"));
  auto contents = files::TinyFolder();
  contents["tokenizer_config.json"] = "{\"a\": 1}";
  contents["chat_template.jinja"] = "{{ messages }}";
  contents["README.md"] = "not a tokenizer";
  for (const auto& [name, content] : contents) std::ofstream(Path("source/" + name)) << content;
  const ConvertSummary summary =
      ConvertToSafetensors(Checkpoint::Open(Path("source")), Path("folder"), {});
  EXPECT_EQ(summary.tokenizer_note, "");
  for (const char* name : {"tokenizer.model", "tokenizer_config.json", "chat_template.jinja"}) {
    EXPECT_EQ(Text(std::string("folder/") + name), contents[name]);
  }
  EXPECT_FALSE(fs::exists(Path("folder/README.md")));
  // One file of a folder is the folder's model, too.
  ConvertToSafetensors(Checkpoint::Open(Path("source/model.safetensors")), Path("again"), {});
  EXPECT_TRUE(fs::exists(Path("again/chat_template.jinja")));
}

TEST_F(ConvertSafetensors, AModelWithoutTokenizerIsWrittenWithANote) {
  auto contents = files::TinyFolder();
  contents.erase("tokenizer.model");
  EXPECT_NE(ConvertToSafetensors(OpenInMemory(contents), Path("a"), {}).tokenizer_note, "");
  EXPECT_NE(ConvertToGguf(OpenInMemory(contents), Path("t.gguf"), DType::kF16).tokenizer_note, "");
  const Checkpoint gguf = Checkpoint::Open(Path("t.gguf"));
  EXPECT_NE(ConvertToSafetensors(gguf, Path("b"), {}).tokenizer_note, "");
  EXPECT_TRUE(Checkpoint::Open(Path("b")).has_weights());
}

TEST_F(ConvertSafetensors, RefusesWhatItCannotWriteAndLeavesNothing) {
  const Checkpoint source = OpenInMemory(files::TinyFolder());
  EXPECT_EQ(KindOfConverting(source, Path("a"), {.dtype = DType::kQ8_0}), ErrorKind::kBadInput);
  EXPECT_EQ(KindOfConverting(source, Path("none/a")), ErrorKind::kIo);
  auto contents = files::TinyFolder();
  std::vector<files::TinyTensor> tensors = files::TinyTensors();
  auto convert_with = [&](const std::string& bf16, DType dtype) {
    tensors[1].bytes.replace(10, 2, bf16);
    contents["model.safetensors"] = files::WriteSafetensors(tensors);
    return KindOfConverting(OpenInMemory(contents), Path("a"), {.dtype = dtype});
  };
  EXPECT_EQ(convert_with("\xc0\x7f", DType::kBF16), ErrorKind::kCorrupt);  // NaN
  EXPECT_EQ(convert_with("\x80\xff", DType::kF32), ErrorKind::kCorrupt);   // -infinity
  EXPECT_EQ(convert_with("\xc0\x47", DType::kF16), ErrorKind::kBadInput);  // 98,304
  contents.erase("model.safetensors");
  EXPECT_EQ(KindOfConverting(OpenInMemory(contents), Path("a")), ErrorKind::kUnsupported);
  EXPECT_TRUE(fs::is_empty(directory_));
  fs::create_directory(Path("used"));
  std::ofstream(Path("used/a")) << "text";
  EXPECT_EQ(KindOfConverting(source, Path("used")), ErrorKind::kBadInput);
  EXPECT_EQ(Text("used/a"), "text");
}

// In a process of its own: the flag that a signal sets stays set.
TEST_F(ConvertSafetensors, ACancelledConversionLeavesNothing) {
  const Checkpoint source = OpenInMemory(files::TinyFolder());
  auto convert_cancelled = [&] {
    InstallCancellationSignals();
    std::raise(SIGINT);
    const bool folder = KindOfConverting(source, Path("a")) == ErrorKind::kCancelled;
    try {
      ConvertToGguf(source, Path("t.gguf"), DType::kF32);
    } catch (const Error& error) {
      const bool file = error.kind() == ErrorKind::kCancelled;
      std::_Exit(folder && file && fs::is_empty(directory_) ? 0 : 1);
    }
    std::_Exit(2);
  };
  EXPECT_EXIT(convert_cancelled(), testing::ExitedWithCode(0), "");
}

TEST_F(ConvertSafetensors, TheSameModelGivesTheSameBytes) {
  for (const char* name : {"a", "b"}) {
    ConvertToSafetensors(OpenInMemory(files::TinyFolder()), Path(name), {});
  }
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.model"}) {
    EXPECT_TRUE(Text(std::string("a/") + name) == Text(std::string("b/") + name)) << name;
  }
}

}  // namespace
}  // namespace moescope::lab
