#include "lab/describe_run.h"

#include <fmt/format.h>

namespace moescope::lab {
namespace {

// "mixtral 16.0 M": from the content alone, so that moving or renaming a model changes no run.
std::string ModelName(const files::ModelConfig& config) {
  double parameters = static_cast<double>(files::CountParameters(config).total);
  bool billions = parameters >= 1e9;
  return fmt::format("{} {:.1f} {}", config.architecture, parameters / (billions ? 1e9 : 1e6),
                     billions ? "B" : "M");
}

// What turns router logits into weights; empty where the model is dense.
std::string ScoreName(const files::ModelConfig& config) {
  if (config.dense()) return "";
  return config.normalise_routing_weights ? "softmax over chosen" : "softmax over all";
}

}  // namespace

store::RunDescription DescribeRun(const engine::Model& model, const text::Tokenizer& tokenizer,
                                  const engine::KernelTable& kernels,
                                  const TextDescription& described) {
  const files::Checkpoint& checkpoint = model.checkpoint();
  const files::ModelConfig& config = model.config();
  auto stored_as = [&](files::TensorKind kind, int expert) {
    return std::string(Name(checkpoint.tensor({kind, 0, expert}).dtype));
  };
  store::RunDescription run;
  run.model_name = ModelName(config);
  run.architecture = config.architecture;
  run.model_identity = checkpoint.Identity();
  run.expert_type = stored_as(files::TensorKind::kUpProj, 0);
  run.router_type = config.dense() ? "" : stored_as(files::TensorKind::kRouter, -1);
  run.n_layers = config.n_layers;
  run.n_experts = config.n_experts;
  run.experts_per_token = config.experts_per_token;
  run.score_function = ScoreName(config);
  // Options other than the format's own make it another tokenizer.
  run.tokenizer_identity = tokenizer.Identity(described.policy.encode);
  run.vocab_size = tokenizer.vocab_size();
  run.bos = text::Name(described.policy.bos);
  run.chunk = described.chunk;
  run.max_tokens = described.policy.max_tokens;
  run.raw = described.raw;
  for (const text::DataSpec& spec : described.data) {
    run.datasets.push_back({spec.name, spec.unit_field, spec.text_template});
  }
  run.precision = Name(described.precision);
  run.kernel_level = Name(kernels.level);
  run.engine_version = MOESCOPE_VERSION;
  return run;
}

}  // namespace moescope::lab
