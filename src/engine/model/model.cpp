#include "engine/model/model.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/platform/memory.h"
#include "base/tensor/convert_rows.h"
#include "engine/ops/rope.h"

namespace moescope::engine {

Model::Model(files::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {
  router_ = {.n_experts = config().n_experts,
             .experts_per_token = config().experts_per_token,
             .score = config().normalise_routing_weights
                          ? routing::ScoreFunction::kSoftmaxOverChosen
                          : routing::ScoreFunction::kSoftmaxOverAll};
}

void Model::ReadRopeFrequencies() {
  if (config().positions != files::PositionKind::kRotary) return;
  std::vector<float> factors;
  if (files::HasTensor(files::TensorKind::kRopeFactors, config())) {
    const files::TensorLocation& at = checkpoint_.tensor({files::TensorKind::kRopeFactors});
    std::vector<std::byte> stored(at.n_bytes);
    checkpoint_.ReadRows(at, 0, 1, stored);
    factors.resize(static_cast<size_t>(at.shape[0]));
    DequantiseRow(at.dtype, stored.data(), factors);
    for (float factor : factors) {
      if (factor > 0 && factor <= 1e9f) continue;
      throw Error(ErrorKind::kCorrupt, "cannot run " + checkpoint_.path() + ": tensor '" + at.name +
                                           "': expected positive numbers, found " +
                                           std::to_string(factor));
    }
  }
  rope_frequencies_ = RopeFrequencies(config(), factors);
}

std::unique_ptr<Model> Model::Open(const std::string& path, const ModelOptions& options) {
  std::unique_ptr<Model> model(new Model(files::Checkpoint::Open(path)));
  if (!model->checkpoint_.has_weights()) {
    throw Error(ErrorKind::kUnsupported, "cannot run " + path +
                                             ": expected weights, found only a configuration; "
                                             "`inspect` works on it");
  }
  model->ReadRopeFrequencies();
  const files::Checkpoint& checkpoint = model->checkpoint_;
  // A tenth for what nobody plans: it is others' memory too.
  const uint64_t memory =
      options.memory_bytes > 0 ? options.memory_bytes : AvailableMemoryBytes() / 10 * 9;
  const uint64_t least = LeastWeightBytes(checkpoint);
  const uint64_t rest =
      options.rest_bytes ? options.rest_bytes(model->config(), memory > least ? memory - least : 0)
                         : 0;
  const WeightPlan plan = PlanWeights(checkpoint, options.read_into_memory, memory, rest);
  model->weights_ = std::make_unique<WeightStore>(checkpoint, plan, options.experts);
  if (options.memory_bytes > 0 || plan.placement == WeightPlacement::kStreamed) {
    model->memory_left_ = memory - plan.total_bytes;
  }
  return model;
}

}  // namespace moescope::engine
