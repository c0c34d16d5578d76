#include "engine/model/model.h"

#include <utility>

#include "base/error.h"

namespace moescope::engine {

Model::Model(files::Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {
  router_ = {.n_experts = config().n_experts,
             .experts_per_token = config().experts_per_token,
             .score = routing::ScoreFunction::kSoftmaxOverChosen};
}

std::unique_ptr<Model> Model::Open(const std::string& path, Residency residency) {
  std::unique_ptr<Model> model(new Model(files::Checkpoint::Open(path)));
  if (!model->checkpoint_.has_weights()) {
    throw Error(ErrorKind::kUnsupported, "cannot run " + path +
                                             ": expected weights, found only a configuration; "
                                             "`inspect` works on it");
  }
  model->weights_ =
      std::make_unique<WeightStore>(model->checkpoint_, residency == Residency::kRead);
  return model;
}

}  // namespace moescope::engine
