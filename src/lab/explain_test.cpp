#include "lab/explain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/model/tiny_model.h"

namespace moescope::lab {
namespace {

std::vector<int32_t> Ids(int n, int vocab_size) {
  std::vector<int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back((i * 37 + 5) % vocab_size);
  return ids;
}

// Parts of the margin of every layer of the token at `position` add up to it.
void ExpectPartsAddUp(const engine::Model& model, const std::vector<int32_t>& ids,
                      int64_t position) {
  const std::vector<LayerRecord> layers = RecordToken(model, ids, position, 2);
  for (int layer = 0; layer < model.config().n_layers; ++layer) {
    const LayerCheck check = CheckLayer(model, layers[static_cast<size_t>(layer)], layer);
    EXPECT_EQ(check.attention, 0);
    EXPECT_EQ(check.experts, 0);
    if (model.config().dense()) continue;
    const RouteExplanation why = ExplainRoute(model, layers, layer, -1, -1);
    double size = 0;
    for (const MarginPart& part : why.parts) size += std::abs(part.value);
    EXPECT_GT(why.margin, 0);
    EXPECT_NEAR(why.sum, why.margin, 1e-4 * std::max(std::abs(why.margin), 0.01 * size))
        << "layer " << layer;
  }
}

TEST(Explain, PartsOfAMarginAddUpToIt) {
  const std::string path = engine::WriteTinyModel(engine::OddTinyConfig(), DType::kBF16, 3);
  const auto model = engine::Model::Open(path);
  ExpectPartsAddUp(*model, Ids(70, model->config().vocab_size), 66);
  ExpectPartsAddUp(*model, Ids(1, model->config().vocab_size), 0);
  std::filesystem::remove_all(path);
}

TEST(Explain, PartsAddUpInTheFixtures) {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "skipped: no fixtures";
  for (const char* name : {"mixtral-classic", "olmoe", "qwen3-moe", "gpt2", "llama-tied"}) {
    const auto model = engine::Model::Open(std::string(fixtures) + "/models/" + name);
    ExpectPartsAddUp(*model, Ids(40, model->config().vocab_size), 33);
  }
}

}  // namespace
}  // namespace moescope::lab
