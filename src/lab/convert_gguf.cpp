// `convert` to one GGUF file.
#include <fmt/format.h>

#include <chrono>

#include "base/progress.h"
#include "files/family.h"
#include "files/gguf_metadata.h"
#include "files/gguf_vocabulary.h"
#include "lab/convert.h"
#include "lab/tensor_copier.h"
#include "lab/writable_type.h"

namespace moescope::lab {
namespace {

using files::Checkpoint;
using files::ModelConfig;
using files::RopeScaling;

OutputLayout GgufLayout(const ModelConfig& config) {
  const files::Family& family = FamilyOf(config);
  OutputLayout layout{config.dense() ? files::kGgufDenseNames : files::kGgufNames, config};
  layout.config.rope_layout = family.gguf_rope_layout;
  if (config.rope_scaling.kind == RopeScaling::Kind::kLlama3) {
    layout.config.rope_scaling = {.kind = RopeScaling::Kind::kFactors};
  }
  return layout;
}

// Decides the type of a tensor; `kept` gets a line where it is not the one asked for.
DType TypeOf(const OutputTensor& tensor, DType wanted, std::vector<std::string>& kept) {
  if (IsAlwaysF32InGguf(tensor)) return DType::kF32;
  const int64_t columns = tensor.shape.back();
  if (RowBytes(wanted, static_cast<uint64_t>(columns))) return wanted;
  const DType stored = StoredType(tensor);
  const DType dtype = IsWritable(stored) ? stored : DType::kF16;
  kept.push_back(fmt::format("{} {} {}: rows of {} are not whole blocks of {}", tensor.name,
                             dtype == stored ? "stays" : "becomes", Name(dtype), columns,
                             Info(wanted).block_elements));
  return dtype;
}

// The tokenizer as far as it can be written; returns why not, or nothing.
std::string AddTokenizer(const Checkpoint& checkpoint, const ModelConfig& config,
                         files::GgufWriter& writer) {
  std::string note;
  const files::Vocabulary* vocabulary = checkpoint.vocabulary().get();
  if (vocabulary == nullptr) {
    note = checkpoint.tokenizer_note();
  } else if (vocabulary->kind == files::TokenizerKind::kBpe) {
    note = files::AddGgufBpeVocabulary(*vocabulary, config.vocab_size, writer);
  } else {
    AddGgufVocabulary(*vocabulary, config, writer);
  }
  AddGgufTokenIds(config, writer);
  return note;
}

}  // namespace

ConvertSummary ConvertToGguf(const Checkpoint& checkpoint, const std::string& output, DType dtype) {
  const auto start = std::chrono::steady_clock::now();
  ConvertSummary summary{.dtype = dtype};
  const OutputLayout layout = GgufLayout(ConfigWithTokenIds(checkpoint));
  std::vector<OutputTensor> tensors = PlanTensors(checkpoint, layout);
  files::GgufWriter writer;
  AddGgufConfig(layout.config, dtype, checkpoint.path(), writer);
  summary.tokenizer_note = AddTokenizer(checkpoint, layout.config, writer);
  for (OutputTensor& tensor : tensors) {
    tensor.dtype = TypeOf(tensor, dtype, summary.kept);
    writer.DeclareTensor(tensor.name, tensor.dtype, tensor.shape);
  }
  ProgressBar progress("convert", BytesToRead(tensors) / 1'000'000, "MB");
  writer.Begin(output);
  auto append = [&](ByteSpan bytes, uint64_t bytes_read) {
    writer.Append(bytes);
    progress.Update(bytes_read / 1'000'000);
  };
  TensorCopier copier(checkpoint, append);
  for (const OutputTensor& tensor : tensors) copier.Copy(tensor);
  writer.Commit();
  summary.n_tensors = tensors.size();
  summary.bytes_read = copier.bytes_read();
  summary.bytes_written = writer.TotalBytes();
  summary.files = {output};
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace moescope::lab
