// Converted models through the engine: the answers of another implementation from GGUF, and from
// GGUF and back the bits of the model converted.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "engine/model/model.h"
#include "engine/model/sweep.h"
#include "files/safetensors.h"
#include "lab/convert.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;

std::vector<float> Logits(const std::string& model_path, const std::vector<int32_t>& ids) {
  const std::unique_ptr<engine::Model> model = engine::Model::Open(model_path);
  const auto n = static_cast<int>(ids.size());
  engine::Wave wave;
  wave.Add(0, 0, ids);
  ThreadPool pool(2);
  engine::Sweep sweep(*model, engine::SelectKernels(), pool, {.wave_rows = n, .max_sequence = n});
  sweep.Run(wave, {});
  std::vector<int64_t> rows(ids.size());
  for (size_t row = 0; row < rows.size(); ++row) rows[row] = static_cast<int64_t>(row);
  return sweep.Logits(rows);
}

class ConvertedModel : public testing::TestWithParam<const char*> {};

TEST_P(ConvertedModel, AnswersAsTheModelConverted) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  const std::string models = std::string(fixtures) + "/models/", name = GetParam();
  const auto golden = files::SafetensorsFile::Open(models + name + "/golden.safetensors");
  std::vector<int32_t> ids;
  for (int64_t id : golden.ReadInts("input_ids.2")) ids.push_back(static_cast<int32_t>(id));
  const std::string directory =
      testing::TempDir() + "convert_golden_test." + name + "." + std::to_string(getpid());
  std::filesystem::create_directories(directory);
  const std::string gguf = directory + "/model.gguf", folder = directory + "/folder";
  ConvertToGguf(Checkpoint::Open(models + name), gguf, DType::kF32);
  ConvertToSafetensors(Checkpoint::Open(gguf), folder, {});

  const std::vector<float> expected = golden.ReadFloats("logits.2"), found = Logits(gguf, ids);
  ASSERT_EQ(found.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - expected[i]);
    if (!(difference <= largest)) largest = difference;  // NaN too
  }
  EXPECT_LE(largest, 2e-4);
  std::printf("%s: logits of the GGUF %.1e\n", name.c_str(), largest);
  // Sums over a head run in the order of its rows: the bits of the classic layout are compared.
  const std::string same_bits = name == "mixtral-consolidated" ? "mixtral-classic" : name;
  EXPECT_TRUE(Logits(folder, ids) == Logits(models + same_bits, ids)) << "other bits";
  std::filesystem::remove_all(directory);
}

std::string TestName(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Convert, ConvertedModel,
                         testing::Values("mixtral-classic", "mixtral-fused", "mixtral-consolidated",
                                         "mixtral-bf16", "mixtral-top1", "mixtral-top3",
                                         "mixtral-16experts", "mistral-swa", "llama-tied",
                                         "llama3-rope", "gpt2", "olmoe", "qwen3-moe"),
                         TestName);

}  // namespace
}  // namespace moescope::lab
