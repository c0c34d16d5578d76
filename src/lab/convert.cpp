#include "lab/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/tensor/convert_rows.h"
#include "files/gguf_writer.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;
using files::ModelConfig;
using files::RopeLayout;
using files::TensorId;
using files::TensorKind;
using files::TensorLocation;

// What a buffer of rows may take: large enough for the disk, small enough for any machine.
constexpr uint64_t kBufferBytes = uint64_t{8} << 20;

// One tensor of the output: one of the input, or all experts of a layer one after another.
struct OutputTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape = {};
  std::vector<const TensorLocation*> parts = {};
  int interleave_head_dim = 0;  // of query and key rows to be reordered; 0: as they are
};

bool StaysF32(TensorKind kind) {
  return kind == TensorKind::kAttentionNorm || kind == TensorKind::kFeedForwardNorm ||
         kind == TensorKind::kFinalNorm || kind == TensorKind::kRouter;
}

// The type all parts have in common, else float32.
DType StoredType(const OutputTensor& tensor) {
  for (const TensorLocation* part : tensor.parts) {
    if (part->dtype != tensor.parts[0]->dtype) return DType::kF32;
  }
  return tensor.parts[0]->dtype;
}

// Decides names, types and order: embedding, layers, output.
class Planner {
 public:
  Planner(const Checkpoint& checkpoint, DType dtype, std::vector<std::string>& kept)
      : checkpoint_(checkpoint), dtype_(dtype), kept_(kept) {}

  std::vector<OutputTensor> Plan() {
    const ModelConfig& config = checkpoint_.config();
    Add("token_embd.weight", {TensorKind::kTokenEmbedding});
    for (int layer = 0; layer < config.n_layers; ++layer) AddLayer(layer);
    Add("output_norm.weight", {TensorKind::kFinalNorm});
    if (!config.tied_embeddings) Add("output.weight", {TensorKind::kOutputHead});
    return std::move(tensors_);
  }

 private:
  void AddLayer(int layer) {
    constexpr std::pair<const char*, TensorKind> kWhole[] = {
        {"attn_norm", TensorKind::kAttentionNorm},
        {"ffn_norm", TensorKind::kFeedForwardNorm},
        {"attn_q", TensorKind::kQuery},
        {"attn_k", TensorKind::kKey},
        {"attn_v", TensorKind::kValue},
        {"attn_output", TensorKind::kAttentionOutput},
        {"ffn_gate_inp", TensorKind::kRouter}};
    constexpr std::pair<const char*, TensorKind> kMerged[] = {
        {"ffn_gate_exps", TensorKind::kGateProj},
        {"ffn_down_exps", TensorKind::kDownProj},
        {"ffn_up_exps", TensorKind::kUpProj}};
    for (const auto& [name, kind] : kWhole) {
      Add(fmt::format("blk.{}.{}.weight", layer, name), {kind, layer});
    }
    for (const auto& [name, kind] : kMerged) {
      OutputTensor tensor{.name = fmt::format("blk.{}.{}.weight", layer, name)};
      for (int expert = 0; expert < checkpoint_.config().n_experts; ++expert) {
        tensor.parts.push_back(&checkpoint_.tensor({kind, layer, expert}));
      }
      tensor.shape = tensor.parts[0]->shape;
      tensor.shape.insert(tensor.shape.begin(), checkpoint_.config().n_experts);
      Finish(std::move(tensor), kind);
    }
  }
  void Add(std::string name, TensorId id) {
    OutputTensor tensor{.name = std::move(name)};
    tensor.parts = {&checkpoint_.tensor(id)};
    tensor.shape = tensor.parts[0]->shape;
    bool rotary = id.kind == TensorKind::kQuery || id.kind == TensorKind::kKey;
    if (rotary && checkpoint_.config().rope_layout == RopeLayout::kHalves) {
      tensor.interleave_head_dim = checkpoint_.config().head_dim;
    }
    Finish(std::move(tensor), id.kind);
  }
  void Finish(OutputTensor tensor, TensorKind kind) {
    tensor.dtype = StaysF32(kind) ? DType::kF32 : dtype_;
    int64_t cols = tensor.shape.back();
    if (!RowBytes(tensor.dtype, static_cast<uint64_t>(cols))) {
      tensor.dtype = StoredType(tensor);
      kept_.push_back(fmt::format("{} stays {}: rows of {} are not whole blocks of {}", tensor.name,
                                  Name(tensor.dtype), cols, Info(dtype_).block_elements));
    }
    tensors_.push_back(std::move(tensor));
  }

  const Checkpoint& checkpoint_;
  DType dtype_;
  std::vector<std::string>& kept_;
  std::vector<OutputTensor> tensors_;
};

// ggml's number for "mostly this type" (enum llama_ftype).
uint32_t FileType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:  // none of these is written
      return 0;
  }
}

void AddConfiguration(const ModelConfig& config, DType dtype, files::GgufWriter& writer) {
  auto number = [&writer](const char* key, int value) {
    writer.AddU32(fmt::format("llama.{}", key), static_cast<uint32_t>(value));
  };
  writer.AddText("general.architecture", "llama");
  writer.AddText("general.type", "model");
  writer.AddU32("general.file_type", FileType(dtype));
  writer.AddU32("general.quantization_version", 2);
  number("vocab_size", config.vocab_size);
  number("block_count", config.n_layers);
  number("context_length", config.context);
  number("embedding_length", config.model_dim);
  number("feed_forward_length", config.ffn_dim);
  number("attention.head_count", config.n_heads);
  number("attention.head_count_kv", config.n_kv_heads);
  number("attention.key_length", config.head_dim);
  number("attention.value_length", config.head_dim);
  writer.AddF32("llama.attention.layer_norm_rms_epsilon", static_cast<float>(config.norm_eps));
  writer.AddF32("llama.rope.freq_base", static_cast<float>(config.rope_theta));
  number("rope.dimension_count", config.head_dim);
  number("expert_count", config.n_experts);
  number("expert_used_count", config.experts_per_token);
}

// Readers take the size of the vocabulary from the list of tokens, so it is filled up to the rows
// of the embedding.
void AddVocabulary(const files::Vocabulary& vocabulary, const ModelConfig& config,
                   files::GgufWriter& writer) {
  std::vector<files::Vocabulary::Piece> pieces = vocabulary.pieces;
  for (auto id = static_cast<int>(pieces.size()); id < config.vocab_size; ++id) {
    pieces.push_back({fmt::format("[PAD{}]", id), 0, files::PieceType::kUnused});
  }
  std::vector<std::string_view> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const auto& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  writer.AddText("tokenizer.ggml.model", "llama");
  writer.AddText("tokenizer.ggml.pre", "default");
  writer.AddTexts("tokenizer.ggml.tokens", texts);
  writer.AddF32s("tokenizer.ggml.scores", scores);
  writer.AddI32s("tokenizer.ggml.token_type", types);
  writer.AddU32("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(vocabulary.unknown_id));
  writer.AddBool("tokenizer.ggml.add_bos_token", config.bos_id >= 0);
  writer.AddBool("tokenizer.ggml.add_eos_token", false);
  writer.AddBool("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  writer.AddBool("tokenizer.ggml.remove_extra_whitespaces", vocabulary.remove_extra_whitespaces);
}

// Streams the tensors through two buffers of rows.
class Copier {
 public:
  Copier(const Checkpoint& checkpoint, files::GgufWriter& writer, ProgressBar& progress)
      : checkpoint_(checkpoint), writer_(writer), progress_(progress) {}

  void Copy(const OutputTensor& tensor) {
    for (const TensorLocation* part : tensor.parts) CopyPart(tensor, *part);
  }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  void CopyPart(const OutputTensor& tensor, const TensorLocation& part) {
    auto cols = static_cast<uint64_t>(part.shape.back());
    uint64_t rows = part.shape.size() == 1 ? 1 : static_cast<uint64_t>(part.shape[0]);
    uint64_t in_bytes = part.n_bytes / rows;
    // Reordering happens within a head, so a step is whole heads.
    auto unit = static_cast<uint64_t>(std::max(1, tensor.interleave_head_dim));
    uint64_t step = std::max(unit, kBufferBytes / (cols * sizeof(float)) / unit * unit);
    for (uint64_t first = 0; first < rows; first += step) {
      ThrowIfCancelled();
      uint64_t n_rows = std::min(step, rows - first);
      input_.resize(n_rows * in_bytes);
      checkpoint_.file(part.file).Read(part.offset + first * in_bytes, input_);
      bytes_read_ += input_.size();
      if (tensor.interleave_head_dim > 0) InterleaveHeads(tensor.interleave_head_dim, in_bytes);
      writer_.Append(Converted(tensor, part, cols));
      progress_.Update(bytes_read_ / 1'000'000);
    }
  }

  // Row d + s * head_dim / 2 of a head (s = 0, 1) becomes row 2 d + s.
  void InterleaveHeads(int head_dim, uint64_t row_bytes) {
    auto half = static_cast<uint64_t>(head_dim) / 2;
    reordered_.resize(input_.size());
    uint64_t n_rows = input_.size() / row_bytes;
    for (uint64_t row = 0; row < n_rows; ++row) {
      uint64_t head = row / (2 * half);
      uint64_t in_head = row % (2 * half);
      uint64_t source = head * 2 * half + (in_head % 2) * half + in_head / 2;
      std::memcpy(reordered_.data() + row * row_bytes, input_.data() + source * row_bytes,
                  row_bytes);
    }
    std::swap(input_, reordered_);
  }

  ByteSpan Converted(const OutputTensor& tensor, const TensorLocation& part, uint64_t cols) {
    if (tensor.dtype == part.dtype && part.dtype == DType::kQ8_0) return input_;
    const DTypeInfo& info = Info(part.dtype);
    uint64_t n = input_.size() / static_cast<uint64_t>(info.block_bytes) *
                 static_cast<uint64_t>(info.block_elements);
    values_.resize(n);
    DequantiseRow(part.dtype, input_.data(), values_);
    CheckValues(tensor, part, cols);
    if (tensor.dtype == part.dtype) return input_;
    const DTypeInfo& out = Info(tensor.dtype);
    output_.resize(n / static_cast<uint64_t>(out.block_elements) *
                   static_cast<uint64_t>(out.block_bytes));
    QuantiseRow(tensor.dtype, values_, output_.data());
    return output_;
  }

  void CheckValues(const OutputTensor& tensor, const TensorLocation& part, uint64_t cols) const {
    // The largest magnitude that does not round to infinity in binary16; Q8_0's scale is one, too.
    constexpr float kLargestF16 = 65519.996f;
    float limit = tensor.dtype == DType::kF16    ? kLargestF16
                  : tensor.dtype == DType::kQ8_0 ? 127 * kLargestF16
                                                 : std::numeric_limits<float>::max();
    for (size_t i = 0; i < values_.size(); ++i) {
      if (std::fabs(values_[i]) <= limit) continue;
      bool finite = std::isfinite(values_[i]);
      throw Error(
          finite ? ErrorKind::kBadInput : ErrorKind::kCorrupt,
          fmt::format("cannot convert: {}: tensor '{}' column {}: expected {}, found {}{}",
                      checkpoint_.files()[static_cast<size_t>(part.file)], part.name, i % cols,
                      finite ? fmt::format("numbers that {} can hold", Name(tensor.dtype))
                             : "finite numbers",
                      values_[i], finite ? "; use --type bf16" : ""));
    }
  }

  const Checkpoint& checkpoint_;
  files::GgufWriter& writer_;
  ProgressBar& progress_;
  uint64_t bytes_read_ = 0;
  std::vector<std::byte> input_, reordered_, output_;
  std::vector<float> values_;
};

}  // namespace

ConvertSummary ConvertToGguf(const Checkpoint& checkpoint, const std::string& output, DType dtype) {
  if (!checkpoint.has_weights()) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("cannot convert: {}: expected weights, found a configuration alone",
                            checkpoint.path()));
  }
  auto start = std::chrono::steady_clock::now();
  ConvertSummary summary;
  std::vector<OutputTensor> tensors = Planner(checkpoint, dtype, summary.kept).Plan();
  const ModelConfig& config = checkpoint.config();
  files::GgufWriter writer;
  AddConfiguration(config, dtype, writer);
  if (checkpoint.vocabulary() != nullptr) AddVocabulary(*checkpoint.vocabulary(), config, writer);
  auto token = [&writer](const char* key, int id) {
    if (id >= 0) writer.AddU32(key, static_cast<uint32_t>(id));
  };
  token("tokenizer.ggml.bos_token_id", config.bos_id);
  token("tokenizer.ggml.eos_token_id", config.eos_id);
  uint64_t in_bytes = 0;
  for (const OutputTensor& tensor : tensors) {
    writer.DeclareTensor(tensor.name, tensor.dtype, tensor.shape);
    for (const TensorLocation* part : tensor.parts) in_bytes += part->n_bytes;
  }
  ProgressBar progress("convert", in_bytes / 1'000'000, "MB");
  writer.Begin(output);
  Copier copier(checkpoint, writer, progress);
  for (const OutputTensor& tensor : tensors) copier.Copy(tensor);
  writer.Commit();
  summary.n_tensors = tensors.size();
  summary.bytes_read = copier.bytes_read();
  summary.bytes_written = writer.TotalBytes();
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

DType ParseWritableType(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (DType dtype : {DType::kQ8_0, DType::kBF16, DType::kF16, DType::kF32}) {
    if (upper == Name(dtype)) return dtype;
  }
  throw Error(ErrorKind::kBadInput,
              fmt::format("not a type: '{}': expected q8_0, bf16, f16 or f32", name.substr(0, 60)));
}

}  // namespace moescope::lab
