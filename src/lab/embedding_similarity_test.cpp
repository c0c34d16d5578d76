#include "lab/embedding_similarity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/error.h"
#include "engine/model/sweep.h"
#include "engine/model/tiny_model.h"
#include "engine/ops/matmul.h"
#include "lab/measure_embeddings.h"

namespace moescope::lab {
namespace {

TEST(Correlation, IsPearsons) {
  const std::vector<float> a = {1, 2, 3, 4}, b = {2, 1, 4, 3}, constant = {5, 5, 5, 5};
  EXPECT_DOUBLE_EQ(Correlation(a, a), 1);
  EXPECT_DOUBLE_EQ(Correlation(a, b), 0.6);  // 3 / sqrt(5 * 5)
  std::vector<float> turned;
  for (float value : a) turned.push_back(7 - 2 * value);
  EXPECT_DOUBLE_EQ(Correlation(a, turned), -1);
  EXPECT_EQ(Correlation(a, constant), 0);
}

// Both streams of every layer, by row.
class StreamRecorder : public routing::Probe {
 public:
  StreamRecorder(int n_layers, int64_t n_rows, int dim)
      : n_rows_(n_rows), dim_(dim), values_(static_cast<size_t>(2 * n_layers * n_rows * dim)) {}
  uint32_t sites() const override {
    return routing::kSiteResidualAfterAttention | routing::kSiteResidualAfterMoe;
  }
  void OnResidualAfterAttention(const routing::ActivationBatch& batch) override { Keep(batch, 0); }
  void OnResidualAfterMoe(const routing::ActivationBatch& batch) override {
    if (batch.layer >= 0) Keep(batch, 1);
  }
  std::vector<double> Row(int layer, StreamSite site, int64_t row) const {
    const auto begin = values_.begin() + At(layer, static_cast<int>(site), row);
    return {begin, begin + dim_};
  }

 private:
  int64_t At(int layer, int site, int64_t row) const {
    return ((2 * layer + site) * n_rows_ + row) * dim_;
  }
  void Keep(const routing::ActivationBatch& batch, int site) {
    std::copy(batch.values.begin(), batch.values.end(),
              values_.begin() + At(batch.layer, site, batch.first_row));
  }
  int64_t n_rows_, dim_;
  std::vector<float> values_;
};

// By the textbook's other formula: E[xy] - E[x] E[y].
double PlainCorrelation(const std::vector<double>& a, const std::vector<double>& b) {
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    x += a[i], y += b[i], xx += a[i] * a[i], yy += b[i] * b[i], xy += a[i] * b[i];
  }
  const auto n = static_cast<double>(a.size());
  return (xy / n - x / n * (y / n)) /
         std::sqrt((xx / n - x / n * (x / n)) * (yy / n - y / n * (y / n)));
}

std::vector<double> StoredRow(const engine::Model& model, files::TensorKind kind, int32_t token) {
  const engine::WeightMatrix matrix = model.weights().Acquire({kind});
  std::vector<float> row(static_cast<size_t>(matrix.cols));
  DequantiseRowOf(engine::SelectKernels(), matrix, token, row.data());
  return {row.begin(), row.end()};
}

TEST(EmbeddingSimilarity, SumsWhatAPlainLoopDoes) {
  using files::TensorKind;
  const files::ModelConfig config = engine::OddTinyConfig();
  const std::string path = engine::WriteTinyModel(config, DType::kBF16, 5);
  const auto model = engine::Model::Open(path);
  const int64_t n_rows = 120;
  std::mt19937 random(1);
  auto token = [&] { return static_cast<int32_t>(random() % 131); };
  std::vector<int32_t> ids;
  std::vector<RowTokens> rows;
  for (int64_t i = 0; i < n_rows; ++i) {
    ids.push_back(token());
    // Special rows, ends and units anywhere: the probe does as it is told.
    rows.push_back({.unit = i % 17 == 0 ? -1 : static_cast<int32_t>(i / 50),
                    .token = ids.back(),
                    .null_token = token(),
                    .next = i % 13 == 5 ? -1 : token(),
                    .null_next = token()});
  }
  ThreadPool pool(3);
  SimilaritySums sums(3, config.n_layers);
  EmbeddingSimilarityProbe probe(*model, engine::SelectKernels(), n_rows, sums);
  StreamRecorder streams(config.n_layers, n_rows, config.model_dim);
  engine::Sweep sweep(*model, engine::SelectKernels(), pool,
                      {.wave_rows = n_rows, .max_sequence = 120, .predictions = true});
  engine::Wave wave;
  wave.Add(0, 0, ids);
  probe.Begin(rows);
  routing::Probe* probes[] = {&probe, &streams};
  sweep.Run(wave, probes);
  probe.AddPredictions(sweep.predictions(), pool);

  // Each correlation is rounded to 2^-31.
  constexpr double kTolerance = 50 * 0x1p-31 + 1e-9;
  auto of = [&](int32_t unit, int layer, StreamSite site, TensorKind kind, auto member) {
    double sum = 0;
    for (int64_t i = 0; i < n_rows; ++i) {
      const RowTokens& row = rows[static_cast<size_t>(i)];
      if (row.unit != unit || (kind == TensorKind::kOutputHead && row.next < 0)) continue;
      sum += PlainCorrelation(streams.Row(layer, site, i), StoredRow(*model, kind, member(i)));
    }
    return sum;
  };
  auto row_of = [&](int64_t i) -> const RowTokens& { return rows[static_cast<size_t>(i)]; };
  for (int32_t unit = 0; unit < 3; ++unit) {
    for (int layer = 0; layer < config.n_layers; ++layer) {
      for (StreamSite site : {StreamSite::kAfterAttention, StreamSite::kAfterMoe}) {
        auto expect = [&](Likeness likeness, TensorKind kind, auto member) {
          EXPECT_NEAR(sums.Of(unit, layer, site, likeness), of(unit, layer, site, kind, member),
                      kTolerance)
              << "unit " << unit << " layer " << layer << " " << static_cast<int>(likeness);
        };
        expect(Likeness::kInput, TensorKind::kTokenEmbedding,
               [&](int64_t i) { return row_of(i).token; });
        expect(Likeness::kInputNull, TensorKind::kTokenEmbedding,
               [&](int64_t i) { return row_of(i).null_token; });
        expect(Likeness::kOutput, TensorKind::kOutputHead,
               [&](int64_t i) { return row_of(i).next; });
        expect(Likeness::kOutputNull, TensorKind::kOutputHead,
               [&](int64_t i) { return row_of(i).null_next; });
      }
    }
    EXPECT_NEAR(sums.OfPredicted(unit),
                of(unit, config.n_layers - 1, StreamSite::kAfterMoe, TensorKind::kOutputHead,
                   [&](int64_t i) { return sweep.predictions()[static_cast<size_t>(i)]; }),
                kTolerance);
  }
  std::filesystem::remove_all(path);
}

class MeasureEmbeddingsTest : public testing::Test {
 protected:
  static std::filesystem::path Demo(const std::string& name) {
    const char* root = std::getenv("MOESCOPE_SOURCE_DIR");
    return std::filesystem::path(root != nullptr ? root : ".") / "demo" / name;
  }
  static EmbeddingMeasurement Measure(const EmbeddingOptions& options) {
    return MeasureEmbeddings(OpenTextModel(Demo("demo-mixtral-Q8_0.gguf").string()), options);
  }
  static EmbeddingOptions Samples() {
    EmbeddingOptions options;
    for (const char* name : {"python", "german"}) {
      text::DataSpec spec;
      spec.name = name;
      spec.path = Demo("samples/" + std::string(name) + ".jsonl").string();
      options.data.push_back(spec);
    }
    options.policy.chunk = 100;
    options.n_threads = 2;
    return options;
  }
};

void ExpectEqual(const EmbeddingMeasurement& a, const EmbeddingMeasurement& b, size_t n_units) {
  for (size_t unit = 0; unit < n_units; ++unit) {
    EXPECT_EQ(a.units[unit].name, b.units[unit].name);
    EXPECT_EQ(a.units[unit].n_tokens, b.units[unit].n_tokens);
    const auto u = static_cast<int64_t>(unit);
    for (int layer = 0; layer < a.description.n_layers; ++layer) {
      for (StreamSite site : {StreamSite::kAfterAttention, StreamSite::kAfterMoe}) {
        for (int likeness = 0; likeness < kLikenesses; ++likeness) {
          EXPECT_EQ(a.sums.Of(u, layer, site, static_cast<Likeness>(likeness)),
                    b.sums.Of(u, layer, site, static_cast<Likeness>(likeness)));
        }
      }
    }
    EXPECT_EQ(a.sums.OfPredicted(u), b.sums.OfPredicted(u));
  }
}

TEST_F(MeasureEmbeddingsTest, IsTheSameForAnyThreadsAndWaves) {
  EmbeddingOptions options = Samples();
  options.n_threads = 1;
  const EmbeddingMeasurement whole = Measure(options);
  ASSERT_EQ(whole.units.size(), 20u);
  options.n_threads = 3;
  options.wave_tokens = 250;
  ExpectEqual(whole, Measure(options), 20);
}

TEST_F(MeasureEmbeddingsTest, ADataSetDoesNotDependOnTheOthers) {
  EmbeddingOptions options = Samples();
  const EmbeddingMeasurement both = Measure(options);
  options.data.pop_back();
  const EmbeddingMeasurement alone = Measure(options);
  ASSERT_EQ(alone.units.size(), 10u);
  ExpectEqual(alone, both, 10);
}

// The first layer still has the token, the last has the one it predicts.
TEST_F(MeasureEmbeddingsTest, CountsPlainRowsAndFollowsTheStream) {
  const EmbeddingMeasurement measured = Measure(Samples());
  int64_t tokens = 0, pairs = 0;
  double first = 0, last = 0, null = 0, predicted = 0, next = 0, next_null = 0;
  const int end = measured.description.n_layers - 1;
  for (size_t unit = 0; unit < measured.units.size(); ++unit) {
    const auto u = static_cast<int64_t>(unit);
    tokens += measured.units[unit].n_tokens;
    pairs += measured.units[unit].n_pairs;
    first += measured.sums.Of(u, 0, StreamSite::kAfterAttention, Likeness::kInput);
    null += measured.sums.Of(u, 0, StreamSite::kAfterAttention, Likeness::kInputNull);
    last += measured.sums.Of(u, end, StreamSite::kAfterMoe, Likeness::kInput);
    next += measured.sums.Of(u, end, StreamSite::kAfterMoe, Likeness::kOutput);
    next_null += measured.sums.Of(u, end, StreamSite::kAfterMoe, Likeness::kOutputNull);
    predicted += measured.sums.OfPredicted(u);
  }
  // One BOS a document, of which there are 20.
  EXPECT_EQ(tokens, measured.n_rows - 20);
  EXPECT_LT(pairs, tokens);
  EXPECT_GT(pairs, tokens * 97 / 100);
  EXPECT_GT(first, 2 * last);
  EXPECT_GT(first, 2 * null);
  EXPECT_GT(next, 2 * next_null);
  EXPECT_GT(predicted, next);
}

TEST_F(MeasureEmbeddingsTest, RefusesTextWithoutTokensAndChunksBeyondTheContext) {
  EmbeddingOptions options = Samples();
  options.policy.chunk = 1 << 20;
  EXPECT_THROW(Measure(options), Error);
  options.policy.chunk = 0;
  options.policy.max_tokens = 1;  // BOS
  EXPECT_THROW(Measure(options), Error);
}

}  // namespace
}  // namespace moescope::lab
