#include "engine/model/sweep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/model/recording_probe.h"
#include "engine/model/tiny_model.h"

namespace moescope::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class SweepTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { path_ = WriteTinyModel(OddTinyConfig(), DType::kBF16, 1); }
  static void TearDownTestSuite() { std::filesystem::remove_all(path_); }
  static std::string path_;
};
std::string SweepTest::path_;

using Sequences = std::vector<std::vector<int32_t>>;

Sequences RandomSequences(const std::vector<int>& lengths, int vocab_size) {
  std::mt19937 random(3);
  Sequences sequences;
  for (int length : lengths) {
    sequences.emplace_back();
    for (int i = 0; i < length; ++i) {
      sequences.back().push_back(static_cast<int32_t>(random() % vocab_size));
    }
  }
  return sequences;
}

// What a run gave, sequence by sequence: losses, then router logits and hidden of each layer.
using Results = std::vector<std::vector<float>>;

struct RunOptions {
  int n_threads = 1;
  std::vector<std::vector<int>> waves;  // indices of sequences
  ModelOptions model = {};
  bool observed = true;
};

Results RunWaves(const std::string& path, const Sequences& sequences, const RunOptions& options,
                 const KernelTable& kernels, routing::Probe* further = nullptr) {
  std::unique_ptr<Model> model = Model::Open(path, options.model);
  const files::ModelConfig& c = model->config();
  ThreadPool pool(options.n_threads);
  Sweep sweep(*model, kernels, pool, {.wave_rows = 2048, .max_sequence = 512});
  Results results(sequences.size());
  for (const std::vector<int>& members : options.waves) {
    Wave wave;
    for (int s : members) wave.Add(s, 0, sequences[s]);
    RecordingProbe probe(c.n_layers, wave.n_rows(), c.model_dim, c.n_experts, c.experts_per_token);
    std::vector<routing::Probe*> probes;
    if (further != nullptr) probes.push_back(further);
    if (options.observed) probes.push_back(&probe);
    sweep.Run(wave, probes);
    for (size_t i = 0; i < members.size(); ++i) {
      std::vector<float>& out = results[members[i]];
      for (int64_t row = wave.sequence_begin[i]; row < wave.sequence_begin[i + 1]; ++row) {
        out.push_back(sweep.losses()[row]);
        if (!options.observed) continue;
        for (int layer = 0; layer < c.n_layers; ++layer) {
          auto begin = probe.router_logits.begin() + (layer * wave.n_rows() + row) * c.n_experts;
          out.insert(out.end(), begin, begin + c.n_experts);
        }
        for (int layer = 0; layer <= c.n_layers; ++layer) {
          auto begin = probe.hidden.begin() + (layer * wave.n_rows() + row) * c.model_dim;
          out.insert(out.end(), begin, begin + c.model_dim);
        }
      }
    }
  }
  return results;
}

void ExpectSameBits(const Results& a, const Results& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t s = 0; s < a.size(); ++s) {
    ASSERT_EQ(a[s].size(), b[s].size());
    EXPECT_EQ(std::memcmp(a[s].data(), b[s].data(), a[s].size() * sizeof(float)), 0)
        << "sequence " << s;
  }
}

std::vector<const KernelTable*> Levels() {
  std::vector<const KernelTable*> levels;
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    if (const KernelTable* kernels = KernelsFor(level)) levels.push_back(kernels);
  }
  return levels;
}

TEST_F(SweepTest, GivesTheSameBitsForAnyThreadsWavesOrderAndResidency) {
  const Sequences sequences =
      RandomSequences({1, 2, 33, 64, 65, 200, 7, 500, 31, 1, 96}, OddTinyConfig().vocab_size);
  const std::vector<std::vector<int>> one = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
  const std::vector<std::vector<int>> many = {{0}, {1, 2}, {3}, {4, 5, 6}, {7}, {8}, {9}, {10}};
  const std::vector<std::vector<int>> shuffled = {{10, 7, 0, 3, 2, 9}, {5, 1, 8, 6, 4}};
  for (const KernelTable* kernels : Levels()) {
    const Results expected = RunWaves(path_, sequences, {.n_threads = 1, .waves = one}, *kernels);
    for (const auto& waves : {one, many, shuffled}) {
      for (int n_threads : {1, 2, 3, 16}) {
        ExpectSameBits(expected, RunWaves(path_, sequences,
                                          {.n_threads = n_threads, .waves = waves}, *kernels));
      }
    }
    ExpectSameBits(
        expected, RunWaves(path_, sequences,
                           {.n_threads = 2, .waves = shuffled, .model = {.read_into_memory = true}},
                           *kernels));
  }
}

TEST_F(SweepTest, AnObserverChangesNoBitEvenIfItWrites) {
  struct Vandal : routing::Probe {
    uint32_t sites() const override { return 0xff; }
    void OnRouterLogits(const routing::DecisionBatch& b) override { Spoil(b.router_logits); }
    void OnDecision(const routing::DecisionBatch& b) override {
      Spoil(b.router_logits);
      Spoil(b.weights);
      for (int16_t& expert : b.experts) expert = 0;
    }
    void OnExpertInput(const routing::ExpertBatch& b) override { Spoil(b.values); }
    void OnExpertOutput(const routing::ExpertBatch& b) override { Spoil(b.values); }
    void OnResidualAfterAttention(const routing::ActivationBatch& b) override { Spoil(b.values); }
    void OnResidualAfterMoe(const routing::ActivationBatch& b) override { Spoil(b.values); }
    static void Spoil(std::span<float> values) {
      for (float& value : values) value = 17;
    }
  } vandal;
  const Sequences sequences = RandomSequences({40, 300}, OddTinyConfig().vocab_size);
  for (const KernelTable* kernels : Levels()) {
    const Results plain = RunWaves(
        path_, sequences, {.n_threads = 2, .waves = {{0, 1}}, .observed = false}, *kernels);
    ExpectSameBits(
        plain, RunWaves(path_, sequences, {.n_threads = 2, .waves = {{0, 1}}, .observed = false},
                        *kernels, &vandal));
  }
}

// Shows that every site reports what the residual stream is made of: the stream after the experts
// is the one before plus weights times the outputs, in slot order.
struct Bookkeeper : routing::Probe {
  uint32_t sites() const override {
    return routing::kSiteDecision | routing::kSiteExpertInput | routing::kSiteExpertOutput |
           routing::kSiteResidualAfterAttention | routing::kSiteResidualAfterMoe;
  }
  Bookkeeper(int n_layers, int64_t n, int k, int width)
      : n_rows(n),
        n_slots(k),
        dim(width),
        weights(n_layers * n * k),
        inputs(n_layers * n * k),
        outputs(n_layers * n * k * width),
        before(n_layers * n * width),
        after(before) {}
  int64_t Slot(int layer, int64_t row, int slot) const {
    return (layer * n_rows + row) * n_slots + slot;
  }
  void OnDecision(const routing::DecisionBatch& b) override {
    std::copy(b.weights.begin(), b.weights.end(), &weights[Slot(b.layer, b.first_row, 0)]);
  }
  void OnExpertInput(const routing::ExpertBatch& b) override {
    for (size_t i = 0; i < b.row.size(); ++i) ++inputs[Slot(b.layer, b.row[i], b.slot[i])];
  }
  void OnExpertOutput(const routing::ExpertBatch& b) override {
    for (size_t i = 0; i < b.row.size(); ++i) {
      std::copy_n(&b.values[i * dim], dim, &outputs[Slot(b.layer, b.row[i], b.slot[i]) * dim]);
    }
  }
  void OnResidualAfterAttention(const routing::ActivationBatch& b) override {
    std::copy(b.values.begin(), b.values.end(), &before[(b.layer * n_rows + b.first_row) * dim]);
  }
  void OnResidualAfterMoe(const routing::ActivationBatch& b) override {
    if (b.layer < 0) return;
    std::copy(b.values.begin(), b.values.end(), &after[(b.layer * n_rows + b.first_row) * dim]);
  }
  int64_t n_rows;
  int n_slots, dim;
  std::vector<float> weights;
  std::vector<int> inputs;
  std::vector<float> outputs, before, after;
};

TEST_F(SweepTest, SitesShowTheOutputsThatTheStreamIsMadeOf) {
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({90}, c.vocab_size);
  Bookkeeper books(c.n_layers, 90, c.experts_per_token, c.model_dim);
  RunWaves(path_, sequences, {.n_threads = 2, .waves = {{0}}, .observed = false}, *Levels()[0],
           &books);
  for (int layer = 0; layer < c.n_layers; ++layer) {
    for (int64_t row = 0; row < 90; ++row) {
      for (int slot = 0; slot < c.experts_per_token; ++slot) {
        EXPECT_EQ(books.inputs[books.Slot(layer, row, slot)], 1);
      }
      for (int d = 0; d < c.model_dim; ++d) {
        float sum = books.before[(layer * 90 + row) * c.model_dim + d];
        for (int slot = 0; slot < c.experts_per_token; ++slot) {
          int64_t index = books.Slot(layer, row, slot);
          sum += books.weights[index] * books.outputs[index * c.model_dim + d];
        }
        EXPECT_EQ(sum, books.after[(layer * 90 + row) * c.model_dim + d]);
      }
    }
  }
}

struct MaskExpert : routing::Probe {
  explicit MaskExpert(int masked) : expert(masked) {}
  uint32_t sites() const override { return routing::kSiteRouterLogits; }
  uint32_t edits() const override { return routing::kSiteRouterLogits; }
  void OnRouterLogits(const routing::DecisionBatch& b) override {
    for (size_t row = 0; row < b.rows.size(); ++row) {
      b.router_logits[row * b.n_experts + expert] = -kInfinity;
    }
  }
  int expert;
};

TEST_F(SweepTest, AMaskedExpertIsNeverChosenAndTheNextBestStepsIn) {
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({120}, c.vocab_size);
  std::unique_ptr<Model> model = Model::Open(path_);
  ThreadPool pool(2);
  Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 120, .max_sequence = 120});
  Wave wave;
  wave.Add(0, 0, sequences[0]);
  auto run = [&](std::vector<routing::Probe*> probes) {
    RecordingProbe record(c.n_layers, 120, c.model_dim, c.n_experts, c.experts_per_token);
    probes.push_back(&record);
    sweep.Run(wave, probes);
    return record;
  };
  const RecordingProbe plain = run({});
  MaskExpert mask(2);
  const RecordingProbe masked = run({&mask});
  int changed = 0;
  for (size_t i = 0; i < plain.experts.size(); ++i) {
    EXPECT_NE(masked.experts[i], 2);
    EXPECT_NE(masked.experts[i], -1);
    changed += plain.experts[i] == 2;
  }
  EXPECT_GT(changed, 20);
  // In layer 0 the logits are the same, so the others keep their order and the next one joins.
  const int k = c.experts_per_token;
  for (int row = 0; row < 120; ++row) {
    std::vector<int16_t> kept;
    for (int slot = 0; slot < k; ++slot) {
      if (plain.experts[row * k + slot] != 2) kept.push_back(plain.experts[row * k + slot]);
    }
    EXPECT_TRUE(std::equal(kept.begin(), kept.end(), &masked.experts[row * k])) << row;
  }
}

TEST_F(SweepTest, ADroppedSlotAddsNothing) {
  struct DropAll : routing::Probe {
    uint32_t sites() const override { return routing::kSiteDecision; }
    uint32_t edits() const override { return routing::kSiteDecision; }
    void OnDecision(const routing::DecisionBatch& b) override {
      for (int16_t& expert : b.experts) expert = -1;
      for (float& weight : b.weights) weight = 0;
    }
  } drop;
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({50}, c.vocab_size);
  Bookkeeper books(c.n_layers, 50, c.experts_per_token, c.model_dim);
  std::unique_ptr<Model> model = Model::Open(path_);
  ThreadPool pool(2);
  Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 50, .max_sequence = 50});
  Wave wave;
  wave.Add(0, 0, sequences[0]);
  routing::Probe* probes[] = {&drop, &books};
  sweep.Run(wave, probes);
  EXPECT_EQ(books.before, books.after);
}

TEST_F(SweepTest, BranchesAreIndependentRows) {
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({70}, c.vocab_size);
  struct MaskBranch : MaskExpert {
    using MaskExpert::MaskExpert;
    void OnRouterLogits(const routing::DecisionBatch& b) override {
      for (size_t row = 0; row < b.rows.size(); ++row) {
        if (b.rows[row].branch == 1) b.router_logits[row * b.n_experts + expert] = -kInfinity;
      }
    }
  } mask(1);
  std::unique_ptr<Model> model = Model::Open(path_);
  ThreadPool pool(2);
  Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 140, .max_sequence = 70});
  Wave wave;
  wave.Add(0, 0, sequences[0]);
  sweep.Run(wave, {});
  const std::vector<float> baseline(sweep.losses().begin(), sweep.losses().end());
  wave.Add(0, 1, sequences[0]);
  routing::Probe* probes[] = {&mask};
  sweep.Run(wave, probes);
  EXPECT_EQ(std::memcmp(baseline.data(), sweep.losses().data(), 70 * sizeof(float)), 0);
  EXPECT_NE(std::memcmp(baseline.data(), sweep.losses().data() + 70, 69 * sizeof(float)), 0);
}

// Masks expert `layer + branch` for the branches 1, 2, ... from their layer on.
struct MaskFromLayer : MaskExpert {
  explicit MaskFromLayer(std::vector<int> of_branch) : MaskExpert(0), first_layer(of_branch) {}
  void OnRouterLogits(const routing::DecisionBatch& b) override {
    for (size_t row = 0; row < b.rows.size(); ++row) {
      const int branch = b.rows[row].branch;
      if (branch == 0 || b.layer < first_layer[static_cast<size_t>(branch)]) continue;
      b.router_logits[row * b.n_experts + (b.layer + branch) % b.n_experts] = -kInfinity;
    }
  }
  std::vector<int> first_layer;
};

TEST_F(SweepTest, AForkIsTheBranchThatRanFromTheStartBitForBit) {
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({70, 1, 300, 33}, c.vocab_size);
  std::unique_ptr<Model> model = Model::Open(path_);
  MaskFromLayer mask({0, 0, 1, c.n_layers - 1});
  routing::Probe* probes[] = {&mask};
  for (const KernelTable* kernels : Levels()) {
    for (int n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      Sweep sweep(*model, *kernels, pool, {.wave_rows = 1616, .max_sequence = 300});
      auto run = [&](bool forked) {
        Wave wave;
        for (int branch = 0; branch < 4; ++branch) {
          for (int s = 0; s < 4; ++s) {
            forked&& branch > 0 ? wave.AddFork(s, branch, mask.first_layer[branch])
                                : wave.Add(s, branch, sequences[s]);
          }
        }
        sweep.Run(wave, probes);
        return std::vector<float>(sweep.losses().begin(), sweep.losses().end());
      };
      const std::vector<float> whole = run(false);
      const double whole_flops = sweep.flops();
      const std::vector<float> forked = run(true);
      ASSERT_EQ(whole.size(), forked.size());
      EXPECT_EQ(std::memcmp(whole.data(), forked.data(), whole.size() * sizeof(float)), 0);
      EXPECT_LT(sweep.flops(), whole_flops);
      // Branches differ from the baseline, and the same sweep runs waves without forks again.
      EXPECT_NE(std::memcmp(whole.data(), whole.data() + 404 * 3, 404 * sizeof(float)), 0);
      EXPECT_EQ(std::memcmp(run(false).data(), whole.data(), whole.size() * sizeof(float)), 0);
      EXPECT_EQ(sweep.flops(), whole_flops);
    }
  }
}

TEST_F(SweepTest, ReadsEveryWeightOnceAWave) {
  const Sequences sequences = RandomSequences({500, 400, 300}, OddTinyConfig().vocab_size);
  std::unique_ptr<Model> model = Model::Open(path_);
  uint64_t all = 0;
  for (const auto& [id, location] : model->checkpoint().tensors()) all += location.n_bytes;
  ThreadPool pool(2);
  Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 1200, .max_sequence = 500});
  Wave wave;
  for (int s = 0; s < 3; ++s) wave.Add(s, 0, sequences[s]);
  sweep.Run(wave, {});
  EXPECT_EQ(model->weights().bytes_acquired(), all);
}

TEST_F(SweepTest, PredictionsAreTheLargestLogits) {
  const std::unique_ptr<Model> model = Model::Open(path_);
  ThreadPool pool(3);
  Sweep sweep(*model, SelectKernels(), pool,
              {.wave_rows = 200, .max_sequence = 100, .predictions = true});
  Wave wave;
  for (const auto& ids : RandomSequences({70, 33, 1}, OddTinyConfig().vocab_size)) {
    wave.Add(0, 0, ids);
  }
  sweep.Run(wave, {});
  std::vector<int64_t> rows(static_cast<size_t>(wave.n_rows()));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const std::vector<float> logits = sweep.Logits(rows);
  ASSERT_EQ(sweep.predictions().size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto begin = logits.begin() + static_cast<ptrdiff_t>(i) * OddTinyConfig().vocab_size;
    EXPECT_EQ(sweep.predictions()[i],
              std::max_element(begin, begin + OddTinyConfig().vocab_size) - begin);
  }
}

TEST_F(SweepTest, RefusesATokenOutsideTheVocabulary) {
  std::unique_ptr<Model> model = Model::Open(path_);
  ThreadPool pool(1);
  Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 8, .max_sequence = 8});
  for (int32_t id : {-1, OddTinyConfig().vocab_size}) {
    Wave wave;
    wave.Add(0, 0, std::vector<int32_t>{1, id});
    try {
      sweep.Run(wave, {});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    }
  }
}

struct Damage {
  std::string tensor, expected;
};

TEST(SweepNonFinite, IsReportedWithLayerExpertAndToken) {
  const files::ModelConfig c = OddTinyConfig();
  const Sequences sequences = RandomSequences({60}, c.vocab_size);
  const std::string layer = "model.layers.1.";
  for (const auto& [tensor, expected] : std::vector<Damage>{
           {"model.embed_tokens.weight", "token embedding"},
           {layer + "input_layernorm.weight", "layer 1, attention"},
           {layer + "self_attn.v_proj.weight", "layer 1, attention"},
           {layer + "post_attention_layernorm.weight", "layer 1, router logit"},
           {layer + "block_sparse_moe.gate.weight", "layer 1, router logit of expert 0"},
           {layer + "block_sparse_moe.experts.4.w1.weight", "layer 1, output of expert 4"},
           {layer + "block_sparse_moe.experts.4.w2.weight", "layer 1, output of expert 4"},
           {"model.norm.weight", "output head"},
           {"lm_head.weight", "output head"}}) {
    for (float value : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
      const std::string path = WriteTinyModel(c, DType::kF32, 5);
      int64_t element = 0;
      if (tensor == "model.embed_tokens.weight") element = sequences[0][0] * int64_t{c.model_dim};
      PatchTensor(path, tensor, element, value);
      std::unique_ptr<Model> model = Model::Open(path);
      ThreadPool pool(2);
      Sweep sweep(*model, *Levels()[0], pool, {.wave_rows = 60, .max_sequence = 60});
      Wave wave;
      wave.Add(0, 0, sequences[0]);
      try {
        sweep.Run(wave, {});
        ADD_FAILURE() << tensor;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
        EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("token "), std::string::npos) << error.what();
      }
      std::filesystem::remove_all(path);
    }
  }
}

TEST(PlanSweep, SaysWhatASequenceNeedsWhenItDoesNotFit) {
  const files::ModelConfig c = OddTinyConfig();
  try {
    PlanSweep(c, 1000, 512, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kResource);
    EXPECT_NE(std::string(error.what()).find("available 1.00 kB"), std::string::npos)
        << error.what();
  }
}

TEST(PlanSweep, GrowsWithMemoryAndStaysWithinIt) {
  files::ModelConfig c = OddTinyConfig();
  c.model_dim = 4096, c.n_heads = 32, c.n_kv_heads = 8, c.head_dim = 128, c.ffn_dim = 14336;
  c.n_layers = 32, c.vocab_size = 32000, c.n_experts = 8, c.experts_per_token = 2;
  int64_t before = 0;
  for (uint64_t gigabytes : {1, 2, 4}) {
    SweepPlan plan = PlanSweep(c, gigabytes << 30, 512, 2);
    EXPECT_LE(plan.fixed_bytes + plan.bytes_per_row * static_cast<uint64_t>(plan.wave_rows),
              gigabytes << 30);
    EXPECT_GE(plan.wave_rows, before);
    before = plan.wave_rows;
  }
  // 25.24 GFLOP a token in 32 layers (two per multiply-add), plus attention and the head.
  SweepPlan plan = PlanSweep(c, uint64_t{4} << 30, 1, 2);
  EXPECT_NEAR(plan.flops_per_row, 25.24e9 + 2.0 * 4096 * 32000, 0.02e9);
}

}  // namespace
}  // namespace moescope::engine
