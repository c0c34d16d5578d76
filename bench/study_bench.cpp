// Times the analyses on a made-up run: repetition with all nulls and 2,000 resamples, comparisons
// of data sets with 9,999 permutations, what looks beyond shares, paths, words, a run against
// itself, an expert's card, the whole report, and the two token views, warm. Routes are even and
// independent, so the answers are known.
//   study_bench FOLDER [tokens = 1250000] [layers = 8] [threads = 0]
// keeps the run in FOLDER for the next time.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "store/run.h"
#include "store/synthetic_run.h"
#include "study/analysis/affinity.h"
#include "study/analysis/coactivation.h"
#include "study/analysis/cross_layer.h"
#include "study/analysis/domains.h"
#include "study/analysis/expert_card.h"
#include "study/analysis/explained.h"
#include "study/analysis/indentation.h"
#include "study/analysis/path_distance.h"
#include "study/analysis/paths.h"
#include "study/analysis/repetition.h"
#include "study/analysis/run_diff.h"
#include "study/analysis/token_classes.h"
#include "study/analysis/token_views.h"
#include "study/analysis/vocabulary_specialisation.h"
#include "study/analysis/word_consistency.h"
#include "study/analysis/word_routes.h"
#include "study/report/report_data.h"

namespace moescope {
namespace {

double Seconds(FunctionRef<void()> work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Report(const char* what, double seconds, double goal) {
  fmt::print("{:<44} {:7.3f} s   goal {:.0f} s\n", what, seconds, goal);
  std::fflush(stdout);
}

// What compares data sets. They differ in nothing here.
void CompareDatasets(const store::Run& run, store::Database& database,
                     const study::RowColumns& rows, ThreadPool& pool) {
  const std::vector<int> layers = run.description().LayerNumbers();
  study::Domains domains;
  double total =
      Seconds([&] { domains = study::DomainsTable(run, database, rows, layers, {}, pool); });
  Report("domains, 9,999 permutations", total, 25);
  for (const study::DomainDistance& distance : domains.distances) {
    MOESCOPE_CHECK(distance.distance < 0.05);
  }
  study::AffinityOptions options;
  options.group = {rows.datasets[0].name};
  study::Affinity affinity;
  const double affine =
      Seconds([&] { affinity = study::AffinityTable(run, database, rows, layers, options, pool); });
  Report("affinity, 9,999 permutations, token control", affine, 25);
  for (const study::AffinityCell& cell : affinity.cells) {
    MOESCOPE_CHECK(std::abs(std::log(cell.raw.odds_ratio)) < 0.1);
  }
  std::vector<study::ExplainedShare> shares;
  const double explaining =
      Seconds([&] { shares = study::ExplainedTable(run, database, rows, layers, {}, pool); });
  Report("explained", explaining, 25);
  for (const study::ExplainedShare& share : shares) MOESCOPE_CHECK(std::abs(share.first) < 0.01);
  total += affine + explaining;
  Report("domains, affinity and explained together", total, 25);
}

// What follows words, paths and experts through the layers, and a run against itself.
void RunRoutes(const store::Run& run, store::Database& database, const study::RowColumns& rows,
               ThreadPool& pool) {
  const std::vector<int> layers = run.description().LayerNumbers();
  study::Paths paths;
  Report("paths over 3 layers, 99 shifts", Seconds([&] {
           paths = study::ComputePaths(run, database, rows, {}, study::ParseLayers("", layers), {},
                                       pool);
         }),
         10);
  MOESCOPE_CHECK(paths.dependence < 1e-3 && paths.p > 0.01);
  const auto vocabulary = study::LoadVocabularyBytes(database);
  Report("words: index, routes of two, one pair", Seconds([&] {
           const study::WordIndex index(rows, vocabulary, -1);
           const study::Occurrences a = index.Find("#48"), b = index.Find("#49");
           const auto words =
               study::ComputeWordRoutes(run, database, rows, vocabulary, {a, b}, layers, {}, pool);
           MOESCOPE_CHECK(words[0].occurrences > 1000);
           const auto pairs =
               study::ComputePathDistances(run, database, rows, index, {{a, b}}, layers, {}, pool);
           MOESCOPE_CHECK(std::abs(pairs[0].sets.distance - 0.75) < 0.01);
         }),
         10);
  Report("a run against itself", Seconds([&] {
           const auto diff = study::DiffRuns({run, database}, {run, database}, rows, {}, {}, pool);
           MOESCOPE_CHECK(diff.cells[0].sets_changed == 0);
         }),
         10);
  Report("card of an expert", Seconds([&] {
           const auto card = study::MakeExpertCard(run, database, rows, layers.back(), 3, {}, pool);
           MOESCOPE_CHECK(card.contexts.size() == 16);
         }),
         5);
}

// Everything that looks beyond shares, over all layers.
void TimeStructure(const store::Run& run, store::Database& database, const study::RowColumns& rows,
                   ThreadPool& pool) {
  const std::vector<int> layers = run.description().LayerNumbers();
  Report(
      "repetition at lags 1 to 64 by powers of two", Seconds([&] {
        study::RepetitionLagTable(run, database, rows, layers, {1, 2, 4, 8, 16, 32, 64}, {}, pool);
      }),
      30);
  Report("indentation",
         Seconds([&] { study::IndentationTable(run, database, rows, layers, {}, pool); }), 10);
  Report("words", Seconds([&] { study::WordTable(run, database, rows, layers, {}, pool); }), 10);
  std::vector<study::VocabularyCell> vocabulary;
  Report("vocabulary specialisation", Seconds([&] {
           vocabulary = study::VocabularyTable(run, database, rows, layers, {}, pool);
         }),
         10);
  for (const study::VocabularyCell& cell : vocabulary) {
    MOESCOPE_CHECK(std::abs(cell.type_weighted - cell.null_type_weighted) < 0.01);
  }
  Report("co-activation",
         Seconds([&] { study::CoactivationTable(run, database, rows, layers, {}, pool); }), 10);
  std::vector<study::CrossLayerCell> cross;
  Report("information between layers", Seconds([&] {
           cross = study::CrossLayerTable(run, database, rows, study::ParseLayerPairs("", layers),
                                          {}, pool);
         }),
         20);
  for (const study::CrossLayerCell& cell : cross) {
    MOESCOPE_CHECK(cell.information.plug_in < 0.01);
  }
}

// All sections of the page.
void TimeReport(const store::Run& run, ThreadPool& pool) {
  study::ReportData report;
  Report("the whole report", Seconds([&] {
           study::ReportOptions options;
           options.run_path = run.directory();
           report = study::MakeReportData(run, options, pool);
         }),
         60);
  MOESCOPE_CHECK(report.json.size() < 5'000'000);
}

void Run(const std::string& folder, int64_t n_tokens, int n_layers, int n_threads) {
  store::SyntheticRun synthetic;
  synthetic.description = store::SyntheticDescription(n_layers, 8, 2);
  synthetic.n_tokens = n_tokens;
  if (!std::filesystem::exists(folder + "/manifest.json")) {
    const double seconds = Seconds(
        [&] { store::WriteSynthetic(synthetic, folder, int64_t{1} << 16, uint64_t{1} << 30); });
    fmt::print("{:<44} {:7.3f} s\n", "making the run", seconds);
  }
  const store::Run run = store::Run::Open(folder);
  store::DatabaseOptions options;
  options.n_threads = n_threads;
  auto database = run.OpenViews(options);
  ThreadPool pool(n_threads);
  fmt::print("{} route rows: {} tokens x {} layers, {} threads\n",
             run.n_tokens() * run.description().n_layers, run.n_tokens(),
             run.description().n_layers, pool.n_threads());

  study::RowColumns rows;
  const double loading = Seconds([&] { rows = study::LoadRows(run, *database); });
  Report("reading tokens", loading, 10);
  std::vector<study::RepetitionCell> cells;
  const double repeating = Seconds([&] {
    cells =
        study::RepetitionTable(run, *database, rows, run.description().LayerNumbers(), {}, pool);
  });
  Report("repetition, all nulls, 2,000 resamples", loading + repeating, 10);
  for (const study::RepetitionCell& cell : cells) {
    const double error = std::sqrt(0.125 * 0.875 / static_cast<double>(cell.pairs));
    MOESCOPE_CHECK(std::abs(cell.first_repeat - 0.125) < 6 * error);
    MOESCOPE_CHECK(std::abs(cell.token.first_repeat - 0.125) < 6 * error);
  }

  CompareDatasets(run, *database, rows, pool);

  RunRoutes(run, *database, rows, pool);
  TimeStructure(run, *database, rows, pool);
  TimeReport(run, pool);

  const int last_layer = run.description().LayerNumbers().back();
  for (const auto order : {study::ExpertTokenOrder::kCount, study::ExpertTokenOrder::kLift}) {
    std::vector<study::ExpertToken> tokens;
    const auto view = [&] {
      tokens = study::TokensOfExpert(run, *database, last_layer, 3, order, {});
    };
    view();
    Report(order == study::ExpertTokenOrder::kCount ? "tokens of an expert, by count"
                                                    : "tokens of an expert, by lift",
           Seconds(view), 1);
    MOESCOPE_CHECK(!tokens.empty() && tokens[0].share_of_token > 0.1);
  }
  fmt::print("{}\n",
             study::TokensOfExpertSql(run, last_layer, 3, study::ExpertTokenOrder::kCount, {}));
  std::vector<study::TokenExpert> experts;
  const auto view = [&] {
    experts = study::ExpertsOfToken(run, *database, "#17", run.description().LayerNumbers(), {});
  };
  view();
  Report("experts of a token, all layers", Seconds(view), 1);
  MOESCOPE_CHECK(static_cast<int>(experts.size()) == 8 * n_layers);
  fmt::print("{}\n", study::ExpertsOfTokenSql(run, {17}, run.description().LayerNumbers(), {}));
}

}  // namespace
}  // namespace moescope

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: study_bench FOLDER [tokens] [layers] [threads]\n");
    return 64;
  }
  try {
    moescope::Run(argv[1], argc > 2 ? std::atoll(argv[2]) : 1250000,
                  argc > 3 ? std::atoi(argv[3]) : 8, argc > 4 ? std::atoi(argv[4]) : 0);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
