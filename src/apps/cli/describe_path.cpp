#include "apps/cli/describe_path.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/units.h"
#include "files/checkpoint.h"
#include "store/run.h"

namespace moescope::cli {
namespace {

void DescribeRun(const std::string& path) {
  store::Run run = store::Run::Open(path);
  const store::RunDescription& description = run.description();
  const bool is_dense = description.is_dense();
  fmt::print("{}: a {} run of {}: {} tokens of {} documents, {} layers, {}\n", path,
             run.complete() ? "complete" : "partial", description.model_name,
             FormatCount(static_cast<uint64_t>(run.n_tokens())),
             FormatCount(static_cast<uint64_t>(run.n_documents())), description.n_layers,
             is_dense ? "dense: losses without routes"
                      : fmt::format("{} of {} experts a token", description.experts_per_token,
                                    description.n_experts));
  fmt::print(
      "next: moescope figure {1} {0}\n"
      "      moescope report {0} -o report.html\n"
      "      moescope query {0} 'select * from {2} limit 5'\n",
      path, is_dense ? "perplexity" : "table5", is_dense ? "tokens" : "routes");
}

void DescribeCheckpoint(const std::string& path) {
  files::Checkpoint checkpoint = files::Checkpoint::Open(path);
  const files::ModelConfig& config = checkpoint.config();
  files::ParameterCounts counts = files::CountParameters(config);
  fmt::print("{}: {} ({}): {} parameters, {} active a token; {} layers, {} of {} experts a token\n",
             path, config.architecture, checkpoint.format(), FormatCount(counts.total),
             FormatCount(counts.active), config.n_layers, config.experts_per_token,
             config.n_experts);
  fmt::print(
      "next: moescope inspect {0}\n"
      "      moescope trace -m {0} --data NAME=TEXT.jsonl -o RUN\n",
      path);
}

}  // namespace

bool IsDescribable(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && path[0] != '-' && std::filesystem::exists(path, ignored);
}

void DescribePath(const std::string& path) {
  bool is_run = std::filesystem::exists(std::filesystem::path(path) / "manifest.json");
  is_run ? DescribeRun(path) : DescribeCheckpoint(path);
}

}  // namespace moescope::cli
