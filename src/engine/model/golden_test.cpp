// The forward pass against the exact answers of another implementation, at every kernel level this
// machine has. Tolerances are those that float32 rounding leaves (see the fixtures' README).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/recording_probe.h"
#include "engine/model/sweep.h"
#include "files/safetensors.h"

namespace moescope::engine {
namespace {

struct Case {
  std::string model;   // below models/
  std::string golden;  // the same
  std::vector<std::string> suffixes = {".0", ".1", ".2"};
};

void PrintTo(const Case& golden, std::ostream* out) {
  *out << golden.model;
}

std::string Models() {
  const char* fixtures = std::getenv("MOESCOPE_FIXTURES");
  return fixtures == nullptr ? "" : std::string(fixtures) + "/models/";
}

struct Difference {
  double logits = 0, hidden = 0, router_logits = 0, weights = 0, attention = 0;
};

double Largest(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = difference;  // NaN too
  }
  return largest;
}

void Compare(const files::SafetensorsFile& golden, const std::string& suffix, const Model& model,
             const KernelTable& kernels, Difference& worst) {
  const files::ModelConfig& config = model.config();
  std::vector<int32_t> ids;
  for (int64_t id : golden.ReadInts("input_ids" + suffix)) ids.push_back(static_cast<int32_t>(id));
  const auto n = static_cast<int>(ids.size());
  Wave wave;
  wave.Add(0, 0, ids);
  ThreadPool pool(2);
  Sweep sweep(model, kernels, pool, {.wave_rows = n, .max_sequence = n});
  RecordingProbe probe(config.n_layers, n, config.model_dim, config.n_experts,
                       config.experts_per_token);
  const bool has_attention = golden.Find("attention" + suffix) != nullptr;
  if (has_attention) probe.KeepAttention(config.n_layers, config.n_heads);
  routing::Probe* probes[] = {&probe};
  sweep.Run(wave, probes);

  std::vector<int64_t> rows;
  for (int row = 0; row < n; ++row) rows.push_back(row);
  auto update = [](double& to, double value) {
    if (!(value <= to)) to = value;
  };
  const std::vector<float> logits = sweep.Logits(rows);
  const std::vector<float> expected = golden.ReadFloats("logits" + suffix);
  update(worst.logits, Largest(logits, expected));
  if (golden.Find("router_logits" + suffix) != nullptr) {
    update(worst.router_logits,
           Largest(probe.router_logits, golden.ReadFloats("router_logits" + suffix)));
  }
  if (golden.Find("hidden" + suffix) != nullptr) {
    update(worst.hidden, Largest(probe.hidden, golden.ReadFloats("hidden" + suffix)));
  }
  if (has_attention) {
    update(worst.attention, Largest(probe.attention, golden.ReadFloats("attention" + suffix)));
  }
  if (golden.Find("chosen_experts" + suffix) != nullptr) {
    std::vector<int64_t> chosen(probe.experts.begin(), probe.experts.end());
    EXPECT_EQ(chosen, golden.ReadInts("chosen_experts" + suffix));
    update(worst.weights, Largest(probe.weights, golden.ReadFloats("routing_weights" + suffix)));
  }
  // Losses against the golden logits, in double.
  const auto vocab = static_cast<size_t>(config.vocab_size);
  for (int row = 0; row + 1 < n; ++row) {
    const float* of_row = expected.data() + static_cast<size_t>(row) * vocab;
    double sum = 0;
    for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(of_row[v]));
    EXPECT_NEAR(sweep.losses()[row], std::log(sum) - of_row[ids[row + 1]], 4e-4);
  }
  EXPECT_TRUE(std::isnan(sweep.losses()[n - 1]));
}

// The next tokens of the longest prompt by argmax, the prompt at once and then token by token with
// a cache: the tokens and logits of the golden text, and the bits of a sweep over all of it.
void CompareGreedy(const files::SafetensorsFile& golden, const Model& model,
                   const KernelTable& kernels, Difference& worst) {
  std::vector<int32_t> ids, generated;
  for (int64_t id : golden.ReadInts("input_ids.2")) ids.push_back(static_cast<int32_t>(id));
  const std::vector<int64_t> greedy = golden.ReadInts("greedy.2");
  const std::vector<float> expected = golden.ReadFloats("greedy_logits.2");
  const auto n_prompt = static_cast<int>(ids.size());
  const int n_all = n_prompt + static_cast<int>(greedy.size());
  const auto vocab = static_cast<size_t>(model.config().vocab_size);
  ThreadPool pool(2);
  Sweep session(model, kernels, pool,
                {.wave_rows = n_prompt, .max_sequence = n_all, .losses = false});
  KvCache cache(model.config(), n_all);
  std::vector<float> all_logits;
  Wave wave;
  wave.Add(0, 0, ids, &cache);
  for (size_t step = 0; step < greedy.size(); ++step) {
    session.Run(wave, {});
    const int64_t last[] = {wave.n_rows() - 1};
    const std::vector<float> logits = session.Logits(last);
    const std::span<const float> golden_row = std::span(expected).subspan(step * vocab, vocab);
    const double difference = Largest(logits, golden_row);
    if (!(difference <= worst.logits)) worst.logits = difference;
    all_logits.insert(all_logits.end(), logits.begin(), logits.end());
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    ASSERT_EQ(best, greedy[step]) << "token " << step;
    generated.push_back(static_cast<int32_t>(best));
    wave.clear();
    wave.Add(0, 0, std::span(generated).last(1), &cache);
  }

  ids.insert(ids.end(), generated.begin(), generated.end() - 1);
  Sweep sweep(model, kernels, pool, {.wave_rows = n_all, .max_sequence = n_all});
  Wave whole;
  whole.Add(0, 0, ids);
  sweep.Run(whole, {});
  std::vector<int64_t> rows;
  for (auto row = static_cast<int64_t>(n_prompt) - 1; row < whole.n_rows(); ++row) {
    rows.push_back(row);
  }
  EXPECT_EQ(sweep.Logits(rows), all_logits) << "a session and a sweep differ in their bits";
}

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, AgreesAtEveryKernelLevel) {
  if (Models().empty()) {
    std::puts("skipped: no fixtures");
    GTEST_SKIP();
  }
  std::unique_ptr<Model> model = Model::Open(Models() + GetParam().model);
  const auto golden = files::SafetensorsFile::Open(Models() + GetParam().golden);
  for (KernelLevel level : {KernelLevel::kScalar, KernelLevel::kAvx2, KernelLevel::kAvx512}) {
    const KernelTable* kernels = KernelsFor(level);
    if (kernels == nullptr) continue;
    Difference worst;
    for (const std::string& suffix : GetParam().suffixes) {
      Compare(golden, suffix, *model, *kernels, worst);
    }
    if (golden.Find("greedy_logits.2") != nullptr) CompareGreedy(golden, *model, *kernels, worst);
    std::printf(
        "%s, %s: logits %.1e, hidden %.1e, router logits %.1e, weights %.1e, attention %.1e\n",
        GetParam().model.c_str(), std::string(Name(level)).c_str(), worst.logits, worst.hidden,
        worst.router_logits, worst.weights, worst.attention);
    EXPECT_LE(worst.attention, 3e-5);
    EXPECT_LE(worst.logits, 2e-4);
    EXPECT_LE(worst.hidden, 2e-4);
    EXPECT_LE(worst.router_logits, 1e-4);
    EXPECT_LE(worst.weights, 3e-5);
  }
}

Case Folder(const std::string& name) {
  return {name, name + "/golden.safetensors"};
}
Case Gguf(const std::string& name) {
  return {"gguf/" + name + ".gguf", "gguf/" + name + ".golden.safetensors"};
}

std::string TestName(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, Golden,
    testing::Values(Folder("mixtral-classic"), Folder("mixtral-bf16"), Folder("mixtral-top1"),
                    Folder("mixtral-top3"), Folder("mixtral-16experts"), Folder("mixtral-fused"),
                    Folder("mixtral-consolidated"), Folder("mistral-swa"), Folder("llama-tied"),
                    Folder("llama3-rope"), Folder("gpt2"), Folder("olmoe"), Folder("qwen3-moe"),
                    Case{"demo-mixtral", "demo-mixtral/golden-prompt.safetensors", {""}}),
    TestName);
INSTANTIATE_TEST_SUITE_P(Gguf, Golden,
                         testing::Values(Gguf("mixtral-classic-F32"), Gguf("mixtral-classic-F16"),
                                         Gguf("mixtral-classic-BF16"), Gguf("mixtral-classic-Q8_0"),
                                         Gguf("mixtral-classic-Q4_0"), Gguf("mixtral-classic-Q4_1"),
                                         Gguf("mixtral-classic-Q5_0"), Gguf("mixtral-classic-Q5_1"),
                                         Gguf("mixtral-classic-old-style-F16"),
                                         Gguf("mixtral-wide-F16"), Gguf("mixtral-wide-IQ4_NL"),
                                         Gguf("mixtral-wide-IQ4_XS"), Gguf("mixtral-wide-Q2_K"),
                                         Gguf("mixtral-wide-Q3_K_M"), Gguf("mixtral-wide-Q4_K_M"),
                                         Gguf("mixtral-wide-Q5_K_M"), Gguf("mixtral-wide-Q6_K")),
                         TestName);

}  // namespace
}  // namespace moescope::engine
