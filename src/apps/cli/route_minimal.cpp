#include "apps/cli/route_minimal.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/platform/file.h"
#include "base/units.h"
#include "engine/kernels/kernel_table.h"
#include "lab/template_routes.h"
#include "study/analysis/minimal_pair_plan.h"
#include "study/analysis/minimal_pairs.h"
#include "study/figures/minimal_pair_figure.h"
#include "text/word_template.h"

namespace moescope::cli {
namespace {

constexpr int kDefaultNullPairs = 1000;

std::vector<text::WordTemplate> ReadTemplates(const MinimalOptions& options) {
  if (options.templates.empty()) return text::PlainSentences();
  return text::ParseWordTemplates(ReadWholeFile(options.templates, text::kMaxTemplateFileBytes),
                                  options.templates);
}

// Said before it is paid: minutes, on a large model.
void PrintPlan(const study::MinimalPairPlan& plan, size_t n_templates,
               const lab::TemplateRoutes& routes) {
  fmt::print(stderr, "plan: {} words in {} template{}: {} sequences, {} tokens\n",
             plan.words.size(), n_templates, n_templates == 1 ? "" : "s",
             FormatCount(static_cast<uint64_t>(routes.n_sequences())),
             FormatCount(static_cast<uint64_t>(routes.n_tokens())));
}

}  // namespace

void AddMinimalOptions(CLI::App& app, MinimalOptions& options) {
  app.add_flag("--minimal", options.minimal,
               "With --pair and -m: both words in the same templates, run through the model");
  app.add_option("-m,--model", options.model, "With --minimal: the model the run was traced with");
  app.add_option("--templates", options.templates,
                 "With --minimal: a file of lines with {} where the word goes (default: 50 "
                 "built-in sentences)");
  app.add_option("--null-pairs", options.n_null,
                 fmt::format("With --minimal: pairs of matched words beside each pair (default {})",
                             kDefaultNullPairs))
      ->check(CLI::Range(1, 100000));
}

void CheckMinimalOptions(const MinimalOptions& options, bool has_pairs) {
  if (!options.minimal) {
    for (const auto& [name, given] : {std::pair{"-m", !options.model.empty()},
                                      std::pair{"--templates", !options.templates.empty()},
                                      std::pair{"--null-pairs", options.n_null > 0}}) {
      if (!given) continue;
      throw Error(ErrorKind::kUsage,
                  fmt::format("route: {} goes with --minimal; without it only the run is read, "
                              "leave {} out",
                              name, name));
    }
    return;
  }
  if (options.model.empty()) {
    throw Error(ErrorKind::kUsage,
                "route --minimal: expected -m MODEL: templates are run through the run's model");
  }
  if (!has_pairs) throw Error(ErrorKind::kUsage, "route --minimal: expected --pair A,B");
}

Figure MeasureMinimalPairs(
    const MinimalOptions& options, FigureSession& session, const study::WordIndex& index,
    const std::vector<std::pair<study::Occurrences, study::Occurrences>>& pairs,
    const std::vector<int>& layers) {
  const std::vector<text::WordTemplate> templates = ReadTemplates(options);
  const lab::TextModel opened = lab::OpenTextModel(options.model);
  const lab::TemplatePolicy policy =
      lab::PolicyOfRun(opened, session.run.description(), session.options.run);
  const int n_null = options.n_null > 0 ? options.n_null : kDefaultNullPairs;
  const study::MinimalPairPlan plan =
      study::PlanMinimalPairs(session.rows, index, pairs, n_null, session.options.bootstrap.seed);
  const lab::TemplateRoutes routes(opened, policy, templates, plan.words,
                                   {.memory_bytes = ParseBytes(session.options.memory)},
                                   session.pool);
  PrintPlan(plan, templates.size(), routes);

  const std::vector<routing::RoutedRows> rows = routes.Run();
  std::vector<study::WordInTemplates> words;
  for (size_t word = 0; word < plan.words.size(); ++word) {
    words.push_back(std::span(rows).subspan(word * templates.size(), templates.size()));
  }
  const auto results = study::CompareMinimalPairs(words, plan.questions, layers,
                                                  session.options.bootstrap, session.pool);

  study::MinimalPairRun of = {.templates = {},
                              .layers = layers,
                              .n_null = n_null,
                              .bos = policy.bos,
                              .kernel_level = std::string(Name(engine::SelectKernels().level)),
                              .n_words = static_cast<int64_t>(plan.words.size()),
                              .n_sequences = routes.n_sequences(),
                              .n_tokens = routes.n_tokens()};
  for (const text::WordTemplate& in : templates) of.templates.push_back(in.Fill("{}"));
  return {study::MinimalPairsFigure(plan.pairs, results, of),
          study::MinimalPairsText(plan.pairs, results, of)};
}

}  // namespace moescope::cli
