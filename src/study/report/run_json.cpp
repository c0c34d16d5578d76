#include "study/report/run_json.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace moescope::study {

using Json = nlohmann::json;

Json RunJson(const Statement& statement, const std::vector<DatasetCounts>& counts) {
  const store::RunDescription& run = statement.description;
  Json datasets = Json::array();
  for (const DatasetCounts& dataset : counts) {
    datasets.push_back({{"name", dataset.name},
                        {"documents", dataset.documents ? Json(*dataset.documents) : Json()},
                        {"units", dataset.units},
                        {"tokens", dataset.tokens},
                        {"unit_by", dataset.unit_by}});
  }
  return {{"model_name", run.model_name},
          {"architecture", run.architecture},
          {"model_identity", run.model_identity},
          {"expert_type", run.expert_type},
          {"router_type", run.router_type},
          {"n_layers", run.n_layers},
          {"layers", run.LayerNumbers()},
          {"n_experts", run.n_experts},
          {"experts_per_token", run.experts_per_token},
          {"score_function", run.score_function},
          {"tokenizer_identity", run.tokenizer_identity},
          {"vocab_size", run.vocab_size},
          {"bos", run.bos},
          {"chunk", run.chunk},
          {"max_tokens", run.max_tokens},
          {"raw", run.raw},
          {"precision", run.precision},
          {"kernel_level", run.kernel_level},
          {"engine_version", run.engine_version},
          {"interventions", run.interventions},
          {"complete", statement.complete},
          {"n_tokens", statement.tokens},
          {"n_plain_tokens", statement.plain_tokens},
          {"n_documents", statement.documents},
          {"n_units", statement.units},
          {"n_bootstrap", statement.bootstrap_samples},
          {"seed", statement.seed},
          {"datasets", std::move(datasets)}};
}

Json LimitsJson(const ModelLimits& limits) {
  Json paragraphs = Json::array();
  for (const auto& [label, text] : limits.paragraphs)
    paragraphs.push_back({{"label", label}, {"text", text}});
  return {{"title", limits.title}, {"paragraphs", std::move(paragraphs)}};
}

}  // namespace moescope::study
