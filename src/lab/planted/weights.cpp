#include "lab/planted/weights.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>

#include "base/error.h"
#include "files/config_json_writer.h"
#include "files/safetensors_writer.h"
#include "files/sentencepiece_writer.h"
#include "files/tensor_names.h"
#include "files/vocabulary.h"

namespace moescope::lab {
namespace {

using files::TensorId;
using files::TensorKind;
using files::TensorScope;

constexpr double kConstantValue = 1024;
constexpr int kFirstCharacter = 3;  // after <unk>, <s>, </s>
// What opens an expert's gate: silu(16) is 16 within 2e-7, and computed here anyway.
constexpr double kGate = 16;

files::ModelConfig ConfigOf(std::string_view characters, const PlantedShape& shape) {
  files::ModelConfig config;
  config.architecture = "mixtral";
  config.vocab_size = kFirstCharacter + static_cast<int>(characters.size());
  config.model_dim = 1 + config.vocab_size + shape.n_extra;
  config.n_layers = shape.n_layers;
  config.n_heads = config.n_kv_heads = shape.n_heads;
  config.head_dim = PlantedWeights::kHeadDim;
  config.ffn_dim = PlantedWeights::kFfnDim;
  config.context = shape.context;
  config.n_experts = shape.n_experts;
  config.experts_per_token = shape.experts_per_token;
  config.norm_eps = 1e-5;
  config.rope_theta = 1e10;
  config.bos_id = PlantedWeights::kBos;
  config.eos_id = 2;
  config.AddEndId(config.eos_id);
  return config;
}

int64_t ElementsOf(TensorKind kind, const files::ModelConfig& config) {
  int64_t n = 1;
  for (int64_t dimension : files::ShapeOf(kind, config)) n *= dimension;
  return n;
}

bool IsNorm(TensorKind kind) {
  return kind == TensorKind::kAttentionNorm || kind == TensorKind::kFeedForwardNorm ||
         kind == TensorKind::kFinalNorm;
}

// Calls fn(id) for every tensor of the model.
template <typename Fn>
void ForEachTensor(const files::ModelConfig& config, Fn&& fn) {
  for (TensorKind kind : files::AllTensorKinds()) {
    if (!files::HasTensor(kind, config)) continue;
    const TensorScope scope = files::ScopeOf(kind);
    if (scope == TensorScope::kModel) {
      fn(TensorId{kind});
      continue;
    }
    for (int layer = 0; layer < config.n_layers; ++layer) {
      if (scope == TensorScope::kLayer) {
        fn(TensorId{kind, layer});
        continue;
      }
      for (int expert = 0; expert < config.n_experts; ++expert) fn(TensorId{kind, layer, expert});
    }
  }
}

}  // namespace

PlantedWeights::PlantedWeights(std::string_view characters, const PlantedShape& shape)
    : characters_(characters), config_(ConfigOf(characters, shape)) {
  // The root mean square of a row is 1,024 / sqrt(model_dim).
  const double weight = kConstantValue / std::sqrt(config_.model_dim);
  ForEachTensor(config_, [&](TensorId id) {
    if (!IsNorm(id.kind)) return;
    for (float& value : Values(id)) value = static_cast<float>(weight);
  });
  for (int token = 0; token < config_.vocab_size; ++token) {
    Set({TensorKind::kTokenEmbedding}, token, kConstant, kConstantValue);
    Set({TensorKind::kTokenEmbedding}, token, CodeOf(token), 1);
  }
}

int PlantedWeights::TokenOf(char character) const {
  const size_t place = characters_.find(character);
  MOESCOPE_CHECK(place != std::string::npos);
  return kFirstCharacter + static_cast<int>(place);
}

std::vector<float>& PlantedWeights::Values(TensorId id) {
  std::vector<float>& values = values_[id];
  if (values.empty()) values.resize(static_cast<size_t>(ElementsOf(id.kind, config_)));
  return values;
}

void PlantedWeights::Set(TensorId id, int64_t row, int64_t column, double value) {
  const int64_t n_columns = files::ShapeOf(id.kind, config_).back();
  MOESCOPE_CHECK(row >= 0 && column >= 0 && column < n_columns &&
                 (row + 1) * n_columns <= ElementsOf(id.kind, config_));
  Values(id)[static_cast<size_t>(row * n_columns + column)] = static_cast<float>(value);
}

void PlantedWeights::Read(TensorId id, int64_t row, int coordinate, double value) {
  Set(id, row, coordinate, coordinate == kConstant ? value / kConstantValue : value);
}

void PlantedWeights::ExpertWrites(int layer, int expert, int from, int to, double value) {
  const int unit = n_hidden_[{layer, expert}]++;
  Read({TensorKind::kGateProj, layer, expert}, unit, from, kGate);
  Read({TensorKind::kUpProj, layer, expert}, unit, from, 1);
  Set({TensorKind::kDownProj, layer, expert}, to, unit, value * (1 + std::exp(-kGate)) / kGate);
}

void PlantedWeights::RouterReads(int layer, int expert, int coordinate, double logit) {
  Read({TensorKind::kRouter, layer}, expert, coordinate, logit);
}

void PlantedWeights::HeadReads(int token, int coordinate, double logit) {
  Read({TensorKind::kOutputHead}, token, coordinate, logit);
}

void PlantedWeights::Clear(TensorId id) {
  values_.erase(id);
}

std::string PlantedWeights::TokenizerModel() const {
  using files::PieceType;
  files::Vocabulary vocabulary;
  vocabulary.pieces = {{"<unk>", 0, PieceType::kUnknown},
                       {"<s>", 0, PieceType::kControl},
                       {"</s>", 0, PieceType::kControl}};
  for (char character : characters_) {
    vocabulary.pieces.push_back({std::string(1, character), 0, PieceType::kNormal});
  }
  vocabulary.bos_id = kBos;
  vocabulary.eos_id = config_.eos_id;
  vocabulary.add_space_prefix = false;
  return files::WriteSentencePieceModel(vocabulary);
}

void PlantedWeights::Write(const std::string& folder) const {
  std::filesystem::create_directories(folder);
  auto write = [&](const char* name, const std::string& content) {
    std::ofstream out(folder + "/" + name, std::ios::binary);
    out << content;
    out.close();
    if (!out) throw Error(ErrorKind::kIo, "cannot write " + folder + "/" + name);
  };
  write("config.json", files::WriteConfigJson(config_, DType::kF32, folder));
  write("tokenizer.model", TokenizerModel());
  files::SafetensorsWriter writer;
  ForEachTensor(config_, [&](TensorId id) {
    writer.DeclareTensor(files::ExpectedName(files::kMixtralNames, id), DType::kF32,
                         files::ShapeOf(id.kind, config_));
  });
  writer.Begin(folder + "/model.safetensors");
  ForEachTensor(config_, [&](TensorId id) {
    const auto found = values_.find(id);
    const std::vector<float> zeros(
        found == values_.end() ? static_cast<size_t>(ElementsOf(id.kind, config_)) : 0);
    writer.Append(std::as_bytes(std::span(found == values_.end() ? zeros : found->second)));
  });
  writer.Commit();
}

}  // namespace moescope::lab
