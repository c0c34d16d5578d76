// What the type of keys and values does to what the model says: the figures of docs/numerics.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engine/generate/session.h"
#include "engine/kernels/kernel_table.h"
#include "lab/text_model.h"

namespace moescope::lab {
namespace {

std::string Demo(const std::string& name) {
  const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
  return (std::filesystem::path(root != nullptr ? root : ".") / "demo" / name).string();
}

constexpr size_t kTokens = 1000;

// The model's own samples of two languages as one text, behind a BOS.
std::vector<int32_t> SampleIds(const TextModel& opened) {
  std::string text;
  for (const char* name : {"english", "python"}) {
    std::ifstream file(Demo("samples/" + std::string(name) + ".jsonl"));
    for (std::string line; std::getline(file, line);) {
      text += nlohmann::json::parse(line).at("text").get<std::string>() + "\n";
    }
  }
  text::Encoding encoding;
  opened.tokenizer->Encode(text, encoding, kTokens);
  std::vector<int32_t> ids = {opened.model->config().bos_id};
  ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
  return ids;
}

struct Answers {
  std::vector<double> losses;      // nats, of each token
  std::vector<int64_t> likeliest;  // after each token
  double MeanLoss() const {
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  }
};

// Token by token, as `run` would write the text.
Answers Teach(const TextModel& opened, const std::vector<int32_t>& ids, DType kv) {
  const engine::KernelTable& kernels = engine::SelectKernels();
  ThreadPool pool(2);
  engine::Session session(
      *opened.model, kernels, pool,
      {.context = static_cast<int>(ids.size()), .precision = engine::Precision::kFast, .kv = kv});
  Answers answers;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const std::span<const float> logits = session.Advance({&ids[i], 1});
    answers.losses.push_back(
        kernels.cross_entropy(logits.data(), static_cast<int>(logits.size()), ids[i + 1]));
    answers.likeliest.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  return answers;
}

TEST(KvTypes, HardlyChangeTheLossOfTheDemoModel) {
  const TextModel opened = OpenTextModel(Demo("demo-mixtral-Q8_0.gguf"));
  const std::vector<int32_t> ids = SampleIds(opened);
  ASSERT_EQ(ids.size(), kTokens + 1);
  const Answers f32 = Teach(opened, ids, DType::kF32);
  // A text the model knows something about: chance is ln 4096 = 8.3.
  EXPECT_LT(f32.MeanLoss(), 5);
  std::printf("F32: mean loss %.6f nats\n", f32.MeanLoss());
  for (DType kv : {DType::kF16, DType::kQ8_0}) {
    const Answers other = Teach(opened, ids, kv);
    std::vector<double> changes;
    for (size_t i = 0; i < kTokens; ++i) {
      changes.push_back(std::abs(other.losses[i] - f32.losses[i]));
    }
    std::sort(changes.begin(), changes.end());
    const auto n_changed =
        std::inner_product(f32.likeliest.begin(), f32.likeliest.end(), other.likeliest.begin(), 0,
                           std::plus<>(), std::not_equal_to<>());
    const double change = other.MeanLoss() - f32.MeanLoss();
    std::printf(
        "%s: perplexity %+.3f %%; change of a token's loss: median %.6f, largest %.3f nats; "
        "%d of %zu likeliest tokens changed\n",
        std::string(Name(kv)).c_str(), 100 * std::expm1(change), changes[kTokens / 2],
        changes.back(), n_changed, kTokens);
    EXPECT_GT(changes.back(), 0) << "nothing was rounded";
    EXPECT_LT(std::abs(change), 0.005);
    EXPECT_LT(changes[kTokens / 2], 0.02);
  }
}

}  // namespace
}  // namespace moescope::lab
