// Precision `fast` through the whole model: the demo's weights are Q8_0.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/platform/cpu.h"
#include "engine/generate/session.h"
#include "engine/kernels/amx/kernels.h"
#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"
#include "engine/ops/matmul.h"

namespace moescope::engine {
namespace {

std::string DemoModel() {
  const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
  return (std::filesystem::path(root != nullptr ? root : ".") / "demo/demo-mixtral-Q8_0.gguf")
      .string();
}

std::vector<const KernelTable*> LevelsWithoutTiles() {
  std::vector<const KernelTable*> levels;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    if (const KernelTable* kernels = KernelsFor(level)) levels.push_back(kernels);
  }
  return levels;
}

// Level amx with tiles in plain loops, on the best kernels of this machine.
const KernelTable& EmulatedAmx() {
  static const KernelTable table = [] {
    KernelTable kernels = *LevelsWithoutTiles().back();
    kernels.level = KernelLevel::kAmx;
    kernels.tiles = EmulatedAmxKernels();
    return kernels;
  }();
  return table;
}

std::vector<const KernelTable*> Levels() {
  std::vector<const KernelTable*> levels = LevelsWithoutTiles();
  if (const KernelTable* kernels = KernelsFor(KernelLevel::kAmx)) levels.push_back(kernels);
  if (EmulatedAmx().tiles != nullptr) levels.push_back(&EmulatedAmx());
  return levels;
}

std::vector<int32_t> Ids(int n, int vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(random() % vocab_size));
  return ids;
}

constexpr int kLengths[] = {1, 40, 7, 65};

struct Cut {
  int n_threads = 1;
  std::vector<std::vector<int>> waves = {{0, 1, 2, 3}};  // indices of sequences
  ModelOptions model = {};
};

// Losses and the logits of every row, sequence by sequence.
std::vector<std::vector<float>> RunModel(const std::string& path, const KernelTable& kernels,
                                         Precision precision, const Cut& cut) {
  const auto model = Model::Open(path, cut.model);
  ThreadPool pool(cut.n_threads);
  Sweep sweep(*model, kernels, pool,
              {.wave_rows = 256, .max_sequence = 128, .precision = precision});
  std::vector<std::vector<float>> results(std::size(kLengths));
  for (const std::vector<int>& members : cut.waves) {
    Wave wave;
    for (int s : members) {
      wave.Add(s, 0, Ids(kLengths[s], model->config().vocab_size, static_cast<uint32_t>(s)));
    }
    sweep.Run(wave, {});
    for (size_t i = 0; i < members.size(); ++i) {
      std::vector<float>& out = results[static_cast<size_t>(members[i])];
      std::vector<int64_t> rows;
      for (int64_t row = wave.sequence_begin[i]; row < wave.sequence_begin[i + 1]; ++row) {
        out.push_back(sweep.losses()[static_cast<size_t>(row)]);
        rows.push_back(row);
      }
      const std::vector<float> logits = sweep.Logits(rows);
      out.insert(out.end(), logits.begin(), logits.end());
    }
  }
  return results;
}

bool SameBits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  for (size_t s = 0; s < a.size(); ++s) {
    if (a[s].size() != b[s].size()) return false;
    if (std::memcmp(a[s].data(), b[s].data(), a[s].size() * sizeof(float)) != 0) return false;
  }
  return a.size() == b.size();
}

TEST(PrecisionFast, GivesTheSameBitsForAnyThreadsWavesAndResidency) {
  for (const KernelTable* kernels : Levels()) {
    const auto expected = RunModel(DemoModel(), *kernels, Precision::kFast, {});
    // Tiles in plain loops take seconds a run.
    const bool emulated = kernels == &EmulatedAmx();
    for (int n_threads : emulated ? std::vector<int>{3} : std::vector<int>{1, 2, 3, 16}) {
      for (const auto& waves :
           std::vector<std::vector<std::vector<int>>>{{{0}, {1, 2}, {3}}, {{3, 0, 2, 1}}}) {
        EXPECT_TRUE(SameBits(expected, RunModel(DemoModel(), *kernels, Precision::kFast,
                                                {.n_threads = n_threads, .waves = waves})))
            << Name(kernels->level) << " " << n_threads;
      }
    }
    EXPECT_TRUE(SameBits(expected, RunModel(DemoModel(), *kernels, Precision::kFast,
                                            {.n_threads = 2, .model = {.read_into_memory = true}})))
        << Name(kernels->level);
  }
}

// Of the sum over all rows, relative.
double ChangeOfLoss(const std::vector<std::vector<float>>& from,
                    const std::vector<std::vector<float>>& to) {
  double difference = 0, sum = 0;
  for (size_t s = 0; s < from.size(); ++s) {
    for (size_t row = 0; row + 1 < static_cast<size_t>(kLengths[s]); ++row) {
      difference += double{to[s][row]} - from[s][row];
      sum += from[s][row];
    }
  }
  return std::abs(difference) / sum;
}

TEST(PrecisionFast, StaysNearExactButIsAnother) {
  for (const KernelTable* kernels : {&SelectKernels(), &EmulatedAmx()}) {
    const auto exact = RunModel(DemoModel(), *kernels, Precision::kExact, {});
    const auto fast = RunModel(DemoModel(), *kernels, Precision::kFast, {});
    EXPECT_FALSE(SameBits(exact, fast));
    // Random text, whose losses are large; real text: docs/numerics.md.
    EXPECT_LT(ChangeOfLoss(exact, fast), 0.003) << Name(kernels->level);
  }
}

TEST(PrecisionFast, IsExactsNeighbourOnTilesForWeightsOfEveryFloat) {
  if (EmulatedAmx().tiles == nullptr) GTEST_SKIP() << "no emulation in this build";
  const files::ModelConfig config = OddTinyConfig();
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const std::string path = WriteTinyModel(config, dtype, 7);
    const auto exact = RunModel(path, EmulatedAmx(), Precision::kExact, {});
    const auto fast = RunModel(path, EmulatedAmx(), Precision::kFast, {});
    EXPECT_FALSE(SameBits(exact, fast)) << Name(dtype);
    EXPECT_TRUE(SameBits(fast, RunModel(path, EmulatedAmx(), Precision::kFast,
                                        {.n_threads = 3, .waves = {{2}, {1, 3}, {0}}})))
        << Name(dtype);
    EXPECT_LT(ChangeOfLoss(exact, fast), 0.003) << Name(dtype);
    std::filesystem::remove_all(path);
  }
}

// Not the number of tokens: a prompt of one is a prompt.
TEST(PrecisionFast, RoundsByPhaseWhereTheLevelHasTiles) {
  if (EmulatedAmx().tiles == nullptr) GTEST_SKIP() << "no emulation in this build";
  const auto model = Model::Open(DemoModel());
  ThreadPool pool(2);
  const std::vector<int32_t> ids = Ids(20, model->config().vocab_size, 12);
  auto first_logits = [&](const KernelTable& kernels, auto run) {
    Session session(*model, kernels, pool, {.context = 24, .precision = Precision::kFast});
    const std::span<const float> logits = run(session);
    return std::vector<float>(logits.begin(), logits.end());
  };
  auto prompt = [&](Session& session) { return session.Advance(std::span(ids).first(1)); };
  auto sampled = [&](Session& session) { return session.Decode(ids[0]); };
  const auto on_tiles = first_logits(EmulatedAmx(), prompt);
  const auto decoded = first_logits(EmulatedAmx(), sampled);
  EXPECT_NE(on_tiles, decoded);
  // Decoding is what the level has without tiles, where phases do not differ.
  const KernelTable& without = *LevelsWithoutTiles().back();
  EXPECT_EQ(decoded, first_logits(without, sampled));
  EXPECT_EQ(decoded, first_logits(without, prompt));
  // And the prompt of one is the first row of a sweep.
  Sweep sweep(*model, EmulatedAmx(), pool,
              {.wave_rows = 20, .max_sequence = 20, .precision = Precision::kFast});
  Wave wave;
  wave.Add(0, 0, ids);
  sweep.Run(wave, {});
  const std::vector<int64_t> first_row = {0};
  EXPECT_EQ(on_tiles, sweep.Logits(first_row));
}

TEST(PrecisionExact, HasTheBitsOfTheLevelBelowTiles) {
  EXPECT_TRUE(SameBits(RunModel(DemoModel(), EmulatedAmx(), Precision::kExact, {}),
                       RunModel(DemoModel(), *LevelsWithoutTiles().back(), Precision::kExact, {})));
}

TEST(PrecisionFast, LeavesWeightsWithoutCodesAsTheyAre) {
  files::ModelConfig config = OddTinyConfig();
  const std::string path = WriteTinyModel(config, DType::kBF16, 7);
  for (const KernelTable* kernels : LevelsWithoutTiles()) {
    EXPECT_TRUE(SameBits(RunModel(path, *kernels, Precision::kExact, {}),
                         RunModel(path, *kernels, Precision::kFast, {.n_threads = 3})));
  }
  std::filesystem::remove_all(path);
}

TEST(PrecisionFast, ASessionHasTheBitsOfASweepHoweverItIsFed) {
  const auto model = Model::Open(DemoModel());
  const std::vector<int32_t> ids = Ids(70, model->config().vocab_size, 9);
  for (const KernelTable* kernels : Levels()) {
    ThreadPool pool(2);
    Sweep sweep(*model, *kernels, pool,
                {.wave_rows = 70, .max_sequence = 70, .precision = Precision::kFast});
    Wave wave;
    wave.Add(0, 0, ids);
    sweep.Run(wave, {});
    const std::vector<int64_t> rows = {59, 60, 61, 69};
    const std::vector<float> expected = sweep.Logits(rows);
    for (int prefill : {17, 60}) {
      Session session(*model, *kernels, pool,
                      {.context = 80, .prefill_rows = prefill, .precision = Precision::kFast});
      std::vector<float> found;
      for (size_t i = 59; i < ids.size(); ++i) {
        const auto part = i == 59 ? std::span(ids).first(60) : std::span(ids).subspan(i, 1);
        const std::span<const float> logits = session.Advance(part);
        if (std::find(rows.begin(), rows.end(), static_cast<int64_t>(i)) == rows.end()) continue;
        found.insert(found.end(), logits.begin(), logits.end());
      }
      ASSERT_EQ(found.size(), expected.size());
      EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0)
          << Name(kernels->level) << " " << prefill;
    }
  }
}

// The router sees what the norm left, not what the experts' products take.
TEST(PrecisionFast, RoutesByUnroundedActivations) {
  struct Watcher : routing::Probe {
    std::vector<float> residual, logits;
    uint32_t sites() const override {
      return routing::kSiteResidualAfterAttention | routing::kSiteRouterLogits;
    }
    void OnResidualAfterAttention(const routing::ActivationBatch& batch) override {
      if (batch.layer != 3) return;
      residual.insert(residual.end(), batch.values.begin(), batch.values.end());
    }
    void OnRouterLogits(const routing::DecisionBatch& batch) override {
      if (batch.layer != 3) return;
      logits.insert(logits.end(), batch.router_logits.begin(), batch.router_logits.end());
    }
  } watcher;
  const KernelTable& kernels = SelectKernels();
  const auto model = Model::Open(DemoModel());
  const files::ModelConfig& config = model->config();
  ThreadPool pool(1);
  Sweep sweep(*model, kernels, pool,
              {.wave_rows = 20, .max_sequence = 20, .precision = Precision::kFast});
  Wave wave;
  wave.Add(0, 0, Ids(20, config.vocab_size, 10));
  routing::Probe* probes[] = {&watcher};
  sweep.Run(wave, probes);

  const auto dim = static_cast<size_t>(config.model_dim);
  const WeightMatrix router = model->weights().Acquire({files::TensorKind::kRouter, 3});
  std::vector<float> norm(dim), rows(static_cast<size_t>(router.rows) * dim);
  DequantiseRowOf(kernels, model->weights().Acquire({files::TensorKind::kFeedForwardNorm, 3}), 0,
                  norm.data());
  for (int64_t e = 0; e < router.rows; ++e) {
    DequantiseRowOf(kernels, router, e, rows.data() + static_cast<size_t>(e) * dim);
  }
  std::vector<float> normed(20 * dim), logits(20 * static_cast<size_t>(router.rows));
  const ScopedFlushToZero flush;
  for (size_t row = 0; row < 20; ++row) {
    kernels.rms_norm(watcher.residual.data() + row * dim, norm.data(),
                     static_cast<float>(config.norm_eps), normed.data() + row * dim,
                     config.model_dim);
  }
  kernels.multiply(normed.data(), dim, rows.data(), dim, logits.data(),
                   static_cast<size_t>(router.rows), 20, static_cast<int>(router.rows),
                   config.model_dim);
  EXPECT_EQ(logits, watcher.logits);
}

}  // namespace
}  // namespace moescope::engine
