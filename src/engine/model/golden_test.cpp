// The forward pass against the exact answers of another implementation, at every kernel level this
// machine has. Tolerances are those that float32 rounding leaves (see the fixtures' README).
#include <gtest/gtest.h>

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
  double logits = 0, hidden = 0, router_logits = 0, weights = 0;
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
  update(worst.router_logits,
         Largest(probe.router_logits, golden.ReadFloats("router_logits" + suffix)));
  if (golden.Find("hidden" + suffix) != nullptr) {
    update(worst.hidden, Largest(probe.hidden, golden.ReadFloats("hidden" + suffix)));
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
    std::printf("%s, %s: logits %.1e, hidden %.1e, router logits %.1e, weights %.1e\n",
                GetParam().model.c_str(), std::string(Name(level)).c_str(), worst.logits,
                worst.hidden, worst.router_logits, worst.weights);
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
                    Folder("mixtral-top3"), Folder("mixtral-16experts"),
                    Case{"demo-mixtral", "demo-mixtral/golden-prompt.safetensors", {""}}),
    TestName);
INSTANTIATE_TEST_SUITE_P(Gguf, Golden,
                         testing::Values(Gguf("mixtral-classic-F32"), Gguf("mixtral-classic-BF16"),
                                         Gguf("mixtral-classic-Q8_0")),
                         TestName);

}  // namespace
}  // namespace moescope::engine
