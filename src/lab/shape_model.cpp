#include "lab/shape_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/function_ref.h"
#include "base/progress.h"
#include "base/tensor/convert_rows.h"
#include "files/gguf_metadata.h"
#include "files/gguf_writer.h"
#include "files/tensor_kind.h"
#include "files/tensor_names.h"

namespace moescope::lab {
namespace {

namespace fs = std::filesystem;
using files::ModelConfig;
using files::TensorKind;

struct Shape {
  const char* name;
  int model_dim, n_layers, n_heads, n_kv_heads, head_dim, ffn_dim, n_experts, experts_per_token;
  int vocab_size, context;
  double rope_theta;
};

// Source: the models' config.json; arXiv 2401.04088 table 1.
constexpr Shape kShapes[] = {
    {"mixtral-8x7b", 4096, 32, 32, 8, 128, 14336, 8, 2, 32000, 32768, 1e6},
    {"mixtral-8x22b", 6144, 56, 48, 8, 128, 16384, 8, 2, 32000, 65536, 1e6},
    {"demo", 256, 8, 8, 2, 32, 256, 8, 2, 4096, 512, 1e4},
};

ModelConfig ConfigOf(const ShapeModelOptions& options) {
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const Shape& s) { return s.name == options.shape; });
  if (shape == std::end(kShapes)) {
    throw Error(ErrorKind::kBadInput, fmt::format("--shape: expected {}, found '{}'",
                                                  fmt::join(ShapeNames(), ", "), options.shape));
  }
  if (options.n_layers < 0 || options.n_layers > shape->n_layers) {
    throw Error(ErrorKind::kBadInput, fmt::format("--layers: {} has 1 to {}, not {}", shape->name,
                                                  shape->n_layers, options.n_layers));
  }
  ModelConfig config;
  config.architecture = "mixtral";
  config.model_dim = shape->model_dim;
  config.n_layers = options.n_layers == 0 ? shape->n_layers : options.n_layers;
  config.n_heads = shape->n_heads;
  config.n_kv_heads = shape->n_kv_heads;
  config.head_dim = shape->head_dim;
  config.ffn_dim = shape->ffn_dim;
  config.n_experts = shape->n_experts;
  config.experts_per_token = shape->experts_per_token;
  config.vocab_size = shape->vocab_size;
  config.context = shape->context;
  config.rope_theta = shape->rope_theta;
  config.rope_layout = files::RopeLayout::kInterleaved;
  config.norm_eps = 1e-5;
  config.bos_id = 1;
  config.AddEndId(config.eos_id = 2);
  return config;
}

// Unknown, begin, end, the bytes, then words that occur in no text.
files::Vocabulary MakeVocabulary(int size) {
  files::Vocabulary vocabulary;
  vocabulary.kind = files::TokenizerKind::kSentencePiece;
  const auto add = [&](const std::string& text, files::PieceType type) {
    const auto score = -static_cast<float>(vocabulary.pieces.size());
    vocabulary.pieces.push_back({.text = text, .score = score, .type = type});
  };
  add("<unk>", files::PieceType::kUnknown);
  add("<s>", files::PieceType::kControl);
  add("</s>", files::PieceType::kControl);
  for (int byte = 0; byte < 256; ++byte) {
    add(fmt::format("<0x{:02X}>", byte), files::PieceType::kByte);
  }
  while (static_cast<int>(vocabulary.pieces.size()) < size) {
    add(fmt::format("\xE2\x96\x81w{}", vocabulary.pieces.size()), files::PieceType::kNormal);
  }
  return vocabulary;
}

// Where a block keeps its binary16 scales (base/tensor/quant_blocks.h); empty: a plain float type.
std::vector<size_t> ScaleOffsets(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kIQ4_NL:
    case DType::kIQ4_XS:
      return {0};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    default:
      return {};
  }
}

// SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
uint64_t Mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Rows of one tensor.
class RandomMatrix {
 public:
  RandomMatrix(DType dtype, int64_t n_columns, uint64_t key)
      : dtype_(dtype),
        key_(key),
        offsets_(ScaleOffsets(dtype)),
        n_columns_(static_cast<uint64_t>(n_columns)),
        values_(static_cast<size_t>(n_columns)) {
    bytes_.resize(RowBytes(dtype, n_columns_).value());
    const double wanted = 1 / std::sqrt(static_cast<double>(n_columns));
    if (offsets_.empty()) {
      scale_ = static_cast<float>(wanted * std::sqrt(3.0));  // uniform in +-scale
      return;
    }
    constexpr int kRowsToMeasure = 64;
    double squares = 0;
    for (int row = 0; row < kRowsToMeasure; ++row) {
      FillCodes(static_cast<uint64_t>(row));
      SetScales(F32ToF16(1));
      DequantiseRow(dtype_, bytes_.data(), values_);
      for (float value : values_) squares += double{value} * value;
    }
    const double rms = std::sqrt(squares / static_cast<double>(kRowsToMeasure * n_columns));
    scale_bits_ = F32ToF16(static_cast<float>(wanted / rms));
  }

  std::span<const std::byte> Row(uint64_t row) {
    if (offsets_.empty()) {
      for (size_t i = 0; i < values_.size(); ++i) {
        const auto word = Mixed(key_ + row * values_.size() + i);
        values_[i] = scale_ * (static_cast<float>(word >> 40) * 0x1p-23f - 1);
      }
      QuantiseRow(dtype_, values_, bytes_.data());
    } else {
      FillCodes(row);
      SetScales(scale_bits_);
    }
    return bytes_;
  }

 private:
  void FillCodes(uint64_t row) {
    for (size_t i = 0; i < bytes_.size(); i += sizeof(uint64_t)) {
      const uint64_t word = Mixed(key_ + row * bytes_.size() + i);
      std::memcpy(bytes_.data() + i, &word, std::min(sizeof(word), bytes_.size() - i));
    }
  }
  void SetScales(uint16_t bits) {
    const auto block = static_cast<size_t>(Info(dtype_).block_bytes);
    for (size_t begin = 0; begin < bytes_.size(); begin += block) {
      for (size_t offset : offsets_)
        std::memcpy(bytes_.data() + begin + offset, &bits, sizeof(bits));
    }
  }

  DType dtype_;
  uint64_t key_;
  std::vector<size_t> offsets_;
  uint64_t n_columns_;
  std::vector<float> values_;
  std::vector<std::byte> bytes_;
  float scale_ = 0;
  uint16_t scale_bits_ = 0;
};

struct ShapeTensor {
  std::string name;
  TensorKind kind;
  DType dtype;
  std::vector<int64_t> shape;  // as written: all experts of a layer in one
};

std::vector<ShapeTensor> TensorsOf(const ModelConfig& config, DType dtype) {
  std::vector<ShapeTensor> tensors;
  const auto add = [&](TensorKind kind, int layer) {
    std::vector<int64_t> shape = ShapeOf(kind, config);
    const bool merged = ScopeOf(kind) == files::TensorScope::kExpert;
    if (merged) shape.insert(shape.begin(), config.n_experts);
    const files::NamePattern* pattern = FindPattern(
        files::kGgufNames, kind, merged ? files::Slicing::kExperts : files::Slicing::kWhole);
    MOESCOPE_CHECK(pattern != nullptr);
    const bool plain = shape.size() == 1 || kind == TensorKind::kRouter;
    tensors.push_back({.name = NameOf(*pattern, {kind, layer}),
                       .kind = kind,
                       .dtype = plain ? DType::kF32 : dtype,
                       .shape = std::move(shape)});
  };
  const auto add_scope = [&](bool in_layers, int layer) {
    for (TensorKind kind : files::AllTensorKinds()) {
      const bool is_layer = ScopeOf(kind) != files::TensorScope::kModel;
      if (is_layer == in_layers && HasTensor(kind, config)) add(kind, layer);
    }
  };
  add_scope(false, -1);
  for (int layer = 0; layer < config.n_layers; ++layer) add_scope(true, layer);
  return tensors;
}

void WriteTensor(const ShapeTensor& tensor, uint64_t key, files::GgufWriter& writer,
                 FunctionRef<void(uint64_t)> written) {
  const int64_t n_columns = tensor.shape.back();
  if (tensor.shape.size() == 1) {  // weights of a norm
    const std::vector<float> ones(static_cast<size_t>(n_columns), 1.0f);
    writer.Append(std::as_bytes(std::span(ones)));
    return;
  }
  uint64_t n_rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i)
    n_rows *= static_cast<uint64_t>(tensor.shape[i]);
  RandomMatrix matrix(tensor.dtype, n_columns, key);
  for (uint64_t row = 0; row < n_rows; ++row) {
    if (row % 1024 == 0) ThrowIfCancelled();
    const std::span<const std::byte> bytes = matrix.Row(row);
    writer.Append(bytes);
    written(bytes.size());
  }
}

void Write(const ModelConfig& config, const ShapeModelOptions& options, const std::string& path) {
  const std::vector<ShapeTensor> tensors = TensorsOf(config, options.dtype);
  files::GgufWriter writer;
  AddGgufConfig(config, options.dtype, options.shape, writer);
  AddGgufVocabulary(MakeVocabulary(config.vocab_size), config, writer);
  AddGgufTokenIds(config, writer);
  for (const ShapeTensor& tensor : tensors) {
    writer.DeclareTensor(tensor.name, tensor.dtype, tensor.shape);
  }
  ProgressBar progress("making " + options.shape, writer.TotalBytes() / 1'000'000, "MB");
  uint64_t n_bytes = 0;
  writer.Begin(path);
  uint64_t key = Mixed(options.seed);
  for (const ShapeTensor& tensor : tensors) {
    WriteTensor(tensor, key = Mixed(key), writer, [&](uint64_t bytes) {
      n_bytes += bytes;
      progress.Update(n_bytes / 1'000'000);
    });
  }
  writer.Commit();
}

}  // namespace

std::vector<std::string> ShapeNames() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

std::string MakeShapeModel(const ShapeModelOptions& options, const std::string& folder) {
  const ModelConfig config = ConfigOf(options);
  const bool can_be_random = options.dtype <= DType::kBF16 || !ScaleOffsets(options.dtype).empty();
  const bool whole_blocks =
      RowBytes(options.dtype, static_cast<uint64_t>(config.model_dim)).has_value() &&
      RowBytes(options.dtype, static_cast<uint64_t>(config.ffn_dim)).has_value();
  if (!can_be_random || !whole_blocks) {
    throw Error(ErrorKind::kBadInput, fmt::format("--type: no random weights of {} for {}: {}",
                                                  Name(options.dtype), options.shape,
                                                  can_be_random ? "its rows are not whole blocks"
                                                                : "its scales are not numbers"));
  }
  fs::create_directories(folder);
  const std::string path =
      (fs::path(folder) / fmt::format("{}-{}-{}-{}.gguf", options.shape, config.n_layers,
                                      Name(options.dtype), options.seed))
          .string();
  if (!fs::exists(path)) Write(config, options, path);
  return path;
}

}  // namespace moescope::lab
