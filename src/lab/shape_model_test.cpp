#include "lab/shape_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/tensor/convert_rows.h"
#include "files/checkpoint.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;

class ShapeModel : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "shape_model_test." + std::to_string(getpid());
  }
  void TearDown() override { fs::remove_all(folder_); }
  static ShapeModelOptions Small(DType dtype) {
    ShapeModelOptions options;
    options.shape = "demo";
    options.n_layers = 1;
    options.dtype = dtype;
    return options;
  }
  std::string folder_;
};

TEST_F(ShapeModel, IsACheckpointOfThatShapeInEveryType) {
  for (int type = 0; type < kNDTypes; ++type) {
    const auto dtype = static_cast<DType>(type);
    if (dtype == DType::kMXFP4) continue;
    const files::Checkpoint checkpoint =
        files::Checkpoint::Open(MakeShapeModel(Small(dtype), folder_));
    EXPECT_EQ(checkpoint.config().n_layers, 1);
    EXPECT_EQ(checkpoint.config().n_experts, 8);
    ASSERT_NE(checkpoint.vocabulary(), nullptr) << checkpoint.tokenizer_note();
    EXPECT_EQ(checkpoint.vocabulary()->pieces.size(), 4096u);
    EXPECT_EQ(checkpoint.tensor({files::TensorKind::kGateProj, 0, 3}).dtype, dtype);
    EXPECT_EQ(checkpoint.tensor({files::TensorKind::kRouter, 0}).dtype, DType::kF32);
  }
}

TEST_F(ShapeModel, HasWeightsThatKeepActivationsNearOne) {
  for (DType dtype : {DType::kBF16, DType::kQ8_0, DType::kQ4_K, DType::kQ2_K, DType::kQ3_K}) {
    const files::Checkpoint checkpoint =
        files::Checkpoint::Open(MakeShapeModel(Small(dtype), folder_));
    const files::TensorLocation& tensor = checkpoint.tensor({files::TensorKind::kUpProj, 0, 7});
    constexpr int kRows = 64;
    std::vector<float> row(256);
    std::vector<std::byte> bytes(kRows * *RowBytes(dtype, 256));
    checkpoint.ReadRows(tensor, 0, kRows, bytes);
    double squares = 0;
    for (int r = 0; r < kRows; ++r) {
      DequantiseRow(dtype, bytes.data() + static_cast<size_t>(r) * *RowBytes(dtype, 256), row);
      for (float value : row) squares += double{value} * value;
    }
    EXPECT_NEAR(std::sqrt(squares / kRows), 1, 0.05) << Name(dtype) << ": the length of a row";
  }
}

TEST_F(ShapeModel, IsMadeOnceAndTheSameEachTime) {
  const auto contents = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string path = MakeShapeModel(Small(DType::kQ4_0), folder_);
  const std::string first = contents(path);
  const auto written = fs::last_write_time(path);
  EXPECT_EQ(MakeShapeModel(Small(DType::kQ4_0), folder_), path);
  EXPECT_EQ(fs::last_write_time(path), written);
  fs::remove(path);
  EXPECT_EQ(contents(MakeShapeModel(Small(DType::kQ4_0), folder_)), first);
}

TEST_F(ShapeModel, NamesWhatItHasWhereAskedForSomethingElse) {
  ShapeModelOptions options = Small(DType::kQ4_0);
  options.shape = "mixtral";
  try {
    MakeShapeModel(options, folder_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("mixtral-8x7b"), std::string::npos);
  }
  options = Small(DType::kMXFP4);
  EXPECT_THROW(MakeShapeModel(options, folder_), Error);
  options = Small(DType::kQ4_0);
  options.n_layers = 9;
  EXPECT_THROW(MakeShapeModel(options, folder_), Error);
}

}  // namespace
}  // namespace moescope::lab
