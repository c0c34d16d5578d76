#include "lab/precision_note.h"

#include <fmt/format.h>

#include <set>

#include "base/tensor/block_codes.h"
#include "files/checkpoint.h"

namespace moescope::lab {
namespace {

using files::TensorKind;

// Of the matrices that meet rounded activations; the router never does.
std::set<std::string> TypesNotRounded(const engine::Model& model, engine::Precision precision) {
  const files::ModelConfig& config = model.config();
  const engine::KernelTable& kernels = engine::SelectKernels();
  std::set<std::string> types;
  auto add = [&](TensorKind kind, int layer, int expert) {
    if (!files::HasTensor(kind, config)) return;
    const DType dtype = model.checkpoint().tensor({kind, layer, expert}).dtype;
    const auto rounding = RoundingOf(precision, engine::Phase::kPrefill, kernels, dtype);
    if (rounding == engine::Rounding::kNone) types.insert(std::string(Name(dtype)));
  };
  for (int layer = 0; layer < config.n_layers; ++layer) {
    for (TensorKind kind :
         {TensorKind::kQuery, TensorKind::kKey, TensorKind::kValue, TensorKind::kAttentionOutput}) {
      add(kind, layer, -1);
    }
    for (int expert = 0; expert < config.n_feed_forwards(); ++expert) {
      for (TensorKind kind : {TensorKind::kGateProj, TensorKind::kUpProj, TensorKind::kDownProj}) {
        add(kind, layer, expert);
      }
    }
  }
  add(config.tied_embeddings ? TensorKind::kTokenEmbedding : TensorKind::kOutputHead, -1, -1);
  return types;
}

}  // namespace

engine::Precision ChoosePrecision(const std::string& name, const std::string& model) {
  if (name != "auto") return engine::ParsePrecision(name);
  const files::Checkpoint checkpoint = files::Checkpoint::Open(model);
  const auto experts = checkpoint.tensors().find({TensorKind::kDownProj, 0, 0});
  const bool quantised =
      experts != checkpoint.tensors().end() && CodesOf(experts->second.dtype).part > 0;
  return quantised ? engine::Precision::kFast : engine::Precision::kExact;
}

std::string PrecisionNote(const engine::Model& model, engine::Precision precision) {
  if (precision == engine::Precision::kExact) return "";
  const std::set<std::string> types = TypesNotRounded(model, precision);
  if (types.empty()) return "";
  return fmt::format(
      "weights of type {} are not whole numbers: their products run as in exact precision",
      fmt::join(types, ", "));
}

void PrintPrecisionNote(const engine::Model& model, engine::Precision precision) {
  const std::string note = PrecisionNote(model, precision);
  if (!note.empty()) fmt::print(stderr, "--precision fast: {}\n", note);
}

}  // namespace moescope::lab
