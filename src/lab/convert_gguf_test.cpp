#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/platform/file.h"
#include "base/tensor/convert_rows.h"
#include "files/tiny_model.h"
#include "lab/convert.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;
using files::TensorKind;
using files::TensorLocation;

class ConvertGguf : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "convert_gguf_test." + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string directory_;
};

std::string Fixture(const std::string& name) {
  const char* root = std::getenv("MOESCOPE_FIXTURES");
  return root == nullptr ? "" : std::string(root) + "/models/" + name;
}
#define SKIP_WITHOUT_FIXTURES() \
  if (Fixture("").empty()) GTEST_SKIP() << "skipped: no fixtures"

Checkpoint OpenTiny(const std::map<std::string, std::string>& contents) {
  return Checkpoint::Open(*files::MakeMemoryFolder("tiny", contents), "");
}

std::vector<std::byte> Bytes(const Checkpoint& checkpoint, const TensorLocation& location) {
  std::vector<std::byte> bytes(location.n_bytes);
  checkpoint.file(location.file).Read(location.offset, bytes);
  return bytes;
}

void ExpectEqualTensors(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const auto& [id, location] : a.tensors()) {
    const TensorLocation& other = b.tensor(id);
    EXPECT_EQ(location.dtype, other.dtype) << location.name;
    EXPECT_EQ(location.shape, other.shape) << location.name;
    EXPECT_EQ(Bytes(a, location), Bytes(b, other)) << location.name;
  }
}

ErrorKind KindOfConverting(const Checkpoint& checkpoint, const std::string& output, DType dtype) {
  try {
    ConvertToGguf(checkpoint, output, dtype);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

TEST_F(ConvertGguf, MatchesAFileWrittenByHand) {
  Checkpoint folder = OpenTiny(files::TinyFolder());
  ConvertToGguf(folder, Path("t.gguf"), DType::kBF16);
  Checkpoint converted = Checkpoint::Open(Path("t.gguf"));
  Checkpoint by_hand = Checkpoint::Open(
      *files::MakeMemoryFolder("tiny", {{"t.gguf", files::TinyGguf().bytes()}}), "t.gguf");
  EXPECT_EQ(converted.vocabulary()->Identity(), by_hand.vocabulary()->Identity());
  EXPECT_EQ(converted.config().rope_theta, by_hand.config().rope_theta);
  EXPECT_EQ(converted.config().context, by_hand.config().context);
  for (const auto& [id, location] : by_hand.tensors()) {
    const TensorLocation& other = converted.tensor(id);
    bool small = location.shape.size() == 1 || id.kind == TensorKind::kRouter;
    EXPECT_EQ(other.dtype, small ? DType::kF32 : DType::kBF16) << location.name;
    if (!small) {
      EXPECT_EQ(Bytes(by_hand, location), Bytes(converted, other)) << location.name;
    }
  }
}

TEST_F(ConvertGguf, ConvertingTwiceIsConvertingOnce) {
  Checkpoint folder = OpenTiny(files::TinyFolder());
  ConvertToGguf(folder, Path("direct.gguf"), DType::kQ8_0);
  ConvertToGguf(folder, Path("wide.gguf"), DType::kF32);
  ConvertToGguf(Checkpoint::Open(Path("wide.gguf")), Path("again.gguf"), DType::kQ8_0);
  EXPECT_EQ(ReadWholeFile(Path("direct.gguf"), 1 << 24),
            ReadWholeFile(Path("again.gguf"), 1 << 24));
}

TEST_F(ConvertGguf, EveryLayoutOfAModelGivesTheSameBytes) {
  // Mistral's own layout has no context and no token ids: those come from the tokenizer.
  auto own = files::TinyConsolidatedFolder();
  own["params.json"].insert(1, "\"max_position_embeddings\": 64, ");
  const std::map<std::string, std::string> sources[] = {files::TinyFolder(),
                                                        files::TinyShardedFolder(), own};
  for (size_t i = 0; i < std::size(sources); ++i) {
    ConvertToGguf(OpenTiny(sources[i]), Path(std::to_string(i)), DType::kF16);
    EXPECT_TRUE(ReadWholeFile(Path(std::to_string(i)), 1 << 24) ==
                ReadWholeFile(Path("0"), 1 << 24));
  }
}

TEST_F(ConvertGguf, RowsThatAreNotWholeBlocksKeepTheirType) {
  auto contents = files::TinyFolder();
  std::string& config = contents["config.json"];
  config.replace(config.find("\"intermediate_size\": 32"), 23, "\"intermediate_size\": 48");
  std::vector<files::TinyTensor> tensors = files::TinyTensors();
  for (files::TinyTensor& tensor : tensors) {
    if (tensor.name.find(".experts.") == std::string::npos) continue;
    bool down = tensor.name.find("w2") != std::string::npos;
    tensor.shape = down ? std::vector<int64_t>{32, 48} : std::vector<int64_t>{48, 32};
    tensor.bytes += tensor.bytes.substr(0, tensor.bytes.size() / 2);
  }
  contents["model.safetensors"] = files::WriteSafetensors(tensors);
  ConvertSummary summary = ConvertToGguf(OpenTiny(contents), Path("t.gguf"), DType::kQ8_0);
  ASSERT_EQ(summary.kept.size(), 2u);
  EXPECT_NE(summary.kept[0].find("blk.0.ffn_down_exps.weight stays BF16"), std::string::npos);
  Checkpoint converted = Checkpoint::Open(Path("t.gguf"));
  EXPECT_EQ(converted.tensor({TensorKind::kDownProj, 0, 1}).dtype, DType::kBF16);
  EXPECT_EQ(converted.tensor({TensorKind::kGateProj, 0, 1}).dtype, DType::kQ8_0);
}

TEST_F(ConvertGguf, RefusesValuesThatCannotBeWrittenAndLeavesNothing) {
  auto contents = files::TinyFolder();
  std::vector<files::TinyTensor> tensors = files::TinyTensors();
  auto convert_with = [&](const std::string& bf16, DType dtype) {
    tensors[1].bytes.replace(10, 2, bf16);
    contents["model.safetensors"] = files::WriteSafetensors(tensors);
    return KindOfConverting(OpenTiny(contents), Path("t.gguf"), dtype);
  };
  EXPECT_EQ(convert_with("\xc0\x7f", DType::kQ8_0), ErrorKind::kCorrupt);  // NaN
  EXPECT_EQ(convert_with("\x80\xff", DType::kBF16), ErrorKind::kCorrupt);  // -infinity
  EXPECT_EQ(convert_with("\xc0\x47", DType::kF16), ErrorKind::kBadInput);  // 98,304
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(ConvertGguf, UnwritableOutputIsAnIoError) {
  Checkpoint folder = OpenTiny(files::TinyFolder());
  EXPECT_EQ(KindOfConverting(folder, Path("none/t.gguf"), DType::kF32), ErrorKind::kIo);
}

TEST_F(ConvertGguf, TensorsEqualThoseOfLlamaCppsConverter) {
  SKIP_WITHOUT_FIXTURES();
  Checkpoint classic = Checkpoint::Open(Fixture("mixtral-classic"));
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    ConvertToGguf(classic, Path("t.gguf"), dtype);
    ExpectEqualTensors(
        Checkpoint::Open(Fixture(fmt::format("gguf/mixtral-classic-{}.gguf", Name(dtype)))),
        Checkpoint::Open(Path("t.gguf")));
  }
}

TEST_F(ConvertGguf, TheCommittedDemoModelIsReproducedByteForByte) {
  SKIP_WITHOUT_FIXTURES();
  const char* source = std::getenv("MOESCOPE_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "skipped: MOESCOPE_SOURCE_DIR is not set";
  ConvertToGguf(Checkpoint::Open(Fixture("demo-mixtral")), Path("demo.gguf"), DType::kQ8_0);
  EXPECT_TRUE(ReadWholeFile(Path("demo.gguf"), 1 << 26) ==
              ReadWholeFile(std::string(source) + "/demo/demo-mixtral-Q8_0.gguf", 1 << 26));
}

}  // namespace
}  // namespace moescope::lab
