// moescope route RUN WORD...: which way a word goes through the layers, in all its contexts;
// with --pair: whether two words go the same way, in the run's contexts or, with --minimal, in the
// same templates.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/command.h"
#include "apps/cli/figures/figure.h"
#include "apps/cli/route_minimal.h"
#include "base/error.h"
#include "study/analysis/path_distance.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/word_routes.h"
#include "study/figures/route_figure.h"

namespace moescope::cli {
namespace {

struct RouteOptions {
  FigureOptions figure;
  std::vector<std::string> words, pairs;
  std::string dataset;
  int limit = 3;
  MinimalOptions minimal;
};

std::pair<std::string, std::string> SplitPair(const std::string& pair) {
  const size_t comma = pair.find(',');
  const bool is_pair = comma != std::string::npos && comma > 0 && comma + 1 < pair.size() &&
                       pair.find(',', comma + 1) == std::string::npos;
  if (!is_pair) {
    throw Error(ErrorKind::kUsage,
                "--pair " + pair + ": expected two words separated by one comma, as king,queen");
  }
  return {pair.substr(0, comma), pair.substr(comma + 1)};
}

Figure MeasurePairs(const RouteOptions& options, FigureSession& session,
                    const study::WordIndex& index, const std::vector<int>& layers) {
  std::vector<std::pair<study::Occurrences, study::Occurrences>> pairs;
  for (const std::string& text : options.pairs) {
    const auto [a, b] = SplitPair(text);
    pairs.emplace_back(index.Find(a), index.Find(b));
  }
  if (options.minimal.minimal) {
    return MeasureMinimalPairs(options.minimal, session, index, pairs, layers);
  }
  study::PathDistanceOptions distance;
  distance.seed = session.options.bootstrap.seed;
  const auto results = study::ComputePathDistances(session.run, *session.database, session.rows,
                                                   index, pairs, layers, distance, session.pool);
  return {study::PathDistancesFigure(results, layers, distance),
          study::PathDistancesText(results, layers, distance, session.style)};
}

void Route(const RouteOptions& options) {
  if (options.words.empty() == options.pairs.empty()) {
    throw Error(ErrorKind::kUsage,
                "route: expected words, or --pair A,B; see 'moescope route --help'");
  }
  CheckMinimalOptions(options.minimal, !options.pairs.empty());
  for (const std::string& pair : options.pairs) {
    const auto [a, b] = SplitPair(pair);
    if (options.minimal.minimal && (study::IsTokenName(a) || study::IsTokenName(b))) {
      throw Error(ErrorKind::kBadInput, "--pair " + pair + ": expected words to put into " +
                                            "templates, found the number of a token");
    }
  }
  FigureSession session(options.figure, true);
  study::RequireTokenIds(session.run);
  const int dataset = study::FindDataset(session.rows, options.dataset);
  const std::vector<int> layers =
      study::ParseLayers(options.figure.layers.empty() ? "all" : options.figure.layers,
                         session.run.description().LayerNumbers());
  const std::vector<std::string> vocabulary = study::LoadVocabularyBytes(*session.database);
  const study::WordIndex index(session.rows, vocabulary, dataset);
  if (!options.pairs.empty()) {
    PrintFigure(session, MeasurePairs(options, session, index, layers));
    return;
  }
  std::vector<study::Occurrences> words;
  for (const std::string& word : options.words) words.push_back(index.Find(word));
  study::WordRoutesOptions routes;
  routes.dataset = dataset;
  routes.max_paths = options.limit;
  routes.bootstrap = options.figure.bootstrap;
  const auto results = study::ComputeWordRoutes(session.run, *session.database, session.rows,
                                                vocabulary, words, layers, routes, session.pool);
  PrintFigure(session, {study::WordRoutesFigure(results, layers),
                        study::WordRoutesText(results, layers, session.style)});
}

}  // namespace

std::function<void()> AddRoute(CLI::App& app) {
  auto options = std::make_shared<RouteOptions>();
  app.add_option("run", options->figure.run, "Run directory")->required();
  app.add_option("word", options->words, "Words, or #ID for a token id");
  app.add_option("--pair", options->pairs,
                 "A,B: how far two words travel apart, beside random pairs; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--dataset", options->dataset, "Only this data set");
  app.add_option("--limit", options->limit, "Paths shown of a word")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  AddMinimalOptions(app, options->minimal);
  AddFigureOptions(app, options->figure, "all");
  return [options] { Route(*options); };
}

}  // namespace moescope::cli
