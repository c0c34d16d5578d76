#include "study/analysis/statement.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace moescope::study {

Statement MakeStatement(const store::Run& run, const RowColumns& rows, uint64_t seed,
                        int bootstrap_samples) {
  Statement statement;
  statement.run = run.directory();
  statement.complete = run.complete();
  statement.description = run.description();
  std::erase_if(statement.description.datasets, [&](const auto& dataset) {
    return rows.n_other > 0 &&
           std::none_of(rows.datasets.begin(), rows.datasets.end(),
                        [&](const DatasetInfo& kept) { return kept.name == dataset.name; });
  });
  statement.documents = static_cast<int64_t>(rows.documents.size());
  statement.tokens = rows.n_rows() + rows.n_special;
  statement.plain_tokens = rows.n_rows();
  statement.units = static_cast<int64_t>(rows.units.size());
  statement.seed = seed;
  statement.bootstrap_samples = bootstrap_samples;
  return statement;
}

namespace {

std::string DescribeBos(const std::string& bos) {
  if (bos == "document") return "BOS before each document";
  if (bos == "stream") return "each data set one stream, one BOS at its start";
  if (bos == "none") return "no BOS";
  return bos.empty() ? "BOS policy unknown" : bos;
}

std::string DescribeChunks(const store::RunDescription& run) {
  std::string text = run.chunk > 0 ? fmt::format(
                                         "cut every {} tokens into chunks that do not see "
                                         "each other",
                                         run.chunk)
                                   : "chunk policy unknown";
  if (run.max_tokens > 0) {
    text += fmt::format(", at most {} tokens a data set", FormatCount(run.max_tokens));
  }
  return text;
}

std::string OrUnknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> StatementLines(const Statement& statement) {
  const store::RunDescription& run = statement.description;
  std::vector<std::pair<std::string, std::string>> lines;
  lines.emplace_back("model", fmt::format("{}, identity {}", OrUnknown(run.model_name),
                                          OrUnknown(run.model_identity)));
  if (run.is_dense()) {
    lines.emplace_back("weights", fmt::format("feed-forward {}", OrUnknown(run.expert_type)));
    lines.emplace_back("routing", fmt::format("none: a dense model of {} layers", run.n_layers));
  } else {
    lines.emplace_back("weights", fmt::format("experts {}, router {}", OrUnknown(run.expert_type),
                                              OrUnknown(run.router_type)));
    lines.emplace_back("routing",
                       fmt::format("{} of {} experts a token, {} layers, {}", run.experts_per_token,
                                   run.n_experts, run.n_layers, OrUnknown(run.score_function)));
  }
  for (const std::string& intervention : run.interventions) {
    lines.emplace_back("intervention", intervention);
  }
  lines.emplace_back("tokenizer", OrUnknown(run.tokenizer_identity));
  lines.emplace_back("documents", fmt::format("{}, {}, {}", FormatCount(statement.documents),
                                              DescribeBos(run.bos), DescribeChunks(run)));
  lines.emplace_back("tokens", fmt::format("{}, of which {} special ones are left out; {} units{}",
                                           FormatCount(statement.tokens),
                                           FormatCount(statement.tokens - statement.plain_tokens),
                                           FormatCount(statement.units),
                                           statement.complete ? "" : "; the run is not finished"));
  lines.emplace_back("arithmetic",
                     fmt::format("{}, kernels {}, moescope {}", OrUnknown(run.precision),
                                 OrUnknown(run.kernel_level), run.engine_version));
  if (statement.bootstrap_samples == 0) {
    lines.emplace_back("seed", fmt::format("{}", statement.seed));
    return lines;
  }
  lines.emplace_back("intervals",
                     fmt::format("95 %, percentile bootstrap of whole units, {} resamples, seed {}",
                                 FormatCount(statement.bootstrap_samples), statement.seed));
  return lines;
}

}  // namespace moescope::study
