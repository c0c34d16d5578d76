#include "lab/synthetic_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/progress.h"
#include "files/gguf_metadata.h"
#include "files/gguf_writer.h"
#include "files/tensor_names.h"
#include "files/vocabulary.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

// splitmix64: one multiplication chain a word, so that bytes come faster than a disk takes them.
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
class RandomWords {
 public:
  explicit RandomWords(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }
  // Uniform in [-sqrt(3), sqrt(3)): a variance of one.
  float Uniform() {
    const double unit = static_cast<double>(Next() >> 11) * 0x1p-53;
    return static_cast<float>((2 * unit - 1) * std::sqrt(3.0));
  }

 private:
  uint64_t state_;
};

// Where a type's binary16 scale and offset lie, how far values spread with random bits and a scale
// of one, and the offset that centres them, as a multiple of the scale.
struct RandomScale {
  DType dtype;
  int scale_at;
  int offset_at;  // -1: none
  double spread;
  double offset;
};
// Codes of b bits are uniform: a variance of (4^b - 1) / 12. K types multiply by a part's scale of
// mean square m2; where minima are random too, their mean only is centred and their variance adds.
constexpr RandomScale kRandomScales[] = {
    {DType::kQ8_0, 0, -1, 73.9, 0},    {DType::kQ4_0, 0, -1, 4.63, 0},
    {DType::kQ4_1, 0, 2, 4.61, -7.5},  {DType::kQ5_0, 0, -1, 9.25, 0},
    {DType::kQ5_1, 0, 2, 9.23, -15.5}, {DType::kQ2_K, 80, 82, 12.5, 1.5},
    {DType::kQ3_K, 108, -1, 42.8, 0},  {DType::kQ4_K, 0, 2, 270, 7.5},
    {DType::kQ5_K, 0, 2, 550, 15.5},   {DType::kQ6_K, 208, -1, 1366, 0},
};

const RandomScale& RandomScaleOf(DType dtype) {
  for (const RandomScale& scale : kRandomScales) {
    if (scale.dtype == dtype) return scale;
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("--type {}: no random weights of it; known: Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 "
                          "Q2_K Q3_K Q4_K Q5_K Q6_K",
                          Name(dtype)));
}

struct Tensor {
  std::string name;
  TensorKind kind;
  DType dtype;
  std::vector<int64_t> shape;
};

bool IsMatrix(TensorKind kind) {
  return kind != TensorKind::kAttentionNorm && kind != TensorKind::kFeedForwardNorm &&
         kind != TensorKind::kFinalNorm && kind != TensorKind::kRouter;
}

std::vector<Tensor> TensorsOf(const files::ModelConfig& config, DType dtype) {
  std::vector<Tensor> tensors;
  auto add = [&](TensorKind kind, int layer) {
    if (!files::HasTensor(kind, config)) return;
    const bool expert = files::ScopeOf(kind) == files::TensorScope::kExpert;
    const files::NamePattern* pattern =
        expert ? files::FindPattern(files::kGgufNames, kind, files::Slicing::kExperts)
               : files::FindPattern(files::kGgufNames, kind);
    MOESCOPE_CHECK(pattern != nullptr);
    std::vector<int64_t> shape = files::ShapeOf(kind, config);
    if (expert) shape.insert(shape.begin(), config.n_experts);
    tensors.push_back({files::NameOf(*pattern, {kind, layer, -1}), kind,
                       IsMatrix(kind) ? dtype : DType::kF32, std::move(shape)});
  };
  for (TensorKind kind : files::AllTensorKinds()) {
    if (files::ScopeOf(kind) == files::TensorScope::kModel) add(kind, -1);
  }
  for (int layer = 0; layer < config.n_layers; ++layer) {
    for (TensorKind kind : files::AllTensorKinds()) {
      if (files::ScopeOf(kind) != files::TensorScope::kModel) add(kind, layer);
    }
  }
  return tensors;
}

// <unk> <s> </s>, the bytes, and names for the rest.
files::Vocabulary VocabularyOf(int vocab_size) {
  files::Vocabulary vocabulary;
  using Type = files::PieceType;
  vocabulary.pieces = {
      {"<unk>", 0, Type::kUnknown}, {"<s>", 0, Type::kControl}, {"</s>", 0, Type::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, Type::kByte});
  }
  for (int id = 259; id < vocab_size; ++id) {
    vocabulary.pieces.push_back({fmt::format("t{}", id), -static_cast<float>(id), Type::kNormal});
  }
  return vocabulary;
}

void FillBlocks(RandomWords& random, const RandomScale& scale, double spread,
                std::vector<std::byte>& bytes) {
  for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    const uint64_t word = random.Next();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  const double step = spread / scale.spread;
  const uint16_t bits = F32ToF16(static_cast<float>(step));
  const uint16_t offset_bits = F32ToF16(static_cast<float>(step * scale.offset));
  for (size_t at = 0; at < bytes.size(); at += static_cast<size_t>(Info(scale.dtype).block_bytes)) {
    std::memcpy(bytes.data() + at + scale.scale_at, &bits, sizeof(bits));
    if (scale.offset_at < 0) continue;
    std::memcpy(bytes.data() + at + scale.offset_at, &offset_bits, sizeof(offset_bits));
  }
}

}  // namespace

files::ModelConfig SyntheticConfig(const std::string& shape, int n_layers) {
  files::ModelConfig config;
  config.architecture = "mixtral";
  config.head_dim = 128;
  config.n_kv_heads = 8;
  config.n_experts = 8;
  config.experts_per_token = 2;
  config.context = 32768;
  config.norm_eps = 1e-5;
  config.rope_theta = 1e6;
  config.rope_layout = files::RopeLayout::kInterleaved;
  config.bos_id = 1;
  config.eos_id = 2;
  config.end_ids = {2};
  if (shape == "mixtral-8x7b") {
    config.model_dim = 4096;
    config.ffn_dim = 14336;
    config.n_heads = 32;
    config.vocab_size = 32000;
    config.n_layers = n_layers > 0 ? n_layers : 32;
  } else if (shape == "mixtral-8x22b") {
    config.model_dim = 6144;
    config.ffn_dim = 16384;
    config.n_heads = 48;
    config.vocab_size = 32768;
    config.n_layers = n_layers > 0 ? n_layers : 56;
  } else {
    throw Error(ErrorKind::kBadInput,
                fmt::format("--shape: expected mixtral-8x7b or mixtral-8x22b, found '{}'", shape));
  }
  return config;
}

void WriteSyntheticModel(const std::string& path, const files::ModelConfig& config, DType dtype) {
  const RandomScale& scale = RandomScaleOf(dtype);
  const std::vector<Tensor> tensors = TensorsOf(config, dtype);
  files::GgufWriter writer;
  files::AddGgufConfig(config, dtype, "synthetic", writer);
  files::AddGgufVocabulary(VocabularyOf(config.vocab_size), config, writer);
  files::AddGgufTokenIds(config, writer);
  for (const Tensor& tensor : tensors) {
    if (!RowBytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.back()))) {
      throw Error(ErrorKind::kBadInput, fmt::format("--type {}: rows of {} are not whole blocks",
                                                    Name(dtype), tensor.shape.back()));
    }
    writer.DeclareTensor(tensor.name, tensor.dtype, tensor.shape);
  }
  writer.Begin(path);
  ProgressBar progress("synthetic model", writer.TotalBytes() / 1'000'000, "MB");
  RandomWords random(20231211);
  uint64_t written = 0;
  std::vector<std::byte> bytes;
  for (const Tensor& tensor : tensors) {
    const auto columns = static_cast<uint64_t>(tensor.shape.back());
    uint64_t rows = 1;
    for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
      rows *= static_cast<uint64_t>(tensor.shape[i]);
    }
    bytes.resize(RowBytes(tensor.dtype, columns).value());
    for (uint64_t row = 0; row < rows; ++row) {
      if (tensor.dtype == dtype) {
        // A row of length one; an embedding's values near one, so that it is not lost beside what
        // layers add.
        const bool embedding = tensor.kind == TensorKind::kTokenEmbedding;
        const double spread = embedding ? 1 : 1 / std::sqrt(static_cast<double>(columns));
        FillBlocks(random, scale, spread, bytes);
      } else {
        const bool router = tensor.kind == TensorKind::kRouter;
        const float spread = router ? 1 / std::sqrt(static_cast<float>(columns)) : 0;
        auto* values = reinterpret_cast<float*>(bytes.data());
        for (uint64_t i = 0; i < columns; ++i) values[i] = router ? spread * random.Uniform() : 1;
      }
      writer.Append(bytes);
      written += bytes.size();
      if (row % 256 == 0) {
        ThrowIfCancelled();
        progress.Update(written / 1'000'000);
      }
    }
  }
  writer.Commit();
}

}  // namespace moescope::lab
