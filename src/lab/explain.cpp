#include "lab/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/ops/matmul.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

// A tensor as float32, row after row.
std::vector<float> Floats(const engine::Model& model, files::TensorId id) {
  const engine::WeightMatrix matrix = model.weights().Acquire(id);
  std::vector<float> values(static_cast<size_t>(matrix.rows * matrix.cols));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    DequantiseRowOf(engine::SelectKernels(), matrix, row, values.data() + row * matrix.cols);
  }
  return values;
}

double Dot(const std::vector<double>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double Rms(const std::vector<float>& values, double eps) {
  double squares = 0;
  for (float value : values) squares += double{value} * value;
  return std::sqrt(squares / static_cast<double>(values.size()) + eps);
}

// The first expert that was not chosen: the largest of the other logits.
int RunnerUp(const LayerRecord& record) {
  int best = -1;
  for (int expert = 0; expert < static_cast<int>(record.router_logits.size()); ++expert) {
    const bool chosen =
        std::find(record.experts.begin(), record.experts.end(), expert) != record.experts.end();
    if (chosen) continue;
    const bool better = best < 0 || record.router_logits[static_cast<size_t>(expert)] >
                                        record.router_logits[static_cast<size_t>(best)];
    if (better) best = expert;
  }
  return best;
}

// Gradient of the margin by the residual stream, with the norm's scale held. [model_dim]
std::vector<double> MarginDirection(const engine::Model& model, const RouteExplanation& of) {
  const std::vector<float> router = Floats(model, {TensorKind::kRouter, of.layer});
  const std::vector<float> norm = Floats(model, {TensorKind::kFeedForwardNorm, of.layer});
  const size_t dim = norm.size();
  std::vector<double> direction(dim);
  for (size_t i = 0; i < dim; ++i) {
    const double a = router[static_cast<size_t>(of.expert) * dim + i];
    const double b = router[static_cast<size_t>(of.against) * dim + i];
    direction[i] = (a - b) * norm[i] / of.rms;
  }
  return direction;
}

// What each head of a layer adds: the direction is brought before the output projection first.
void AddHeads(const engine::Model& model, const LayerRecord& record, int layer,
              const std::vector<double>& direction, RouteExplanation& explanation) {
  const files::ModelConfig& config = model.config();
  const std::vector<float> output = Floats(model, {TensorKind::kAttentionOutput, layer});
  const auto columns = static_cast<size_t>(config.query_dim());
  std::vector<double> before(columns);
  for (size_t row = 0; row < direction.size(); ++row) {
    for (size_t c = 0; c < columns; ++c) before[c] += direction[row] * output[row * columns + c];
  }
  const auto head_dim = static_cast<size_t>(config.head_dim);
  for (int head = 0; head < config.n_heads; ++head) {
    double value = 0;
    for (size_t d = 0; d < head_dim; ++d) {
      const size_t c = static_cast<size_t>(head) * head_dim + d;
      value += before[c] * record.heads[c];
    }
    explanation.parts.push_back({MarginPart::Kind::kHead, layer, head, 1, value});
  }
  if (config.output_bias) {
    const std::vector<float> bias = Floats(model, {TensorKind::kAttentionOutputBias, layer});
    explanation.parts.push_back(
        {MarginPart::Kind::kAttentionBias, layer, -1, 1, Dot(direction, bias)});
  }
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  }
  return largest;
}

}  // namespace

std::string Name(const MarginPart& part) {
  switch (part.kind) {
    case MarginPart::Kind::kEmbedding:
      return "embedding";
    case MarginPart::Kind::kHead:
      return fmt::format("L{} head {}", part.layer, part.index);
    case MarginPart::Kind::kAttentionBias:
      return fmt::format("L{} attention bias", part.layer);
    case MarginPart::Kind::kExpert:
      return fmt::format("L{} expert {}", part.layer, part.index);
  }
  return "";
}

RouteExplanation ExplainRoute(const engine::Model& model, const std::vector<LayerRecord>& layers,
                              int layer, int expert, int against) {
  const files::ModelConfig& config = model.config();
  const LayerRecord& record = layers[static_cast<size_t>(layer)];
  RouteExplanation explanation{.layer = layer,
                               .expert = expert >= 0 ? expert : record.experts.back(),
                               .against = against >= 0 ? against : RunnerUp(record),
                               .parts = {}};
  for (int wanted : {explanation.expert, explanation.against}) {
    if (wanted >= 0 && wanted < config.n_experts) continue;
    throw Error(ErrorKind::kBadInput, fmt::format("cannot explain a route: expected experts 0 to "
                                                  "{}, found {}",
                                                  config.n_experts - 1, wanted));
  }
  explanation.margin = double{record.router_logits[static_cast<size_t>(explanation.expert)]} -
                       double{record.router_logits[static_cast<size_t>(explanation.against)]};
  explanation.rms = Rms(record.after_attention, config.norm_eps);
  const std::vector<double> direction = MarginDirection(model, explanation);

  explanation.parts.push_back(
      {MarginPart::Kind::kEmbedding, -1, -1, 1, Dot(direction, layers[0].input)});
  for (int l = 0; l <= layer; ++l) {
    const LayerRecord& of = layers[static_cast<size_t>(l)];
    AddHeads(model, of, l, direction, explanation);
    if (l == layer) break;
    for (size_t slot = 0; slot < of.experts.size(); ++slot) {
      if (of.experts[slot] < 0) continue;
      explanation.parts.push_back({MarginPart::Kind::kExpert, l, of.experts[slot], of.weights[slot],
                                   of.weights[slot] * Dot(direction, of.expert_outputs[slot])});
    }
  }
  for (const MarginPart& part : explanation.parts) explanation.sum += part.value;
  return explanation;
}

std::vector<TokenScore> TopTokens(const engine::Model& model, const std::vector<float>& direction,
                                  bool embedding, int n) {
  const bool tied = model.config().tied_embeddings;
  const engine::WeightMatrix matrix = model.weights().Acquire(
      {embedding || tied ? TensorKind::kTokenEmbedding : TensorKind::kOutputHead});
  std::vector<float> tile(engine::TileFloats(matrix.cols)),
      scores(static_cast<size_t>(matrix.rows));
  MultiplyStored(engine::SelectKernels(),
                 {const_cast<float*>(direction.data()), direction.size(), 1}, matrix, 0,
                 matrix.rows, {scores.data(), scores.size(), 1}, tile.data());
  std::vector<TokenScore> tokens;
  for (size_t id = 0; id < scores.size(); ++id) {
    tokens.push_back({static_cast<int32_t>(id), scores[id]});
  }
  const auto kept = std::min(tokens.size(), static_cast<size_t>(n));
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(kept), tokens.end(),
                    [](const TokenScore& a, const TokenScore& b) { return a.score > b.score; });
  tokens.resize(kept);
  return tokens;
}

LayerCheck CheckLayer(const engine::Model& model, const LayerRecord& record, int layer) {
  const engine::KernelTable& kernels = engine::SelectKernels();
  const size_t dim = record.input.size();
  LayerCheck check;
  // As the sweep does: a product, an addition, the bias.
  const engine::WeightMatrix output =
      model.weights().Acquire({TensorKind::kAttentionOutput, layer});
  std::vector<float> tile(engine::TileFloats(output.cols)), written(dim);
  MultiplyStored(kernels, {const_cast<float*>(record.heads.data()), record.heads.size(), 1}, output,
                 0, output.rows, {written.data(), dim, 1}, tile.data());
  std::vector<float> stream = record.input;
  for (size_t i = 0; i < dim; ++i) stream[i] += written[i];
  if (model.config().output_bias) {
    const std::vector<float> bias = Floats(model, {TensorKind::kAttentionOutputBias, layer});
    kernels.add_scaled(stream.data(), bias.data(), 1, dim);
  }
  check.attention = LargestDifference(stream, record.after_attention);

  stream = record.after_attention;
  for (size_t slot = 0; slot < record.experts.size(); ++slot) {
    if (record.experts[slot] < 0) continue;
    kernels.add_scaled(stream.data(), record.expert_outputs[slot].data(), record.weights[slot],
                       dim);
  }
  check.experts = LargestDifference(stream, record.output);
  return check;
}

std::vector<float> RouterDirection(const engine::Model& model, int layer, int expert) {
  const std::vector<float> router = Floats(model, {TensorKind::kRouter, layer});
  std::vector<float> direction = Floats(model, {TensorKind::kFeedForwardNorm, layer});
  for (size_t i = 0; i < direction.size(); ++i) {
    direction[i] *= router[static_cast<size_t>(expert) * direction.size() + i];
  }
  return direction;
}

std::vector<float> OutputDirection(const engine::Model& model, const std::vector<float>& output) {
  std::vector<float> direction = Floats(model, {TensorKind::kFinalNorm});
  for (size_t i = 0; i < direction.size(); ++i) direction[i] *= output[i];
  return direction;
}

}  // namespace moescope::lab
